"""The part of a tape that a tensor comes from, back to tensors that are known."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from parity.localize.tape import LEAF, Tap, Tape

__all__ = ["Slice", "slice_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """How to compute a tensor from known ones.

    Attributes:
        target: the tap it ends at.
        nodes: the operations in between, ascending.
        cuts: the known tensors it starts from, by the time at which they stand in for a value.
        leaves: the parameters, constants and draws that it reads.
    """

    target: Tap
    nodes: tuple[int, ...]
    cuts: tuple[Tap, ...]
    leaves: tuple[int, ...]


Cuts = Mapping[int, list[Tap]]


def slice_of(
    tape: Tape,
    target: Tap,
    cuts: Cuts,
    *,
    limit: int = 200_000,
    keep_going: Callable[[Tap], bool] | None = None,
) -> Slice:
    """The operations between `target` and the nearest known tensors before it.

    Args:
        tape: the run.
        target: where to end. A known tensor under the same value that was captured earlier is a
            start; the target itself is none.
        cuts: the known tensors, by value, in order of capture.
        limit: operations beyond which nothing more is looked at.
        keep_going: says for a known tensor that it is to be computed all the same.
    """
    finder = _Finder(tape, target, cuts, limit, keep_going)
    finder.need(target.value, target.at)
    finder.work()
    return Slice(
        target,
        tuple(sorted(finder.nodes)),
        tuple(sorted(finder.used, key=lambda tap: tap.at)),
        tuple(sorted(finder.leaves)),
    )


class _Finder:
    def __init__(
        self,
        tape: Tape,
        target: Tap,
        cuts: Cuts,
        limit: int,
        keep_going: Callable[[Tap], bool] | None,
    ) -> None:
        self.tape = tape
        self.target = target
        self.cuts = cuts
        self.limit = limit
        self.keep_going = keep_going
        self.nodes: set[int] = set()
        self.used: set[Tap] = set()
        self.leaves: set[int] = set()
        self._seen: dict[int, int] = {}
        self._queue: list[tuple[int, int]] = []

    def need(self, value: int, time: int) -> None:
        """`value` is read when `time` operations have run."""
        if self._seen.get(value, -1) < time:
            self._queue.append((value, time))

    def work(self) -> None:
        while self._queue and len(self.nodes) < self.limit:
            value, time = self._queue.pop()
            if self._seen.get(value, -1) >= time:
                continue
            self._seen[value] = time
            self._trace(value, time)

    def _trace(self, value: int, time: int) -> None:
        tape, known = self.tape, self._cut(value, time)
        start = 0
        if known is not None:
            self.used.add(known)
            start = known.at
        elif tape.values[value].node == LEAF:
            self.leaves.add(value)
        else:
            self._run(tape.values[value].node)
        writers = tape.writers.get(tape.values[value].group)
        if writers:
            for node in writers[bisect_left(writers, start) : bisect_left(writers, time)]:
                self._run(node)

    def _run(self, index: int) -> None:
        if index in self.nodes:
            return
        self.nodes.add(index)
        node = self.tape.nodes[index]
        for value in node.inputs:
            self.need(value, index)
        for value in node.written:
            # The base that a view belongs to has to be there before it is written through it.
            self.need(value, index)

    def _cut(self, value: int, time: int) -> Tap | None:
        taps = self.cuts.get(value)
        if not taps:
            return None
        for tap in reversed(taps):
            later = tap.at > time or (tap.at == time and tap.key == self.target.key)
            if later or tap is self.target:
                continue
            same = tap.at == self.target.at and tap.value == self.target.value
            # Captured at the same moment: only what came before the target in the file.
            if same and not self._before(tap):
                continue
            if self.keep_going is not None and self.keep_going(tap):
                continue
            return tap
        return None

    def _before(self, tap: Tap) -> bool:
        taps = self.tape.taps_of[tap.value]
        return taps.index(tap) < taps.index(self.target)
