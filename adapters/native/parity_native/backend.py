"""Runs candidates that are shared libraries."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from parity.backends import Capabilities, CaptureSink
from parity.errors import ConfigError, InputError
from parity.tensors import Case, TapKey, TapPlan
from parity_native.apart import Limits, Work, describe_apart, run_apart
from parity_native.library import Candidate, check_file
from parity_native.views import Array

__all__ = ["NativeBackend"]

_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class NativeBackend:
    """A candidate behind the C ABI of `parity_candidate.h`."""

    name = "native"

    def __init__(
        self,
        *,
        library: str | Path,
        isolate: bool | str = True,
        timeout_s: float | str | None = None,
        memory_limit_mb: float | str | None = None,
        max_bytes: float | str = 16 << 30,
        **options: object,
    ) -> None:
        """Take the options; what each means stands in `parity_native.ADAPTER.options`.

        Raises:
            InputError: there is no such library.
            BackendError: without isolation: it cannot be opened.
            ConfigError: an option cannot be used.
        """
        check_file(Path(library))
        self._library = str(library)
        self._options = options
        memory_mb = _number("memory_limit_mb", memory_limit_mb)
        self._limits = Limits(
            timeout_s=_number("timeout_s", timeout_s),
            memory_limit_bytes=int(memory_mb * 2**20) if memory_mb else None,
            max_bytes=int(_number("max_bytes", max_bytes) or 0),
        )
        self._candidate = None if _switch(isolate) else Candidate(Path(library), options)
        self._capabilities: Capabilities | None = None

    def capabilities(self) -> Capabilities:
        """What the candidate says it can do."""
        if self._candidate is not None:
            return self._candidate.description.capabilities()
        if self._capabilities is None:
            described = describe_apart(self._library, self._options, self._limits)
            self._capabilities = described.capabilities()
        return self._capabilities

    def capture(self, case: Case, plan: TapPlan, sink: CaptureSink) -> None:
        """Run `case` and record what `plan` wants.

        Raises:
            ParityError: the candidate refused, failed, crashed, hung or broke its contract. What
                it had handed over before is recorded.
        """
        self._run(case, plan, sink, {})

    def capture_injected(
        self,
        case: Case,
        plan: TapPlan,
        sink: CaptureSink,
        replacements: Mapping[TapKey, Array],
    ) -> None:
        """Run `case` with each replacement, of any shape, in its tap's place.

        Raises:
            ParityError: as `capture`; also when a replacement does not fit, its tap never came, or
                the candidate does not say that it injects.
        """
        if not self.capabilities().inject:
            raise InputError(
                "the candidate does not say that it can go on with another tensor",
                where=self._library,
                hint="say `inject` among its capabilities, once it does what PARITY_REPLACE asks",
            )
        self._run(case, plan, sink, replacements)

    def _run(
        self, case: Case, plan: TapPlan, sink: CaptureSink, replacements: Mapping[TapKey, Array]
    ) -> None:
        if self._candidate is None:
            work = Work(self._library, self._options, case, plan, replacements)
            run_apart(work, sink, self._limits)
            return
        sink.describe(self._candidate.description.capture_facts())
        self._candidate.run(case, plan, sink, replacements, self._limits.max_bytes)


def _switch(given: bool | str) -> bool:
    if isinstance(given, bool):
        return given
    if given.lower() not in _WORDS:
        raise ConfigError(f"neither true nor false: {given!r}", where="isolate")
    return _WORDS[given.lower()]


def _number(option: str, given: float | str | None) -> float | None:
    try:
        return None if given is None else float(given)
    except ValueError as error:
        raise ConfigError(f"not a number: {given!r}", where=option) from error
