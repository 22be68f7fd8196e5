"""How the operations of a written-out normalisation are read: operands, numbers, axes."""

from __future__ import annotations

import math
from typing import Any

from parity.diagnose.view import View
from parity.localize.tape import LEAF, Node, Ref

__all__ = ["axes_of", "from_parameter", "number_of", "operands_of", "reduced", "size_of"]

# They change no number: what goes in comes out in another shape.
SHAPES = frozenset({
    "float", "to", "type", "type_as", "contiguous", "clone", "detach", "double", "view", "reshape",
    "unsqueeze", "squeeze", "expand", "expand_as", "broadcast_to", "view_as", "alias",
})  # fmt: skip
_REFLECTED = frozenset({"__rsub__", "__rtruediv__", "__rdiv__", "__rpow__", "rsub"})


def operands_of(view: View, node: Node) -> tuple[Any, Any]:
    """What stands left and right of an operator, a `Ref` or a number each."""
    left = view.argument(node, 0, "input")
    right = view.argument(node, 1, "other", node.kwargs.get("exponent"))
    reflected = getattr(node.function, "__name__", "") in _REFLECTED
    return (right, left) if reflected else (left, right)


def number_of(view: View, value: Any) -> float | None:
    """A number, or what a constant of one element holds."""
    if isinstance(value, int | float):
        return float(value)
    if not isinstance(value, Ref) or view.tape.values[value.value].node != LEAF:
        return None
    tensor = view.value(value.value)
    return float(tensor) if tensor.numel() == 1 else None


def reduced(view: View, node: Node) -> tuple[int, tuple[int, ...]]:
    """What an operation reduces, and along which axes."""
    source = view.tensor_argument(node, 0, "input")
    if source is None:
        raise ValueError("no tensor is reduced")
    return source, axes_of(view, source, view.argument(node, 1, "dim", node.kwargs.get("axis")))


def axes_of(view: View, source: int, given: Any) -> tuple[int, ...]:
    """Axes as an argument gives them, from the end; all of them if it gives none."""
    rank = len(view.shape(source))
    if given is None or isinstance(given, bool):
        return tuple(range(-rank, 0))
    axes = given if isinstance(given, tuple | list) else (given,)
    return tuple(sorted((int(axis) % rank) - rank for axis in axes))


def size_of(view: View, value: int) -> int:
    """Number of elements."""
    return math.prod(view.shape(value))


def from_parameter(view: View, value: int) -> bool:
    """Whether a value is a parameter or buffer, perhaps in another shape."""
    node = view.producer(value)
    while node is not None and (node.name in SHAPES or node.name == "getitem"):
        if len(node.inputs) != 1 or size_of(view, node.inputs[0]) != size_of(view, value):
            return False
        value = node.inputs[0]
        node = view.producer(value)
    return view.is_parameter(value)
