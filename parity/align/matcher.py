"""Brings two series of one tap together: which call, or part of one, stands beside which."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from parity.align.collect import Collector
from parity.align.join import join, overlap
from parity.align.lanes import by_place_in_pass
from parity.align.notes import shift_words
from parity.align.series import Series, Tap
from parity.align.settle import Settler, options_of
from parity.align.shift import common_calls, possible_shifts, shift_by_values, shifted_calls
from parity.tensors import Role

__all__ = ["Matcher"]

Calls = list[tuple[int, int]]

# A shift is looked for where a tap ran this often; fewer calls tell nothing.
MIN_CALLS = 3
SAMPLES = 16


class Matcher:
    """Relates series pair by pair; what needs the evidence of several is settled at the end.

    Args:
        collector: takes what is the same on both sides.
        settler: settles the rest.
    """

    def __init__(self, collector: Collector, settler: Settler) -> None:
        self._collector = collector
        self._settler = settler
        self._equal: dict[tuple[str, int], list[tuple[Tap, Tap]]] = {}
        self._squares: list[tuple[Tap, Tap]] = []
        self._uneven: list[tuple[Series, Series]] = []
        self._shifted: dict[tuple[str, int, int], list[tuple[Series, Series]]] = {}

    def relate_shared(self, taps: Iterable[Tap]) -> None:
        """Relate the taps that both sides have under one name."""
        sides = self._collector.reference, self._collector.candidate
        (ours, our_keys), (theirs, their_keys) = ((side.records, side.keys) for side in sides)
        declared = bool(sides[1].layouts)
        once: list[tuple[int, int]] = []
        for tap in taps:
            i, j = sides[0].taps[tap], sides[1].taps[tap]
            # Most taps of a capture without steps run once, and there may be tens of thousands.
            if (
                isinstance(i, int)
                and isinstance(j, int)
                and ours[i].spec.shape == theirs[j].spec.shape
                and our_keys[i].call == their_keys[j].call
                and not declared
                and not _square(ours[i].spec.shape)
            ):
                once.append((i, j))
            else:
                self.relate_taps(tap, tap)
        self._collector.pair((i for i, _ in once), (j for _, j in once))

    def relate_taps(self, reference: Tap, candidate: Tap) -> None:
        """Relate two taps; quick where calls and shapes are the same."""
        sides = self._collector.reference, self._collector.candidate
        ours, theirs = _list(sides[0].taps[reference]), _list(sides[1].taps[candidate])
        if not self._same(ours, theirs):
            self.relate(sides[0].series(reference), sides[1].series(candidate))
        elif _square(sides[0].records[ours[0]].spec.shape):
            self._squares.append((reference, candidate))
        else:
            self._equal.setdefault((reference[3], len(ours)), []).append((reference, candidate))

    def _same(self, ours: list[int], theirs: list[int]) -> bool:
        reference, candidate = self._collector.reference, self._collector.candidate
        return (
            not candidate.layouts
            and len(ours) == len(theirs)
            and [reference.keys[p].call for p in ours] == [candidate.keys[p].call for p in theirs]
            and [reference.records[p].spec.shape for p in ours]
            == [candidate.records[p].spec.shape for p in theirs]
        )

    def relate(self, reference: Series, candidate: Series) -> None:
        """Relate two series that differ in number, numbering or shape of their calls."""
        if len(reference) == len(candidate):
            self._relate(reference, candidate)
        else:
            self._uneven.append((reference, candidate))

    def _relate(self, reference: Series, candidate: Series) -> None:
        calls = common_calls(reference, candidate)
        shapes = reference.shapes, candidate.shapes
        permuted = not candidate.permutation
        even = len(reference) == len(candidate)
        whole = len(calls) == min(len(reference), len(candidate))
        summed = reference.name.role is not Role.INPUT
        options = options_of(reference, candidate, calls) if whole else ()
        if options and (even or not _counted(reference) or not _counted(candidate)):
            self._settler.settle(reference, candidate, calls, options)
        elif ways := join(*shapes, permuted=permuted):
            self._settler.settle_join(reference, candidate, ways)
        elif options or possible_shifts(reference, candidate):
            key = (reference.name.phase, len(reference), len(candidate))
            self._shifted.setdefault(key, []).append((reference, candidate))
        elif ways := (
            overlap(*shapes, permuted=permuted, summed=summed)
            or overlap(*shapes, permuted=permuted, summed=summed, doubtful=True)
            + join(*shapes, permuted=permuted, partial=True)
        ):
            self._settler.settle_join(reference, candidate, ways)
        else:
            self._as_numbered(reference, candidate, calls)

    def finish(self) -> None:
        """Settle what needed to see all series first."""
        sides = self._collector.reference, self._collector.candidate
        for ours, theirs in self._squares:
            series = sides[0].series(ours), sides[1].series(theirs)
            if not self._settler.settle_square(*series):
                key = (ours[3], len(series[0]))
                self._equal.setdefault(key, []).append((ours, theirs))
        for same in self._equal.values():
            self._settle_equal(same)
        for pair in by_place_in_pass(*sides, self._uneven):
            self._relate(*pair)
        for both in self._shifted.values():
            self._settle_shifted(both)
        self._settler.finish()

    def _settle_equal(self, taps: Sequence[tuple[Tap, Tap]]) -> None:
        """Taps with equally many calls of equal shapes: as they are, unless all are shifted."""
        collector = self._collector
        ours, theirs = collector.reference, collector.candidate
        if len(_list(ours.taps[taps[0][0]])) >= MIN_CALLS:
            both = [
                (ours.series(a), theirs.series(b)) for a, b in taps[:: -(-len(taps) // SAMPLES)]
            ]
            shift = shift_by_values(ours, theirs, both, (0, -1, 1, -2, 2))
            if shift is not None:
                self._shift([(ours.series(a), theirs.series(b)) for a, b in taps], shift, "values")
                return
        for a, b in taps:
            collector.pair(_list(ours.taps[a]), _list(theirs.taps[b]))

    def _settle_shifted(self, both: Sequence[tuple[Series, Series]]) -> None:
        """Taps that ran equally often each on their side, but not as often on both."""
        fitting = [possible_shifts(*pair) for pair in both]
        shared = [k for k in fitting[0] if all(k in others for others in fitting)]
        if not shared:
            if len(both) == 1:
                self._as_numbered(*both[0], common_calls(*both[0]))
            else:
                for pair in both:
                    self._settle_shifted([pair])
            return
        collector = self._collector
        found = shift_by_values(collector.reference, collector.candidate, both, shared)
        if found is not None:
            self._shift(both, found, "values")
        else:
            self._shift(both, shared[0], "" if 0 in shared else "shapes")

    def _shift(self, both: Sequence[tuple[Series, Series]], shift: int, evidence: str) -> None:
        for reference, candidate in both:
            calls = shifted_calls(reference, candidate, shift)
            self._settler.settle(
                reference, candidate, calls, options_of(reference, candidate, calls)
            )
            self._settler.note(
                shift_words(shift, evidence, len(reference), len(candidate)), reference
            )

    def _as_numbered(self, reference: Series, candidate: Series, calls: Calls) -> None:
        """No structure explains the shapes: call beside call, in the layout that fits the most."""
        fitting = [c for c in calls if options_of(reference, candidate, [c])]
        options = options_of(reference, candidate, fitting) if fitting else ()
        if len(options) == 1:
            self._settler.settle(reference, candidate, fitting, options)
            calls = [call for call in calls if call not in set(fitting)]
        self._settler.plain(reference, candidate, calls)


def _list(positions: int | list[int]) -> list[int]:
    return [positions] if isinstance(positions, int) else positions


@lru_cache(maxsize=4096)
def _square(shape: tuple[int, ...]) -> bool:
    """Whether two axes can be exchanged without the shape telling."""
    live = [length for length in shape if length != 1]
    return len(set(live)) < len(live)


def _counted(series: Series) -> bool:
    """Whether its calls are numbered 0, 1, 2, ..., so that none was left out by a selection."""
    return series.calls == tuple(range(len(series)))
