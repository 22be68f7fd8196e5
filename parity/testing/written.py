"""Remembers which golden files a session wrote, and says so at its end."""

from __future__ import annotations

from collections.abc import Generator, MutableSequence

import pytest

__all__ = ["GOLDEN_PROPERTY", "WRITTEN", "WrittenGoldens"]

GOLDEN_PROPERTY = "parity.golden_written"

# Of a test: the files it wrote, each with `created` or `updated`.
WRITTEN = pytest.StashKey[list[tuple[str, str]]]()


class WrittenGoldens:
    """A plugin of its own, registered where golden files may be written.

    Properties of a test travel from the workers of pytest-xdist to the process that reports.
    """

    def __init__(self) -> None:
        self._files: MutableSequence[str] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, object, object]:
        """Fail a test that wrote a golden capture: there it has compared nothing."""
        result = yield
        if written := pyfuncitem.stash.get(WRITTEN, []):
            said = [
                f"the golden capture was {was}, so nothing was compared: {path}"
                for path, was in written
            ]
            it = "it" if len(written) == 1 else "them"
            said += [f"  look at {it} (parity show), commit {it}, and run again without the option"]
            pytest.fail("\n".join(said), pytrace=False)
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what a test wrote."""
        if report.when == "call":
            self._files += [str(v) for k, v in report.user_properties if k == GOLDEN_PROPERTY]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """List them, and say what to do."""
        files = list(dict.fromkeys(self._files))
        if not files:
            terminalreporter.write_line("parity: no golden capture was written")
            return
        terminalreporter.section("parity: golden captures written")
        for file in files:
            terminalreporter.write_line(file)
        terminalreporter.write_line(
            "Look at them (parity show FILE), commit them, and run again without the option."
        )
