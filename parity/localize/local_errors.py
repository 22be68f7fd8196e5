"""Replay: the reference's own operations on the candidate's tensors, tap by tap.

One walk over the tape runs every operation once. Wherever the candidate dumped a tensor, what the
reference makes of the candidate's earlier tensors is compared with it (the local error), and then
the candidate's tensor takes its place. So each tap is judged for itself: what the taps before it
got wrong is the same on both sides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import torch

from parity.localize.candidate import Candidate
from parity.localize.execute import Edit, Machine
from parity.localize.tape import Tap, Tape

__all__ = ["Local", "as_doubles", "known_taps", "last_uses", "put_in", "relative_error", "replay"]

Tensor = torch.Tensor


@dataclass(frozen=True, slots=True)
class Local:
    """How far a candidate's tensor is from what the reference makes of the candidate's inputs.

    Attributes:
        tap: the tensor.
        error: relative L2 of the difference; infinite where a number is NaN on one side only.
        norm: L2 norm of the candidate's tensor.
        uncertain: an input of it was not to be had from the candidate in this shape, so that the
            error may come from there.
        hidden: the candidate's tensor was not put in: it stands for something else.
    """

    tap: Tap
    error: float
    norm: float
    uncertain: bool = False
    hidden: bool = False


def known_taps(
    tape: Tape, candidate: Candidate, hidden: Collection[str] = ()
) -> dict[int, list[Tap]]:
    """The taps that the candidate has a tensor of, by value, in order of capture.

    Args:
        tape: the run.
        candidate: the candidate's tensors.
        hidden: paths whose tensors stand for something else and are left out.
    """
    found: dict[int, list[Tap]] = {}
    for tap in tape.taps:
        if tap.key in candidate and tap.key.path not in hidden:
            found.setdefault(tap.value, []).append(tap)
    return found


def replay(
    tape: Tape,
    candidate: Candidate,
    *,
    edits: Mapping[int, Sequence[Edit]] | None = None,
    hidden: Collection[str] = (),
    loose: Collection[int] = (),
    until: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Local]:
    """Walk the tape once on the candidate's tensors.

    Args:
        tape: the reference's run.
        candidate: the candidate's tensors.
        edits: operations that are replaced, by index.
        hidden: paths whose tensors are compared and not put in.
        loose: groups of values that the candidate's have nothing to do with.
        until: how many operations to run; all by default.
        progress: called with how many of how many operations are done.

    Returns:
        One entry a tensor that both have, in the reference's order.
    """
    walk = _Walk(tape, candidate, edits or {}, hidden, loose)
    walk.run(until, progress)
    return walk.found


class _Walk:
    def __init__(
        self,
        tape: Tape,
        candidate: Candidate,
        edits: Mapping[int, Sequence[Edit]],
        hidden: Collection[str],
        loose: Collection[int],
    ) -> None:
        self.tape = tape
        self.candidate = candidate
        self.hidden = frozenset(hidden)
        self.machine = Machine(tape, edits=edits)
        self.found: list[Local] = []
        self._tainted: set[int] = set(tape.loose)
        self._tainted_groups: set[int] = set(loose)
        self._taps: dict[int, list[Tap]] = {}
        for tap in tape.taps:
            if tap.key in candidate or tap.key in candidate.mismatched:
                self._taps.setdefault(tap.at, []).append(tap)
        self._last = last_uses(tape, edits)
        self._ends: dict[int, list[int]] = {}
        for value, time in self._last.items():
            self._ends.setdefault(time, []).append(value)

    def run(self, until: int | None, progress: Callable[[int, int], None] | None) -> None:
        nodes = self.tape.nodes[:until]
        total = len(nodes)
        with torch.no_grad():
            self._meet(0)
            for node in nodes:
                self.machine.step(node)
                self._spread(node.index)
                self._meet(node.index + 1)
                for value in self._ends.get(node.index + 1, ()):
                    self.machine.env.pop(value, None)
                if progress is not None and not node.index % 500:
                    progress(node.index, total)

    def _spread(self, index: int) -> None:
        node = self.tape.nodes[index]
        if not self._tainted and not self._tainted_groups:
            return
        groups = self._tainted_groups
        bad = any(
            v in self._tainted or (groups and self.tape.values[v].group in groups)
            for v in node.inputs
        )
        if bad:
            self._tainted.update(node.outputs)
            groups.update(self.tape.values[v].group for v in node.written)

    def _meet(self, time: int) -> None:
        taps = self._taps.get(time)
        if not taps:
            return
        for tap in taps:
            if tap.key in self.candidate.mismatched:
                self._tainted.add(tap.value)
                continue
            self._compare(tap)
        self.candidate.source.release()

    def _compare(self, tap: Tap) -> None:
        theirs = self.candidate.tensor(tap.key)
        if self.machine.edits:
            self.machine.at_tap(self.tape.number_of[tap.key])
        ours = self.machine.read(tap.value)
        error, norm = relative_error(theirs, ours)
        group = self.tape.values[tap.value].group
        uncertain = tap.value in self._tainted or group in self._tainted_groups
        hidden = tap.key.path in self.hidden
        self.found.append(Local(tap, error, norm, uncertain, hidden))
        if hidden or theirs.shape != ours.shape:
            return
        self._tainted.discard(tap.value)
        put_in(self.machine, tap.value, theirs)


def put_in(machine: Machine, value: int, tensor: Tensor) -> None:
    """Let a tensor stand for a value, in the type of the value."""
    known, tape = machine.tape.values[value], machine.tape
    tensor = tensor.to(known.dtype)
    if machine.precision is not None and tensor.is_floating_point():
        tensor = tensor.to(machine.precision.compute)
    if known.group in tape.writers and value in machine.env:
        # Others share this memory, and what is written there later must reach them.
        machine.env[value].copy_(tensor)
        return
    machine.env[value] = tensor.clone()


def relative_error(theirs: Tensor, ours: Tensor) -> tuple[float, float]:
    """Relative L2 of the difference of two tensors of one shape, and the norm of the first.

    NaN in the same places on both sides is no difference; elsewhere the error is infinite.
    """
    if theirs.shape != ours.shape:
        return math.inf, math.nan
    if not theirs.numel():
        return 0.0, 0.0
    if theirs.is_complex() != ours.is_complex():
        return math.inf, math.nan
    a, b = as_doubles(theirs), as_doubles(ours)
    difference = a - b
    if not bool(torch.isfinite(difference).all()):
        same = (torch.isnan(a) & torch.isnan(b)) | (a == b)
        difference = torch.where(same, torch.zeros_like(a), difference)
        a, b = torch.where(torch.isfinite(a), a, 0.0), torch.where(torch.isfinite(b), b, 0.0)
        if not bool(torch.isfinite(difference).all()):
            return math.inf, float(a.norm())
    norm, size = float(a.norm()), float(difference.norm())
    if size == 0.0:
        return 0.0, norm
    return size / max(norm, float(b.norm()), 1e-30), norm


def as_doubles(tensor: Tensor) -> Tensor:
    """A tensor in double precision; of complex numbers both parts, along a further axis."""
    return (torch.view_as_real(tensor) if tensor.is_complex() else tensor).double()


def last_uses(tape: Tape, edits: Mapping[int, Sequence[Edit]]) -> dict[int, int]:
    """When each value is needed for the last time, in operations done."""
    last: dict[int, int] = {}
    for node in tape.nodes:
        for value in (*node.inputs, *node.outputs):
            last[value] = node.index + 1
        for edit in edits.get(node.index, ()):
            for value in edit.reads:
                last[value] = max(last.get(value, 0), node.index + 1)
    for number, tap in enumerate(tape.taps):
        reads = [value for edit in edits.get(~number, ()) for value in edit.reads]
        for value in (tap.value, *reads):
            last[value] = max(last.get(value, 0), tap.at)
    return last
