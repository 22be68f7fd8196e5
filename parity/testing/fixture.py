"""The `parity` fixture: golden captures and assertions within one test."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from parity.diffing import DiffResult
from parity.errors import InputError
from parity.testing.assertion import ParityAssertionError, assert_parity
from parity.testing.golden import GoldenFile, plain_name, save
from parity.testing.marker import options_of
from parity.testing.properties import note
from parity.testing.sides import file_of, named
from parity.testing.written import GOLDEN_PROPERTY, WRITTEN

__all__ = ["ParityFixture"]


class ParityFixture:
    """What a test gets as `parity`."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._item: pytest.Item = request.node
        self._config = request.config
        self._options = {"tolerance": self._config.getini("parity_tolerance")}
        self._options |= options_of(self._item)

    def golden(self, name: str = "") -> GoldenFile:
        """The golden capture of this test, beside its file: `golden/<file>/<class>.<test>.h5`.

        Args:
            name: which, where a test has several.
        """
        folder = self._item.path.parent / self._config.getini("parity_golden")
        classes = [node.name for node in self._item.listchain() if isinstance(node, pytest.Class)]
        test = plain_name(".".join((*classes, self._item.name)))
        test += f".{plain_name(name)}" if name else ""
        return GoldenFile(folder / self._item.path.stem / f"{test}.h5")

    def check(
        self,
        candidate: Any,
        *,
        reference: Callable[[], Any] | None = None,
        name: str = "",
        **options: Any,
    ) -> DiffResult:
        """Compare a candidate with this test's golden capture.

        Args:
            candidate: a capture file, an open capture, named arrays or tensors, or one of them.
            reference: returns the same of the reference. It is called only to create or update
                the golden capture, so a machine that only checks need not have the reference.
            name: which golden capture, where a test has several.
            options: of `parity.assert_parity`; they go before those of the marker.

        Raises:
            ParityAssertionError: parity does not hold, or nothing can be concluded.
            pytest.fail.Exception: there is no golden capture. Where it was just written, the test
                goes on, so that its other captures are written too, and fails at its end.
            InputError: it shall be written, and the test does not say how, or says so twice.
        """
        __tracebackhide__ = True
        golden, asked = self.golden(name), self._config.option
        if asked.parity_update or (asked.parity_create and not golden.exists):
            self._write(golden, reference)
            try:
                return assert_parity(golden.path, candidate, **(self._options | options))
            except ParityAssertionError as error:
                return error.result
        if not golden.exists:
            pytest.fail(self._missing(golden), pytrace=False)
        return self.assert_parity(golden.path, candidate, name=name, **options)

    def assert_parity(
        self, reference: Any, candidate: Any, *, name: str = "", **options: Any
    ) -> DiffResult:
        """`parity.assert_parity` with the marker's options, a report and JUnit properties.

        Where tensors in memory differ, both sides are kept in pytest's cache, to look further.

        Raises:
            ParityAssertionError: parity does not hold, or nothing can be concluded.
        """
        __tracebackhide__ = True
        kept = self._kept(reference, candidate, name)
        defaults = {
            "title": f"{self._item.name}{f' ({name})' if name else ''}",
            "commands": (f"parity diff {' '.join(kept.values())} --html report.html",)
            if kept
            else (),
        }
        try:
            result = assert_parity(reference, candidate, **(defaults | self._options | options))
        except ParityAssertionError as error:
            for side, file in zip((reference, candidate), kept, strict=False):
                if file_of(named(side)) is None:
                    save(file, side)
            self._finish(error.result, name)
            raise
        self._finish(result, name)
        return result

    def _write(self, golden: GoldenFile, reference: Callable[[], Any] | None) -> None:
        __tracebackhide__ = True
        if reference is None:
            raise InputError(
                "the golden capture cannot be written: the test does not say how to run the "
                "reference",
                where=self._item.nodeid,
                hint="parity.check(candidate, reference=lambda: ...)",
            )
        written = self._item.stash.setdefault(WRITTEN, [])
        near = _near(golden.path)
        if any(path == near for path, _ in written):
            raise InputError(
                f"the golden capture {near} was written by this test already",
                where=self._item.nodeid,
                hint='give each its name: parity.check(candidate, ..., name="decoder")',
            )
        was = "updated" if golden.exists else "created"
        golden.write(reference())
        written.append((near, was))
        self._item.user_properties.append((GOLDEN_PROPERTY, near))

    def _missing(self, golden: GoldenFile) -> str:
        return (
            f"there is no golden capture {_near(golden.path)}\n"
            f"  try: pytest --parity-create {self._item.nodeid!r}, where the reference can run"
        )

    def _finish(self, result: DiffResult, name: str) -> None:
        note(self._item, result, name)
        folder = self._config.option.parity_report
        if folder:
            from parity.report.files import render, write_text  # noqa: PLC0415 - matplotlib

            title = self._item.nodeid + (f" ({name})" if name else "")
            path = Path(folder) / f"{plain_name(title)}.html"
            write_text(path, render(result, "html", title=title))
            self._item.user_properties.append(("parity.report", _near(path)))

    def _kept(self, reference: Any, candidate: Any, name: str) -> dict[Path, str]:
        """Where both sides are kept should they differ, and how to name these files."""
        sides = {"reference": named(reference), "candidate": named(candidate)}
        cache = getattr(self._config, "cache", None)
        if cache is None or all(file_of(side) is not None for side in sides.values()):
            return {}
        stem = plain_name(self._item.nodeid) + (f".{plain_name(name)}" if name else "")
        folder = cache.mkdir("parity")
        files = [file_of(side) or folder / f"{stem}.{kind}.h5" for kind, side in sides.items()]
        return {file: _near(file) for file in files}


def _near(path: Path) -> str:
    """`path` as seen from here, where that is below."""
    found = os.path.relpath(path)
    return str(path) if found.startswith("..") else found
