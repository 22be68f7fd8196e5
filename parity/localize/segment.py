"""A tap together with the part of the reference between it and the tensors known before it."""

from __future__ import annotations

import math
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import cast

import torch

from parity.localize.candidate import Candidate
from parity.localize.execute import Edit, Environment, Machine, Precision, affected
from parity.localize.local_errors import put_in, relative_error
from parity.localize.slices import Cuts, Slice, slice_of
from parity.localize.tape import LEAF, Tap, Tape

__all__ = ["Segment", "candidate_precision"]

Tensor = torch.Tensor
Edits = Mapping[int, Sequence[Edit]]

# Rounding of a sum in another order, of K float32 terms: 1.1e-6 was measured for K = 4096 in
# sequence. Four times that, and six times what float32 differs from float64 here, is noise.
_SUM_FLOOR = 4 * 1.1e-6 / math.sqrt(4096)
_FLOAT32_FLOOR = 6e-7
_MOST_FETCHED = 16  # operations between known tensors and one that a change reads
_MOST_RAISED = 30.0  # how much worse conditioned a change may make it
_FAILURES = (RuntimeError, IndexError, ValueError, TypeError, KeyError, AttributeError)
_HALF = {torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8}


class Segment:
    """One tap of the candidate, and what the reference makes of the tensors before it.

    Attributes:
        tape: the reference's run.
        candidate: the candidate's tensors.
        slice: the operations and where they start.
        theirs: the candidate's tensor at the tap.
        known: all tensors that the candidate has, by value.
        active: operations that were found to be different already.
    """

    def __init__(
        self,
        tape: Tape,
        candidate: Candidate,
        tap: Tap,
        cuts: Cuts,
        *,
        active: Edits | None = None,
        keep_going: Callable[[Tap], bool] | None = None,
    ) -> None:
        self.tape = tape
        self.candidate = candidate
        self.tap = tap
        self.slice: Slice = slice_of(tape, tap, cuts, keep_going=keep_going)
        self.theirs: Tensor = candidate.tensor(tap.key)
        self.active: Edits = active or {}
        self.known: Cuts = cuts
        self._cuts: dict[int, list[tuple[Tap, Tensor]]] = {}
        for cut in self.slice.cuts:
            self._cuts.setdefault(cut.at, []).append((cut, candidate.tensor(cut.key)))

    @property
    def nodes(self) -> tuple[int, ...]:
        """The operations, in order."""
        return self.slice.nodes

    @cached_property
    def env(self) -> Environment:
        """Every value in it, computed on the candidate's tensors; of the run's end."""
        return self._run(Machine(self.tape, edits=self.active), self.nodes).env

    @property
    def tap_number(self) -> int:
        """Place of the tap among the tape's."""
        return self.tape.number_of[self.tap.key]

    @cached_property
    def ours(self) -> Tensor:
        """What the reference has at the tap, on the candidate's tensors."""
        return self._result(Machine(self.tape, dict(self.env), edits=self.active)).clone()

    @cached_property
    def error(self) -> float:
        """Relative L2 of the candidate's tensor against that; infinite if it cannot be run."""
        return relative_error(self.theirs, self.ours)[0] if self.runs else math.inf

    @cached_property
    def runs(self) -> bool:
        """Whether the operations can be run on these tensors: changes may not fit others."""
        try:
            return self.ours is not None
        except _FAILURES:
            return False

    @cached_property
    def precision(self) -> torch.dtype:
        """In which the candidate computes, as its tensors show."""
        return candidate_precision([self.theirs, *(t for c in self._cuts.values() for _, t in c)])

    @cached_property
    def floor(self) -> float:
        """The relative error up to which rounding alone explains a difference here."""
        if not self.runs or not self.ours.is_floating_point():
            return 0.0
        changed = any(node in self.active for node in (*self.nodes, ~self.tap_number))
        if not changed:
            return self._floor_under(self.active)
        return self._raised(self._floor_under({}), self._floor_under(self.active))

    def floor_with(self, edits: Iterable[Edit]) -> float:
        """The same where further operations are replaced, which may be worse conditioned."""
        if not self.runs or not self.ours.is_floating_point():
            return 0.0
        return self._raised(self.floor, self._floor_under(self._with(edits)))

    def _raised(self, floor: float, changed: float) -> float:
        return min(max(floor, changed), _MOST_RAISED * floor)

    def _with(self, edits: Iterable[Edit]) -> Edits:
        """The active edits and further ones, in front of them: the active may be very many."""
        further: dict[int, list[Edit]] = {}
        for edit in edits:
            if edit.node not in further:
                further[edit.node] = list(self.active.get(edit.node, ()))
            further[edit.node].append(edit)
        return ChainMap(further, cast("dict[int, list[Edit]]", self.active))

    def _floor_under(self, edits: Edits) -> float:
        unit = _HALF.get(self.precision)
        wide = (
            Precision(torch.float64) if unit is None else Precision(torch.float32, self.precision)
        )
        try:
            plain, other = self._made(edits, None), self._made(edits, wide)
            own = relative_error(plain.to(other.dtype), other)[0]
        except _FAILURES:
            own = 0.0  # an operation that this precision has no kernel for
        if unit is not None:
            return max(4 * own, 2 * unit)
        return max(6 * own, _SUM_FLOOR * math.sqrt(self._longest_sum()), _FLOAT32_FLOOR)

    def _made(self, edits: Edits, precision: Precision | None) -> Tensor:
        """What the reference has at the tap with operations replaced, in some precision."""
        if precision is None and edits is self.active:
            return self.ours
        machine = Machine(self.tape, edits=edits, precision=precision)
        self._run(machine, self.nodes)
        return self._result(machine)

    def run(self, edits: Iterable[Edit]) -> Tensor:
        """What the reference has at the tap with further operations replaced.

        Raises:
            RuntimeError: an operation cannot be run so, for instance for its shapes.
        """
        edits = tuple(edits)
        by_node = self._with(edits)
        starts = [edit.node for edit in edits if edit.node >= 0]
        again, fresh = self._again(starts, by_node)
        env = {v: t for v, t in self.env.items() if self.tape.values[v].group not in fresh}
        machine = Machine(self.tape, env, edits=by_node)
        self._run(machine, again, groups=fresh)
        return self._result(machine)

    def error_with(self, edits: Iterable[Edit]) -> float:
        """Relative L2 at the tap with further operations replaced; infinite if that fails."""
        try:
            return relative_error(self.theirs, self.run(edits))[0]
        except _FAILURES:
            return math.inf

    def disturbed(self, edits: Iterable[Edit], scale: float) -> Tensor:
        """What the reference has at the tap, with other operations, on other tensors.

        Every known tensor of floating point is multiplied by `scale` and by random numbers around
        1, the same ones each time.

        Raises:
            RuntimeError: an operation cannot be run so.
        """
        machine = Machine(self.tape, edits=self._with(edits))
        self._run(machine, self.nodes, disturb=scale)
        return self._result(machine)

    def _again(self, starts: Sequence[int], edits: Edits) -> tuple[list[int], set[int]]:
        """What has to be run again after a change, and the memory that starts afresh for it."""
        tape = self.tape
        again = set(affected(tape, self.nodes, starts, edits))
        fresh: set[int] = set()
        while True:
            groups = {
                group
                for index in again
                for value in (*tape.nodes[index].inputs, *tape.nodes[index].written)
                if (group := tape.values[value].group) in tape.writers
            } - fresh
            if not groups:
                return sorted(again), fresh
            fresh |= groups
            touching = [
                index
                for index in self.nodes
                if any(
                    tape.values[v].group in groups
                    for v in (*tape.nodes[index].outputs, *tape.nodes[index].written)
                )
            ]
            again.update(affected(tape, self.nodes, touching, edits))

    def _run(
        self,
        machine: Machine,
        nodes: Sequence[int],
        *,
        groups: set[int] | None = None,
        disturb: float | None = None,
    ) -> Machine:
        times = sorted(self._cuts)
        position = 0

        def inject(until: int) -> None:
            nonlocal position
            while position < len(times) and times[position] <= until:
                for cut, known in self._cuts[times[position]]:
                    tensor = known if disturb is None else _disturbed(known, disturb)
                    if groups is None or self.tape.values[cut.value].group in groups:
                        put_in(machine, cut.value, tensor)
                position += 1

        with torch.no_grad():
            for index in nodes:
                inject(index)
                self._lend(machine, index, index)
                machine.step(self.tape.nodes[index])
            inject(self.tap.at)
        return machine

    def _lend(self, machine: Machine, changed: int, time: int) -> None:
        """Fetch what changes of an operation, or of a tap, read from outside the segment."""
        for edit in machine.edits.get(changed, ()):
            for value in edit.reads:
                if value not in machine.env and self.tape.values[value].node != LEAF:
                    self._fetch(machine, value, time)

    def _fetch(self, machine: Machine, value: int, index: int) -> None:
        """A value of before an operation: the candidate's, or computed from such in a few steps."""
        tape = self.tape
        needed: set[int] = set()
        queue = [value]
        while queue:
            one = queue.pop()
            taps = [tap for tap in self.known.get(one, ()) if tap.at <= index]
            made_by = tape.values[one].node
            if one in machine.env or made_by == LEAF or made_by in needed:
                continue
            if taps:
                machine.env[one] = self.candidate.tensor(taps[-1].key).to(tape.values[one].dtype)
                continue
            needed.add(made_by)
            queue += tape.nodes[made_by].inputs
            if len(needed) > _MOST_FETCHED or tape.values[one].group in tape.writers:
                return
        for step in sorted(needed):
            machine.step(tape.nodes[step])

    def _result(self, machine: Machine) -> Tensor:
        if machine.edits:
            self._lend(machine, ~self.tap_number, self.tap.at)
            machine.at_tap(self.tap_number)
        return machine.read(self.tap.value)

    def _longest_sum(self) -> int:
        return max((_summed(self.tape, index) for index in self.nodes), default=1)


