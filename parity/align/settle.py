"""Settles how two series stand beside each other: picks among ways, reads to be sure, notes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from math import isnan, nan

from parity.align.collect import Collector, compose, joined_views
from parity.align.content import Reader, clear_winner, correlation
from parity.align.join import Joined, join
from parity.align.notes import axes_words, run_words
from parity.align.series import Series
from parity.align.shift import common_calls
from parity.align.structure import Elementwise, elementwise

__all__ = ["Settler", "options_of"]

Calls = list[tuple[int, int]]
CONFIRMED = "confirmed by values"

# So many places along a longer block are tried for a stretch that covers a part of it.
MAX_OFFSETS = 16


def options_of(reference: Series, candidate: Series, calls: Calls) -> tuple[Elementwise, ...]:
    """The ways in which these calls can stand beside each other, whole by whole."""
    return elementwise(
        tuple(reference.shapes[i] for i, _ in calls),
        tuple(candidate.shapes[j] for _, j in calls),
        permuted=not candidate.permutation,
    )


class Settler:
    """Takes the ways in which two series fit, chooses one, and hands it to the collector.

    Args:
        collector: takes what is chosen.
        reader: reads values where there is a choice.
        turned: orders of axes that are known to occur in the candidate.
    """

    def __init__(
        self, collector: Collector, reader: Reader, turned: Sequence[Sequence[int]] = ()
    ) -> None:
        self._collector = collector
        self._reader = reader
        self._unclear: list[tuple[Series, Series, Calls, tuple[Elementwise, ...]]] = []
        self._orders: Counter[tuple[int, ...]] = Counter(map(tuple, turned))

    def finish(self) -> None:
        """Settle what neither shapes nor values decided, as it was decided elsewhere."""
        for reference, candidate, calls, options in self._unclear:
            self._settle_unclear(reference, candidate, calls, options)

    def settle(
        self, reference: Series, candidate: Series, calls: Calls,
        options: tuple[Elementwise, ...],
    ) -> None:  # fmt: skip
        """Whole calls beside whole calls, in one of the ways that the shapes allow."""
        if len(options) == 1:
            self._elementwise(reference, candidate, calls, options[0])
            return
        scores = [self._score(reference, candidate, calls, how) for how in options]
        best = clear_winner(scores)
        if best is None:
            self._unclear.append((reference, candidate, calls, options))
        else:
            self._elementwise(reference, candidate, calls, options[best], CONFIRMED)

    def settle_square(self, reference: Series, candidate: Series) -> bool:
        """Whether tensors that look the same in two orders of axes are in fact transposed.

        Only asked where other taps of the candidate are. If values say so, the series are settled.
        """
        shape = reference.shapes[0]
        turned = [
            Elementwise(order)
            for order in self._orders
            if len(order) == len(shape) and tuple(shape[axis] for axis in order) == shape
        ]
        if not turned:
            return False
        options = (Elementwise(), *turned)
        calls = common_calls(reference, candidate)
        best = clear_winner([self._score(reference, candidate, calls, how) for how in options])
        if best is None:
            self.note(
                "{taps} look alike in the candidate's order of axes and in the reference's: "
                "compared as they are; a layout rule decides otherwise",
                reference,
            )
        elif best:
            self._elementwise(reference, candidate, calls, options[best], CONFIRMED)
        return bool(best)

    def settle_join(
        self, reference: Series, candidate: Series, options: tuple[Joined, ...]
    ) -> None:
        """Calls laid end to end, in one of the ways that the shapes allow."""
        partial = next((one for one in options if not one.complete), None)
        if partial is not None:
            options = (*(one for one in options if one.complete), *_offsets(partial))
        best = self._best_join(reference, candidate, options) if len(options) > 1 else 0
        if best is None and partial is not None:
            best = options.index(partial)
        if best is not None:
            self._joined(reference, candidate, options[best])
            return
        axes = " or ".join(str(one.axis) for one in options)
        self.note(
            f"the calls of {{taps}} could be joined along axis {axes}, and neither shapes nor "
            "values decide: compared as they are",
            reference,
        )
        self.plain(reference, candidate, common_calls(reference, candidate))

    def _best_join(
        self, reference: Series, candidate: Series, options: tuple[Joined, ...]
    ) -> int | None:
        return clear_winner([self._join_score(reference, candidate, one) for one in options])

    def plain(self, reference: Series, candidate: Series, calls: Calls) -> None:
        """Whole calls beside whole calls, as stored where the shapes differ."""
        for i, j in calls:
            if reference.shapes[i] == candidate.shapes[j]:
                self._collector.elementwise(reference, candidate, [(i, j)], Elementwise())
            else:
                self._collector.pair([reference.positions[i]], [candidate.positions[j]])

    def note(self, sentence: str, reference: Series) -> None:
        """Say `sentence` of this tap."""
        self._collector.notes.add(sentence, reference.name)

    def agreement(self, reference: Series, candidate: Series) -> float:
        """How well the values of two series agree under the best structure; NaN where unknown."""
        calls = common_calls(reference, candidate)
        even = len(reference) == len(candidate)
        scores = [
            self._score(reference, candidate, calls, how)
            for how in (options_of(reference, candidate, calls) if even else ())
        ] or [
            self._join_score(reference, candidate, how)
            for how in join(reference.shapes, candidate.shapes)
        ]
        return max((s for s in scores if not isnan(s)), default=nan)

    def _score(self, reference: Series, candidate: Series, calls: Calls, how: Elementwise) -> float:
        """How well the values of one call agree under `how`, as a correlation."""
        if not self._reader.available:
            return nan
        i, j = calls[0]
        ours = self._reader.reference(self._collector.reference.records[reference.positions[i]])
        theirs = self._reader.candidate(self._collector.candidate.records[candidate.positions[j]])
        permutation = compose(candidate.permutation, how.permutation)
        if permutation:
            theirs = theirs.transpose(permutation)
        return correlation(ours, theirs.reshape(ours.shape))

    def _join_score(self, reference: Series, candidate: Series, how: Joined) -> float:
        """How well the values of two parts agree under `how`: the smaller correlation."""
        scores = []
        views = joined_views(reference, candidate, how)
        for ours, theirs in (views[0], views[-1]):
            if not self._reader.available:
                return nan
            a = self._reader.reference(self._collector.reference.records[ours.position])
            b = self._reader.candidate(self._collector.candidate.records[theirs.position])
            scores.append(correlation(ours.apply(a), theirs.apply(b)))
        return min(scores)

    def _settle_unclear(
        self, reference: Series, candidate: Series, calls: Calls,
        options: tuple[Elementwise, ...],
    ) -> None:  # fmt: skip
        """A layout that neither shapes nor values decide: as elsewhere there, or none."""
        known = [how for how in options if self._orders[how.permutation]]
        if len(known) == 1:
            self._elementwise(reference, candidate, calls, known[0], "as other taps")
            return
        orders = " or ".join(str(how.permutation) for how in options)
        self.note(
            f"the order of the axes of candidate's {{taps}} is ambiguous ({orders} would fit): "
            "compared as it is; a layout rule decides",
            reference,
        )
        self.plain(reference, candidate, calls)

    def _elementwise(
        self, reference: Series, candidate: Series, calls: Calls, how: Elementwise, why: str = ""
    ) -> None:
        self._collector.elementwise(reference, candidate, calls, how)
        ranks = len(candidate.shapes[0]), len(reference.shapes[0])
        if candidate.permutation:
            self.note(f"candidate's {{taps}} transposed by {candidate.permutation}, as declared",
                       reference)  # fmt: skip
        if how.permutation:
            self._orders[how.permutation] += 1
            self.note(
                f"candidate's {{taps}} transposed by {how.permutation} into the reference's order "
                f"of axes{f', {why}' if why else ''}",
                reference,
            )
        elif how.merged:
            self.note("candidate's {taps} merged or split neighbouring axes: compared in C order",
                       reference)  # fmt: skip
        elif how.reshaped:
            self.note(
                f"{axes_words(ranks[0])} in candidate's {{taps}} and {ranks[1]} in the reference's"
                ": axes of length 1 disregarded",
                reference,
            )

    def _joined(self, reference: Series, candidate: Series, how: Joined) -> None:
        self._collector.joined(reference, candidate, how)
        if how.permutation:
            self._orders[how.permutation] += how.frame_is_reference
        ours, theirs = (
            (how.frames, how.pieces) if how.frame_is_reference else (how.pieces, how.frames)
        )
        sentence = (
            f"candidate ran {{taps}}{_phase(reference)} {run_words(theirs)}; reference "
            f"{run_words(ours)}: "
        )
        if how.stride:
            sentence += f"overlapping by {how.pieces[0] - how.stride} along axis {how.axis}"
            sentence += ", compared where one block alone contributes" if how.summed else ""
        else:
            sentence += f"joined along axis {how.axis}"
        if how.permutation:
            sentence += f", transposed by {how.permutation}"
        if not how.complete:
            sentence += f", which has length {sum(theirs)} there and {sum(ours)} in the reference"
        if how.offset:
            place = how.offset if how.frame_is_reference else -how.offset
            sentence += f", the candidate's beginning at {place}, by their values"
        self.note(sentence, reference)


def _offsets(how: Joined) -> list[Joined]:
    """The places, in steps of a piece, at which the shorter side can lie along the longer one."""
    slack = sum(how.frames) - sum(how.pieces)
    step = how.pieces[0] if slack > 0 else -how.pieces[0]
    places = [step * count for count in range(abs(slack) // how.pieces[0] + 1)]
    return [replace(how, offset=place) for place in places[:MAX_OFFSETS]]


def _phase(series: Series) -> str:
    return f" of phase {series.name.phase}" if series.name.phase else ""
