"""Where numbers go that are only moved: what views, cuts and transposes make of a last axis.

The operations are run on the numbers of the channels in the place of the channels, so that every
spelling of a cut into heads looks alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from parity.diagnose.view import View
from parity.localize.tape import LEAF, Node, Ref, refs_of, resolve

__all__ = ["MOVES", "Part", "moved_parts", "source_of"]

Tensor = torch.Tensor

# Operations that move numbers and change none.
MOVES = frozenset({
    "view", "reshape", "transpose", "permute", "unbind", "chunk", "split", "split_with_sizes",
    "getitem", "__getitem__", "contiguous", "flatten", "unflatten", "squeeze", "unsqueeze",
    "swapaxes", "swapdims", "movedim", "moveaxis", "narrow", "select", "t", "mT", "tensor_split",
    "clone", "to", "float", "type_as", "type", "view_as", "detach", "dropout", "alias", "T",
    "reshape_as", "index_select", "hsplit", "dsplit", "rearrange", "__get__", "double", "half",
    "expand", "expand_as", "repeat", "repeat_interleave", "cat", "tile", "roll", "flip",
})  # fmt: skip
_FURTHEST = 40


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A value that holds some of the channels of another.

    Attributes:
        value: the value.
        channels: the numbers of the channels, [heads, size] or [size].
        axes: on which axes of the value they lie.
    """

    value: int
    channels: Tensor
    axes: tuple[int, ...]


def moved_parts(view: View, source: int) -> list[Part]:
    """What becomes of the last axis of a value until something is computed with it.

    Returns:
        The values that are only moved pieces of it and that an operation other than a move reads,
        in the order in which they were made; empty where that cannot be told.
    """
    tape, shape = view.tape, view.shape(source)
    if len(shape) < 2 or not 2 <= shape[-1] <= 65536:
        return []
    # Other axes are cut down by what is moved along them, so that each element has its channel.
    numbers = torch.arange(shape[-1]).expand(shape).clone()
    if numbers.numel() > 4_000_000:
        return []
    known: dict[int, Tensor] = {source: numbers}
    ends: list[int] = []
    queue = [source]
    steps = 0
    while queue and steps < _FURTHEST:
        value = queue.pop(0)
        readers = [tape.nodes[i] for i in tape.readers.get(value, ())[:8]]
        steps += len(readers)
        moves = [_move(node, known) if node.name in _PURE else None for node in readers]
        fresh = {v: t for made in moves if made is not None for v, t in made.items()}
        if None in moves or _within_heads(known[value], list(fresh.values())):
            ends.append(value)
        if not _within_heads(known[value], list(fresh.values())):
            queue += [v for v in fresh if v not in known]
            known.update(fresh)
    parts = [_part(value, known[value]) for value in sorted(ends)]
    return [part for part in parts if part is not None]


_PURE = MOVES - {"expand", "expand_as", "repeat", "repeat_interleave", "cat", "tile", "dropout"}


def _within_heads(numbers: Tensor, pieces: Sequence[Tensor]) -> bool:
    """Whether heads are cut into pieces themselves, as for a rotation, not into three parts."""
    whole = _axes(numbers)
    cuts = [p for p in pieces if p.numel() < numbers.numel()]
    if len(whole) < 2 or len(cuts) == 3:
        return False
    size = numbers.shape[whole[-1]]
    return any((axes := _axes(p)) and p.shape[axes[-1]] != size for p in cuts)


def _move(node: Node, known: dict[int, Tensor]) -> dict[int, Tensor] | None:
    """The numbers after a move; None if it cannot be run on them."""
    if node.written or any(v not in known for v in node.inputs[:1]) or len(node.inputs) > 1:
        return None
    if node.name in ("to", "float", "type_as", "type", "double", "half", "detach"):
        return dict.fromkeys(node.outputs, known[node.inputs[0]])
    try:
        args = resolve(node.args, known.__getitem__)
        kwargs = resolve(node.kwargs, known.__getitem__)
        made = node.function(*args, **kwargs)
    except (RuntimeError, TypeError, KeyError, ValueError, IndexError, AttributeError):
        return None
    items = [made] if isinstance(made, Tensor) else list(made) if _is_list(made) else []
    values = list(refs_of(node.result))
    if len(items) != len(values) or not all(isinstance(i, Tensor) for i in items):
        return None
    return dict(zip(values, items, strict=True))


def _is_list(made: object) -> bool:
    return isinstance(made, tuple | list)


def _axes(numbers: Tensor) -> tuple[int, ...]:
    """The axes along which the channels change."""
    return tuple(
        axis
        for axis in range(numbers.dim())
        if numbers.shape[axis] > 1 and bool((numbers.diff(dim=axis) != 0).any())
    )


def _part(value: int, numbers: Tensor) -> Part | None:
    """The channels of a value as a matrix of heads, or None if they do not lie so."""
    axes = _axes(numbers)
    if not 1 <= len(axes) <= 3:
        return None
    channels = numbers
    for axis in range(numbers.dim()):
        if axis not in axes:
            channels = channels.narrow(axis, 0, 1)
    channels = channels.reshape([numbers.shape[axis] for axis in axes])
    # Pairs of channels that a rotation will take apart are the inside of a head.
    paired = channels.dim() == 3 and channels.shape[-1] == 2
    return Part(value, channels.flatten(1) if paired else channels, axes)


def source_of(view: View, value: int, *, through: frozenset[str] = MOVES) -> int:
    """The value from which another comes by moves alone, as far back as they go."""
    tape = view.tape
    for _ in range(_FURTHEST):
        index = tape.values[value].node
        if index == LEAF:
            return value
        node = tape.nodes[index]
        if node.name not in through or not node.args or not isinstance(node.args[0], Ref):
            return value
        value = node.args[0].value
    return value
