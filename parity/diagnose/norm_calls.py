"""Normalisations that torch has one operation for, and the values they read."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch

from parity.diagnose.normalisation import Affine, Recipe
from parity.diagnose.view import View
from parity.localize.tape import Node

__all__ = ["Slots", "from_call"]

Tensor = torch.Tensor
Slot = tuple[int, tuple[int, ...]]
_FIELDS = ("weight", "bias", "mean", "variance")


@dataclass(frozen=True, slots=True)
class Slots:
    """Values that a normalisation reads besides its input, with the shape they are broadcast in.

    Attributes:
        weight: multiplied.
        bias: added.
        mean: running mean.
        variance: running variance.
    """

    weight: Slot | None = None
    bias: Slot | None = None
    mean: Slot | None = None
    variance: Slot | None = None

    @property
    def values(self) -> tuple[int, ...]:
        """Those that are there, in the order of the fields."""
        return tuple(slot[0] for slot in self._all() if slot is not None)

    def affine(self, tensors: tuple[Tensor, ...]) -> Affine:
        """The tensors of `values` under their names, in their shapes."""
        rest = iter(tensors)
        found = [None if slot is None else next(rest).reshape(slot[1]) for slot in self._all()]
        return Affine(*found)

    def having(self, field: str, value: int, shape: tuple[int, ...]) -> Slots:
        """The same with one more."""
        return replace(self, **{field: (value, shape)})

    def _all(self) -> tuple[Slot | None, ...]:
        return (self.weight, self.bias, self.mean, self.variance)


Call = tuple[int, Recipe, Slots]


def from_call(view: View, node: Node) -> Call | None:
    """What an operation normalises, how, and with which values; None for other operations."""
    reader = _READERS.get(node.name)
    source = view.tensor_argument(node, 0, "input") if reader is not None else None
    if reader is None or source is None or not view.shape(source):
        return None
    try:
        found = reader(view, node, source)
    except (TypeError, ValueError, IndexError):
        return None
    return (source, *found) if found is not None else None


def _number(view: View, node: Node, position: int, name: str, default: float) -> float:
    found = view.argument(node, position, name, default)
    return float(default if found is None else found)


def _slots(
    view: View, node: Node, shape: tuple[int, ...] | None, places: dict[str, tuple[int, str]]
) -> Slots:
    """The tensors among the arguments; in `shape`, or their own if that is None."""
    slots = Slots()
    for field, (position, name) in places.items():
        value = view.tensor_argument(node, position, name)
        if value is not None:
            slots = slots.having(field, value, shape or view.shape(value))
    return slots


def _per_channel(view: View, source: int) -> tuple[int, ...]:
    shape = view.shape(source)
    return (shape[1], *(1 for _ in shape[2:]))


def _last_axes(view: View, node: Node) -> tuple[int, ...]:
    extents: Any = view.argument(node, 1, "normalized_shape", ())
    count = len(extents) if isinstance(extents, tuple | list) else 1
    return tuple(range(-count, 0))


def _layer(view: View, node: Node, source: int) -> tuple[Recipe, Slots]:
    del source
    eps = _number(view, node, 4, "eps", 1e-5)
    slots = _slots(view, node, None, {"weight": (2, "weight"), "bias": (3, "bias")})
    return Recipe(True, "deviation", _last_axes(view, node), eps=eps), slots


def _rms(view: View, node: Node, source: int) -> tuple[Recipe, Slots]:
    least = torch.finfo(view.tape.values[source].dtype).eps
    eps = _number(view, node, 3, "eps", least)
    slots = _slots(view, node, None, {"weight": (2, "weight")})
    return Recipe(False, "moment", _last_axes(view, node), eps=eps), slots


def _group(view: View, node: Node, source: int) -> tuple[Recipe, Slots]:
    rank = len(view.shape(source))
    groups = int(view.argument(node, 1, "num_groups"))
    eps = _number(view, node, 4, "eps", 1e-5)
    shape = _per_channel(view, source)
    slots = _slots(view, node, shape, {"weight": (2, "weight"), "bias": (3, "bias")})
    axes = tuple(range(1 - rank, 0))
    return Recipe(True, "deviation", axes, 1 - rank, groups, eps=eps), slots


_STATISTICS = {"weight": (3, "weight"), "bias": (4, "bias")}
_RUNNING = {"mean": (1, "running_mean"), "variance": (2, "running_var")}


def _batch(view: View, node: Node, source: int) -> tuple[Recipe, Slots]:
    rank = len(view.shape(source))
    running = not view.argument(node, 5, "training", False)
    eps = _number(view, node, 7, "eps", 1e-5)
    slots = _slots(view, node, _per_channel(view, source), _RUNNING | _STATISTICS)
    axes = (-rank, *range(2 - rank, 0))
    running = running and slots.mean is not None and slots.variance is not None
    return Recipe(True, "deviation", axes, 1 - rank, eps=eps, running=running), slots


def _instance(view: View, node: Node, source: int) -> tuple[Recipe, Slots] | None:
    rank = len(view.shape(source))
    if rank < 3:
        return None
    own = bool(view.argument(node, 5, "use_input_stats", True))
    eps = _number(view, node, 7, "eps", 1e-5)
    places = _STATISTICS if own else _RUNNING | _STATISTICS
    slots = _slots(view, node, _per_channel(view, source), places)
    return Recipe(
        True, "deviation", tuple(range(2 - rank, 0)), 1 - rank, eps=eps, running=not own
    ), slots


def _length(view: View, node: Node, source: int) -> tuple[Recipe, Slots] | None:
    if not math.isclose(_number(view, node, 1, "p", 2.0), 2.0):
        return None
    axis: Any = view.argument(node, 2, "dim", 1)
    axes = axis if isinstance(axis, tuple | list) else (axis,)
    rank = len(view.shape(source))
    axes = tuple((int(one) % rank) - rank for one in axes)
    eps = _number(view, node, 3, "eps", 1e-12)
    return Recipe(False, "length", axes, axes[-1], eps=eps, place="floor"), Slots()


_READERS = {
    "layer_norm": _layer,
    "rms_norm": _rms,
    "group_norm": _group,
    "batch_norm": _batch,
    "instance_norm": _instance,
    "normalize": _length,
}
