"""Tests from a `parity.toml`: a failing layer is a failing test with a name."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from parity.diffing import DiffResult, Outcome, TapDiff
from parity.errors import ParityError
from parity.gate.listing import Lists
from parity.gate.result import EVERYWHERE, Failure, Kind
from parity.report.words import headline
from parity.run import Comparison, load_config
from parity.run.captures import plan_of
from parity.run.cases import load_cases
from parity.store import open_capture
from parity.testing.message import explain, message
from parity.testing.pairs import Pairs
from parity.testing.properties import note, note_tap
from parity.testing.written import GOLDEN_PROPERTY

__all__ = ["ParityToml"]

WHOLE = "verdict"


class _FailedError(Exception):
    """What an item reports; its text is the whole message."""


class ParityToml(pytest.File):
    """One configuration: a collector of candidates on cases."""

    def collect(self) -> Iterator[pytest.Collector]:
        """One collector a candidate and case.

        Raises:
            CollectError: the configuration or its cases cannot be used.
        """
        options = self.config.option
        try:
            config = load_config(self.path)
            chosen = options.parity_case
            cases = [
                case.name
                for case in load_cases(config)
                if not chosen or any(fnmatchcase(case.name, pattern) for pattern in chosen)
            ]
        except ParityError as error:
            raise self.CollectError(f"error: {error}") from None
        pairs = Pairs(
            config,
            create=options.parity_create,
            update=options.parity_update,
            diagnose=options.parity_diagnose,
            reports=Path(options.parity_report).resolve() if options.parity_report else None,
        )
        for case in cases:
            for candidate in config.candidates:
                name = f"{case}/{candidate}"
                yield Pair.from_parent(self, name=name, pairs=pairs, pair=(case, candidate))


class Pair(pytest.Collector):
    """One candidate on one case."""

    def __init__(self, *, pairs: Pairs, pair: tuple[str, str], **given: Any) -> None:
        super().__init__(**given)
        self.pairs, self.pair = pairs, pair

    def collect(self) -> Iterator[pytest.Item]:
        """The verdict, then one test a tap, as far as taps are known before anything runs."""
        taps = self._taps() if self._per_tap() else ()
        for tap in (WHOLE, *taps):
            item = ParityItem.from_parent(self, name=tap, taps=taps, whole=tap == WHOLE)
            if self.config.pluginmanager.hasplugin("xdist"):
                # With --dist loadgroup, the tests of one case stay in one worker.
                item.add_marker(pytest.mark.xdist_group(f"{self.path}::{self.pair[0]}"))
            yield item

    def _per_tap(self) -> bool:
        asked = self.config.option.parity_items or self.config.getini("parity_items")
        if asked not in {"tap", "case"}:
            raise self.CollectError(f"error: parity_items is {asked!r}\n  try: tap or case")
        return bool(asked == "tap")

    def _taps(self) -> tuple[str, ...]:
        """Paths in the golden capture, or in the one that an earlier run left."""
        file = self.pairs.reference(self.pair[0])
        if not file.is_file() or self.pairs.create or self.pairs.update:
            return ()
        plan = plan_of(self.pairs.config)
        try:
            with open_capture(file) as capture:
                wanted = (r.key.path for r in capture.records if plan.wants(r.key, r.step))
                return tuple(path for path in dict.fromkeys(wanted) if path != WHOLE)
        except ParityError:
            return ()  # the verdict's test says so


class ParityItem(pytest.Item):
    """One tap of a candidate on a case, or the comparison as a whole."""

    def __init__(self, *, taps: tuple[str, ...], whole: bool, **given: Any) -> None:
        super().__init__(**given)
        self._taps, self._whole = frozenset(taps), whole

    def runtest(self) -> None:
        """Compare, unless another test of the same case did so already.

        Raises:
            _FailedError: parity does not hold here, or nothing can be concluded.
        """
        assert isinstance(self.parent, Pair)  # noqa: S101 - made by it
        pairs, (case, candidate) = self.parent.pairs, self.parent.pair
        if written := pairs.written(case):
            self.user_properties.append((GOLDEN_PROPERTY, str(written)))
            raise _FailedError(
                f"the golden capture was written, so nothing was compared: {written}\n"
                "  look at it (parity show), commit it, and run again without the option"
            )
        comparison = pairs.comparison(case, candidate)
        self.user_properties += [("parity.case", case), ("parity.candidate", candidate)]
        for state in (comparison.reference, comparison.capture):
            if state.problem:
                self._unless_listed(comparison, Kind.DID_NOT_RUN, state.problem.splitlines()[0])
        if self._whole:
            self._check_whole(comparison)
        else:
            self._check_tap(comparison)

    def _check_whole(self, comparison: Comparison) -> None:
        result = _result(comparison)
        note(self, result)
        for path in comparison.reports.values():
            self.user_properties.append(("parity.report", str(path)))
        if result.outcome is Outcome.INVALID:
            self._unless_listed(comparison, Kind.INCONCLUSIVE, result.because)
            raise _FailedError(self._message(comparison, result, None))
        # What fails at a tap that has a test of its own fails there.
        self._check_rows(
            comparison, result, [row for row in result.failures if row.key.path not in self._taps]
        )

    def _check_tap(self, comparison: Comparison) -> None:
        result = _result(comparison)
        rows = [row for row in result if row.key.path == self.name]
        if not rows:
            raise _FailedError(f"{self.name} was not compared: {headline(result)}")
        failing = [row for row in rows if not row.ok]
        note_tap(self, failing[0] if failing else rows[-1])
        self._check_rows(comparison, result, failing)

    def _check_rows(
        self, comparison: Comparison, result: DiffResult, failing: list[TapDiff]
    ) -> None:
        """Fail for the first row that is not listed; as expected, where all of them are."""
        listed = [self._listed(comparison, _kind(row), row.reason, row.key.path) for row in failing]
        for row, why in zip(failing, listed, strict=True):
            if not why:
                raise _FailedError(self._message(comparison, result, row))
        if listed:
            pytest.xfail(listed[0])

    def _listed(self, comparison: Comparison, kind: Kind, words: str, tap: str = EVERYWHERE) -> str:
        """Why `[[gate.expected]]` or `[[gate.skip]]` let a failure be; empty where it counts."""
        assert isinstance(self.parent, Pair)  # noqa: S101 - made by it
        lists = Lists(self.parent.pairs.config.gate, datetime.now(UTC).date())
        lists.add(Failure(kind, comparison.case, comparison.candidate, tap, words))
        entries = [forgiven.entry for forgiven in lists.forgiven]
        return f"{entries[0].reason}, until {entries[0].until}: {words}" if entries else ""

    def _unless_listed(self, comparison: Comparison, kind: Kind, words: str) -> None:
        """Leave out a comparison that need not have run or shown anything."""
        if why := self._listed(comparison, kind, words):
            pytest.skip(why)

    def _message(self, comparison: Comparison, result: DiffResult, row: TapDiff | None) -> str:
        assert isinstance(self.parent, Pair)  # noqa: S101 - made by it
        candidate = self.parent.pairs.config.candidates[comparison.candidate]
        found = explain(
            result,
            comparison.reference.path,
            comparison.capture.path,
            row=row,
            layouts=candidate.layouts,
            diagnosis=comparison.diagnosis,
            commands=self._commands(comparison),
        )
        text = message(found, title=f"{comparison.candidate} on {comparison.case}")
        doubt = comparison.undiagnosed
        return f"{text}\n  no diagnosis: {doubt}" if doubt else text

    def _commands(self, comparison: Comparison) -> tuple[str, ...]:
        files = comparison.reference.path, comparison.capture.path
        pair = " ".join(shlex.quote(str(file)) for file in files)
        found = self.path == Path.cwd() / "parity.toml"
        where = "" if found else f" --config {shlex.quote(str(self.path))}"
        name, case = shlex.quote(comparison.candidate), shlex.quote(comparison.case)
        return (
            f"parity run {name} --case {case}{where}",
            f"parity diff {pair} --html report.html",
        )

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The message alone: where in our code it was raised helps nobody."""
        if isinstance(excinfo.value, _FailedError | ParityError | OSError):
            error = excinfo.value
            return str(error) if isinstance(error, _FailedError) else f"error: {error}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """The configuration, and candidate, case and tap."""
        return self.path, 0, f"{self.parent.name if self.parent else ''}: {self.name}"


def _kind(row: TapDiff) -> Kind:
    return Kind.NOT_COMPARED if row.candidate is None else Kind.DIVERGENCE


def _result(comparison: Comparison) -> DiffResult:
    """The comparison's result.

    Raises:
        _FailedError: reference or candidate did not run to its end.
    """
    for name, state in (
        ("the reference", comparison.reference),
        (comparison.candidate, comparison.capture),
    ):
        if state.problem:
            raise _FailedError(f"{name} did not run to its end\n{state.problem}")
    if comparison.diff is None:
        raise _FailedError("there was nothing to compare")
    return comparison.diff
