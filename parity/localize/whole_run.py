"""Runs the whole reference: with operations replaced, or with tensors of the candidate put in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch

from parity.localize.candidate import Candidate
from parity.localize.execute import Edit, Machine, Precision
from parity.localize.local_errors import last_uses, put_in, relative_error
from parity.localize.tape import Tap, Tape

__all__ = ["forward", "output_error", "splice"]

Tensor = torch.Tensor


def forward(
    tape: Tape,
    wanted: Sequence[Tap],
    *,
    edits: Mapping[int, Sequence[Edit]] | None = None,
    put: Mapping[Tap, Tensor] | None = None,
    precision: Precision | None = None,
    leaves: Mapping[int, Tensor] | None = None,
) -> list[Tensor]:
    """Run the tape from its inputs to its end.

    Control flow is that of the recorded run: as many steps, the same branches.

    Args:
        tape: the reference's run.
        wanted: the taps whose tensors are returned.
        edits: operations that are replaced, by index.
        put: tensors that stand in for those at these taps, from the moment of the tap on.
        precision: in which to compute; that of the recording by default.
        leaves: other tensors for leaves, by value.

    Returns:
        The tensors of `wanted` as they were when they were captured.
    """
    machine = Machine(tape, dict(leaves or {}), edits=edits or {}, precision=precision)
    found: dict[Tap, Tensor] = {}
    stops: dict[int, list[Tap]] = {}
    for tap in wanted:
        stops.setdefault(tap.at, []).append(tap)
    given: dict[int, list[Tap]] = {}
    for tap in put or {}:
        given.setdefault(tap.at, []).append(tap)
    ends: dict[int, list[int]] = {}
    for value, time in last_uses(tape, edits or {}).items():
        ends.setdefault(time, []).append(value)

    changed: dict[int, list[int]] = {}
    for place in edits or {}:
        if place < 0:
            changed.setdefault(tape.taps[~place].at, []).append(~place)

    def meet(time: int) -> None:
        for number in sorted(changed.get(time, ())):
            machine.at_tap(number)
        for tap in given.get(time, ()):
            put_in(machine, tap.value, (put or {})[tap])
        for tap in stops.get(time, ()):
            found[tap] = machine.read(tap.value).clone()

    with torch.no_grad():
        meet(0)
        for node in tape.nodes:
            machine.step(node)
            meet(node.index + 1)
            for value in ends.get(node.index + 1, ()):
                machine.env.pop(value, None)
    return [found[tap] for tap in wanted]


def splice(tape: Tape, candidate: Candidate, taps: Sequence[Tap], output: Tap) -> float:
    """Reverse splicing: how far the output is off when the candidate's tensors stand at `taps`.

    Returns:
        Relative L2 of the candidate's output against that output of the reference: 0 if all of the
        candidate's error has entered by then, its whole error if none has.
    """
    put = {tap: candidate.tensor(tap.key) for tap in taps}
    (made,) = forward(tape, [output], put=put)
    return output_error(candidate.tensor(output.key), made)


def output_error(theirs: Tensor, ours: Tensor) -> float:
    """Relative L2 over what both have: the longer one is cut to the shorter along each axis."""
    if theirs.dim() != ours.dim():
        return math.inf
    both = tuple(slice(0, min(a, b)) for a, b in zip(theirs.shape, ours.shape, strict=True))
    return relative_error(theirs[both], ours[both])[0]
