"""All checks together, for pytest and without it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from parity.backends.conformance import honesty, records, repetition, selection
from parity.backends.conformance.subject import Broken, Inapplicable, Subject

__all__ = ["CHECKS", "BackendConformance", "Check", "CheckResult", "Status", "examine"]


class Status(StrEnum):
    """How a check came out."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Check:
    """One demand of the contract.

    Attributes:
        name: of the check.
        says: the demand, in one sentence.
        run: raises `Broken` where a subject does not meet it, `Inapplicable` where there is
            nothing to check.
    """

    name: str
    says: str
    run: Callable[[Subject], None]

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check found.

    Attributes:
        check: the check.
        status: how it came out.
        detail: why it failed or was skipped, else empty.
    """

    check: Check
    status: Status
    detail: str = ""


CHECKS = tuple(
    Check(name, (getattr(module, name).__doc__ or "").strip(), getattr(module, name))
    for module in (records, selection, repetition, honesty)
    for name in module.__all__
)


def examine(
    subject: Subject, on_result: Callable[[CheckResult], None] | None = None
) -> tuple[CheckResult, ...]:
    """Run every check; whatever the backend raises is a failure of the check that met it.

    Args:
        subject: the backend and its case.
        on_result: called after each check.
    """
    results = []
    for check in CHECKS:
        result = _examine(check, subject)
        results.append(result)
        if on_result is not None:
            on_result(result)
    return tuple(results)


def _examine(check: Check, subject: Subject) -> CheckResult:
    try:
        check.run(subject)
    except Inapplicable as reason:
        return CheckResult(check, Status.SKIPPED, str(reason))
    except Broken as finding:
        return CheckResult(check, Status.FAILED, str(finding))
    except Exception as error:
        return CheckResult(check, Status.FAILED, f"raised {type(error).__name__}: {error}")
    return CheckResult(check, Status.PASSED)


class BackendConformance:
    """A pytest class: derive `TestMyBackend` from it, and define `subject`."""

    def subject(self) -> Subject:
        """The backend to examine, and the case to examine it on."""
        raise NotImplementedError("define subject(self) -> Subject in your test class")

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """One test a check."""
        if "check" in metafunc.fixturenames:
            metafunc.parametrize("check", CHECKS, ids=str)

    def test_conforms(self, check: Check) -> None:
        """The backend meets one demand of the contract."""
        check.run(self.subject())