def _summed(tape: Tape, index: int) -> int:
    """How many terms the sums of an operation have, roughly: the longest of its inputs' rows."""
    node = tape.nodes[index]
    if node.name not in _SUMS or not node.inputs:
        return 1
    shapes = [tape.values[value].shape for value in node.inputs]
    if node.name.startswith("conv"):
        return max((math.prod(shape[1:]) for shape in shapes[1:]), default=1)
    return max((shape[-1] for shape in shapes if shape), default=1)


_SUMS = frozenset({
    "linear", "matmul", "bmm", "mm", "addmm", "baddbmm", "einsum", "conv1d", "conv2d", "conv3d",
    "conv_transpose1d", "conv_transpose2d", "scaled_dot_product_attention", "layer_norm",
    "group_norm", "rms_norm", "sum", "mean", "var", "lstm", "gru", "stft", "bilinear",
})  # fmt: skip


def candidate_precision(tensors: Iterable[Tensor]) -> torch.dtype:
    """The type that a candidate computes in: of its tensors, or one that holds all their numbers.

    A port in half precision that dumps float32 shows itself by numbers with no further digits.
    """
    floats = [t for t in tensors if t.is_floating_point() and t.numel() >= 8]
    for dtype in (torch.bfloat16, torch.float16):
        if any(t.dtype is dtype for t in floats):
            return dtype
    wide = [t for t in floats if t.dtype is torch.float32]
    if not wide:
        return torch.float32
    for dtype in (torch.bfloat16, torch.float16):
        if all(_holds(dtype, t) for t in wide):
            return dtype
    return torch.float32


def _holds(dtype: torch.dtype, tensor: Tensor) -> bool:
    """Whether a type has all numbers of a tensor, and the tensor has more than a few."""
    finite = tensor[torch.isfinite(tensor)]
    if not finite.numel() or torch.equal(finite, finite.round()):
        return False  # zeros, ones and counts say nothing
    return bool(torch.equal(finite.to(dtype).to(tensor.dtype), finite))


def _disturbed(tensor: Tensor, scale: float) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    generator = torch.Generator().manual_seed(tensor.numel())
    noise = torch.randn(tensor.shape, generator=generator)
    return (tensor.float() * scale * (1 + 0.3 * noise)).to(tensor.dtype)


def is_leaf(tape: Tape, value: int) -> bool:
    """Whether no operation made a value."""
    return tape.values[value].node == LEAF
