"""Remembers which golden files a session wrote, and says so at its end."""

from __future__ import annotations

from collections.abc import MutableSequence

import pytest

__all__ = ["GOLDEN_PROPERTY", "WrittenGoldens"]

GOLDEN_PROPERTY = "parity.golden_written"


class WrittenGoldens:
    """A plugin of its own, registered where golden files may be written.

    Properties of a test travel from the workers of pytest-xdist to the process that reports.
    """

    def __init__(self) -> None:
        self._files: MutableSequence[str] = []

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
