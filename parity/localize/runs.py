"""The runs that are walked side by side to see what rounding alone does."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from parity.localize.execute import Edit, Machine, Operands, Precision
from parity.localize.precision import rounded_to
from parity.localize.reorder import reordered
from parity.localize.tape import LEAF, Node, Tape

__all__ = ["PRECISIONS", "RoundingRun", "threads", "variants"]

Tensor = torch.Tensor

PRECISIONS: Mapping[str, torch.dtype] = {
    "float64": torch.float64,
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
_HALVES = (torch.float16, torch.bfloat16)

# Libraries agree on these to about a unit in the last place and no better.
_TRANSCENDENTAL = frozenset({
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "tanh", "sigmoid",
    "erf", "rsqrt", "pow", "softmax", "log_softmax", "logsumexp", "gelu", "silu", "elu", "selu",
    "mish", "softplus", "logsigmoid", "hardswish", "atan2", "cumsum", "cumprod",
})  # fmt: skip


@dataclass(slots=True, eq=False)
class RoundingRun:
    """One run of the tape beside the others.

    Attributes:
        name: in words.
        machine: its values.
        precisions: the precisions of a port that it tells something about.
        threads: with how many it computes.
    """

    name: str
    machine: Machine
    precisions: frozenset[str]
    threads: int

    def step(self, node: Node) -> None:
        """Run one operation."""
        with threads(self.threads):
            self.machine.step(node)


def variants(tape: Tape, precisions: Sequence[str], count: int) -> list[RoundingRun]:
    """The runs whose distance from the exact one is the noise of these precisions.

    The first is the recorded run's own, which every comparison starts from.

    Args:
        tape: the reference's run.
        precisions: names from `PRECISIONS`.
        count: threads that the recorded run computed with.
    """
    found = [RoundingRun("as recorded", Machine(tape), frozenset(precisions), count)]
    for name in precisions:
        made = _halves(tape, name) if PRECISIONS[name] in _HALVES else []
        made = _singles(tape, count) if name == "float32" else made
        found += [RoundingRun(what, m, frozenset({name}), n or count) for what, m, n in made]
    return found


def _singles(tape: Tape, count: int) -> list[tuple[str, Machine, int]]:
    # A reference in half precision has a float32 port compute what it computes in float32.
    halves = any(value.dtype in _HALVES for value in tape.values)
    precision = Precision(torch.float32) if halves else None
    unit = _unit(torch.float32)
    made = [
        ("sums in another order", Machine(tape, edits=reordered(tape), precision=precision), 0),
        (
            "leaves and functions off by half a unit",
            Disturbed(tape, edits=_disturbed(tape, unit), precision=precision, unit=unit),
            0,
        ),
    ]
    if _cores() > 1:
        other = 2 if count == 1 else 1
        made.append((f"{other} threads", Machine(tape, precision=precision), other))
    return made


def _halves(tape: Tape, name: str) -> list[tuple[str, Machine, int]]:
    dtype = PRECISIONS[name]
    precision, unit = Precision(torch.float32, dtype), _unit(dtype)
    # What replaces an operation replaces its rounding too.
    # Sums of half precision are kept in float32, so that their order hardly counts.
    edits = dict(reordered(tape, lambda tensor: rounded_to(tensor, dtype), work=0))
    return [
        (f"rounded to {name}", Machine(tape, precision=precision), 0),
        (
            f"rounded to {name}, leaves off by half a unit, sums in another order",
            Disturbed(tape, edits=edits, precision=precision, unit=unit),
            0,
        ),
    ]


def _unit(dtype: torch.dtype) -> float:
    """Half the spacing of numbers at 1.0: what one rounding may cost, relatively."""
    return torch.finfo(dtype).eps / 2


@dataclass(slots=True, eq=False)
class Disturbed(Machine):
    """A machine whose leaves (weights, inputs, draws) are off by up to a relative `unit`."""

    unit: float = 0.0

    def _leaf(self, value: int) -> Tensor:
        # Not super(): a dataclass with slots is another class than the one that super() means.
        tensor = Machine._leaf(self, value)
        if self.tape.values[value].node != LEAF or not tensor.is_floating_point():
            return tensor
        found = _off(tensor, self.unit, seed=value)
        rounded = self.precision.rounded if self.precision is not None else None
        return found if rounded is None else rounded_to(found, rounded)


def _disturbed(tape: Tape, unit: float) -> Mapping[int, Sequence[Edit]]:
    return {
        node.index: [Edit(node.index, partial(_disturb, unit, node.index))]
        for node in tape.nodes
        if node.name in _TRANSCENDENTAL
    }


def _disturb(unit: float, seed: int, given: Operands) -> Any:
    result = given.default()
    plain = isinstance(result, Tensor) and result.is_floating_point()
    return _off(result, unit, seed=seed) if plain else result


def _off(tensor: Tensor, unit: float, *, seed: int) -> Tensor:
    """`tensor` with each number off by up to a relative `unit`, always in the same way."""
    dice = torch.Generator().manual_seed(seed)
    share = torch.rand(tensor.shape, generator=dice, dtype=torch.float32).to(tensor.device)
    off = torch.nan_to_num(tensor, 0.0, 0.0, 0.0) * ((2 * share - 1) * unit).to(tensor.dtype)
    return tensor + off


def _cores() -> int:
    affinity: Callable[[int], set[int]] | None = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute with this many threads in the meantime."""
    before = torch.get_num_threads()
    if count == before:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
