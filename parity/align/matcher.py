"""Brings two series of one tap together: which call, or part of one, stands beside which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from parity.align.collect import Collector, joined_views
from parity.align.content import Reader, clear_winner, correlation
from parity.align.notes import run_words
from parity.align.series import Series, Tap
from parity.align.shift import common_calls, possible_shifts, shift_by_values, shifted_calls
from parity.align.structure import Elementwise, Joined, elementwise, join

__all__ = ["Matcher"]

Calls = list[tuple[int, int]]

# A shift is looked for where a tap ran this often; fewer calls tell nothing.
MIN_CALLS = 3
SAMPLES = 16


class Matcher:
    """Relates series pair by pair; what needs the evidence of several is settled at the end.

    Args:
        collector: takes what is found.
        reader: reads values where shapes leave a choice.
    """

    def __init__(self, collector: Collector, reader: Reader) -> None:
        self._collector = collector
        self._reader = reader
        self._equal: dict[tuple[str, int], list[tuple[Tap, Tap]]] = {}
        self._uneven: dict[tuple[str, int, int], list[tuple[Series, Series]]] = {}
        self._unclear: list[tuple[Series, Series, Calls, tuple[Elementwise, ...]]] = []
        self._orders: Counter[tuple[int, ...]] = Counter()

    def relate_taps(self, reference: Tap, candidate: Tap) -> None:
        """Relate two taps; quick where calls and shapes are the same."""
        collector = self._collector
        ours, theirs = collector.reference.taps[reference], collector.candidate.taps[candidate]
        if not self._same(ours, theirs):
            self.relate(
                collector.reference.series(reference), collector.candidate.series(candidate)
            )
        elif isinstance(ours, int) or isinstance(theirs, int):
            collector.pair((ours,), (theirs,))  # type: ignore[arg-type]
        else:
            self._equal.setdefault((reference[3], len(ours)), []).append((reference, candidate))

    def _same(self, ours: int | list[int], theirs: int | list[int]) -> bool:
        reference, candidate = self._collector.reference, self._collector.candidate
        if candidate.layouts:
            return False
        if isinstance(ours, int) or isinstance(theirs, int):
            return (
                isinstance(ours, int)
                and isinstance(theirs, int)
                and reference.records[ours].spec.shape == candidate.records[theirs].spec.shape
                and reference.keys[ours].call == candidate.keys[theirs].call
            )
        return (
            len(ours) == len(theirs)
            and [reference.keys[p].call for p in ours] == [candidate.keys[p].call for p in theirs]
            and [reference.records[p].spec.shape for p in ours]
            == [candidate.records[p].spec.shape for p in theirs]
        )

    def relate(self, reference: Series, candidate: Series) -> None:
        """Relate two series that differ in number, numbering or shape of their calls."""
        calls = common_calls(reference, candidate)
        permuted = not candidate.permutation
        even = len(reference) == len(candidate)
        whole = len(calls) == min(len(reference), len(candidate))
        options = self._options(reference, candidate, calls) if whole else ()
        if options and (even or not _counted(reference) or not _counted(candidate)):
            self._settle(reference, candidate, calls, options)
            return
        joins = join(reference.shapes, candidate.shapes, permuted=permuted)
        if joins and options != (Elementwise(),):
            self._settle_join(reference, candidate, joins)
        elif options or possible_shifts(reference, candidate):
            key = (reference.name.phase, len(reference), len(candidate))
            self._uneven.setdefault(key, []).append((reference, candidate))
        elif part := join(reference.shapes, candidate.shapes, permuted=permuted, partial=True):
            self._settle_join(reference, candidate, part)
        else:
            self._as_numbered(reference, candidate, calls)

    def finish(self) -> None:
        """Settle what needed to see all series first."""
        for same in self._equal.values():
            self._settle_equal(same)
        for both in self._uneven.values():
            self._settle_uneven(both)
        for reference, candidate, calls, options in self._unclear:
            self._settle_unclear(reference, candidate, calls, options)

    def _options(
        self, reference: Series, candidate: Series, calls: Calls
    ) -> tuple[Elementwise, ...]:
        return elementwise(
            tuple(reference.shapes[i] for i, _ in calls),
            tuple(candidate.shapes[j] for _, j in calls),
            permuted=not candidate.permutation,
        )

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
                self._shifted(
                    [(ours.series(a), theirs.series(b)) for a, b in taps], shift, "values"
                )
                return
        for a, b in taps:
            collector.pair(_list(ours.taps[a]), _list(theirs.taps[b]))

    def _settle_uneven(self, both: Sequence[tuple[Series, Series]]) -> None:
        """Taps that ran equally often each on their side, but not as often on both."""
        fitting = [possible_shifts(*pair) for pair in both]
        shared = [k for k in fitting[0] if all(k in others for others in fitting)]
        if not shared:
            if len(both) == 1:
                self._as_numbered(*both[0], common_calls(*both[0]))
            else:
                for pair in both:
                    self._settle_uneven([pair])
            return
        collector = self._collector
        found = shift_by_values(collector.reference, collector.candidate, both, shared)
        if found is not None:
            self._shifted(both, found, "values")
        else:
            self._shifted(both, shared[0], "" if 0 in shared else "shapes")

    def _shifted(self, both: Sequence[tuple[Series, Series]], shift: int, evidence: str) -> None:
        for reference, candidate in both:
            calls = shifted_calls(reference, candidate, shift)
            self._settle(reference, candidate, calls, self._options(reference, candidate, calls))
            self._note(_shift_words(shift, evidence, len(reference), len(candidate)), reference)

    def _settle(
        self, reference: Series, candidate: Series, calls: Calls,
        options: tuple[Elementwise, ...],
    ) -> None:  # fmt: skip
        if len(options) == 1:
            self._elementwise(reference, candidate, calls, options[0])
            return
        scores = [self._score(reference, candidate, calls, how) for how in options]
        best = clear_winner(scores)
        if best is None:
            self._unclear.append((reference, candidate, calls, options))
        else:
            self._elementwise(reference, candidate, calls, options[best], "confirmed by values")

    def _score(self, reference: Series, candidate: Series, calls: Calls, how: Elementwise) -> float:
        """How well the values of one call agree under `how`, as a correlation."""
        if not self._reader.available:
            return float("nan")
        i, j = calls[0]
        ours = self._reader.reference(self._collector.reference.records[reference.positions[i]])
        theirs = self._reader.candidate(self._collector.candidate.records[candidate.positions[j]])
        if how.permutation:
            theirs = theirs.transpose(how.permutation)
        return correlation(ours, theirs.reshape(ours.shape))

    def _settle_unclear(
        self, reference: Series, candidate: Series, calls: Calls,
        options: tuple[Elementwise, ...],
    ) -> None:  # fmt: skip
        """A layout that neither shapes nor values decide: as elsewhere in the candidate, or none."""
        known = [how for how in options if self._orders[how.permutation]]
        if len(known) == 1:
            self._elementwise(reference, candidate, calls, known[0], "as other taps")
            return
        orders = " or ".join(str(how.permutation) for how in options)
        self._note(
            f"the order of the axes of candidate's {{taps}} is ambiguous ({orders} would fit): "
            "compared as it is; a layout rule decides",
            reference,
        )
        self._plain(reference, candidate, calls)

    def _elementwise(
        self, reference: Series, candidate: Series, calls: Calls, how: Elementwise, why: str = ""
    ) -> None:
        self._collector.elementwise(reference, candidate, calls, how)
        ranks = len(candidate.shapes[0]), len(reference.shapes[0])
        if candidate.permutation:
            self._note(f"candidate's {{taps}} transposed by {candidate.permutation}, as declared",
                       reference)  # fmt: skip
        if how.permutation:
            self._orders[how.permutation] += 1
            self._note(
                f"candidate's {{taps}} transposed by {how.permutation} into the reference's order "
                f"of axes{f', {why}' if why else ''}",
                reference,
            )
        elif how.merged:
            self._note("candidate's {taps} merged or split neighbouring axes: compared in C order",
                       reference)  # fmt: skip
        elif how.reshaped:
            self._note(
                f"candidate's {{taps}} have {_axes(ranks[0])} and the reference's {ranks[1]}: axes "
                "of length 1 disregarded",
                reference,
            )

    def _settle_join(
        self, reference: Series, candidate: Series, options: tuple[Joined, ...]
    ) -> None:
        how = options[0]
        if len(options) > 1:
            best = clear_winner([self._join_score(reference, candidate, one) for one in options])
            if best is None:
                axes = " or ".join(str(one.axis) for one in options)
                self._note(
                    f"the calls of {{taps}} could be joined along axis {axes}, and neither shapes "
                    "nor values decide: compared as they are",
                    reference,
                )
                self._plain(reference, candidate, common_calls(reference, candidate))
                return
            how = options[best]
        self._joined(reference, candidate, how)

    def _join_score(self, reference: Series, candidate: Series, how: Joined) -> float:
        """How well the values of two parts agree under `how`: the smaller correlation."""
        scores = []
        views = joined_views(reference, candidate, how)
        for ours, theirs in (views[0], views[-1]):
            if not self._reader.available:
                return float("nan")
            a = self._reader.reference(self._collector.reference.records[ours.position])
            b = self._reader.candidate(self._collector.candidate.records[theirs.position])
            scores.append(correlation(ours.apply(a), theirs.apply(b)))
        return min(scores)

    def _joined(self, reference: Series, candidate: Series, how: Joined) -> None:
        self._collector.joined(reference, candidate, how)
        if how.permutation:
            self._orders[how.permutation] += how.frame_is_reference
        ours, theirs = (
            (how.frames, how.pieces) if how.frame_is_reference else (how.pieces, how.frames)
        )
        sentence = (
            f"candidate ran {{taps}}{_of(reference)} {run_words(theirs)}; reference "
            f"{run_words(ours)}: joined along axis {how.axis}"
        )
        if how.permutation:
            sentence += f", transposed by {how.permutation}"
        if not how.complete:
            sentence += f", which has length {sum(theirs)} there and {sum(ours)} in the reference"
        self._note(sentence, reference)

    def _as_numbered(self, reference: Series, candidate: Series, calls: Calls) -> None:
        """No structure explains the shapes: call beside call, in the layout that fits the most."""
        fitting = [c for c in calls if self._options(reference, candidate, [c])]
        options = self._options(reference, candidate, fitting) if fitting else ()
        if len(options) == 1:
            self._elementwise(reference, candidate, fitting, options[0])
            calls = [call for call in calls if call not in set(fitting)]
        self._plain(reference, candidate, calls)

    def _plain(self, reference: Series, candidate: Series, calls: Calls) -> None:
        self._collector.elementwise(reference, candidate, calls, Elementwise())

    def _note(self, sentence: str, reference: Series) -> None:
        self._collector.notes.add(sentence, reference.name.path)


def _list(positions: int | list[int]) -> list[int]:
    return [positions] if isinstance(positions, int) else positions


def _counted(series: Series) -> bool:
    """Whether its calls are numbered 0, 1, 2, ..., so that none was left out by a selection."""
    return series.calls == tuple(range(len(series)))


def _axes(count: int) -> str:
    return "1 axis" if count == 1 else f"{count} axes"


def _of(series: Series) -> str:
    return f" of phase {series.name.phase}" if series.name.phase else ""


def _shift_words(shift: int, evidence: str, ours: int, theirs: int) -> str:
    if not shift:
        return (
            f"{{taps}} ran {ours} times in the reference and {theirs} times in the candidate: "
            "paired from the first call on"
        )
    first = f"n+{shift}" if shift > 0 else "n"
    second = "n" if shift > 0 else f"n+{-shift}"
    counts = f"{ours} calls" if ours == theirs else f"{ours} and {theirs} calls"
    return (
        f"call {first} of the candidate's {{taps}} stands beside call {second} of the reference's, "
        f"by their {evidence} ({counts})"
    )
