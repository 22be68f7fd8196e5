"""Arguments of operations: where they stand, which are numbers, and changes of single ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from parity.localize.execute import Edit, Operands
from parity.localize.tape import Node, Ref, refs_of

__all__ = [
    "Binary",
    "Place",
    "as_binary",
    "binary_edit",
    "operand_edit",
    "places_of",
    "put",
    "rerun",
    "take",
]

Tensor = torch.Tensor

# Where an argument stands: ("args", 0), ("kwargs", "min"), ("args", 0, 1) within a list.
Place = tuple[str | int, ...]

_KINDS = {
    "add": "add", "add_": "add", "radd": "add", "sub": "sub", "sub_": "sub", "subtract": "sub",
    "rsub": "sub", "mul": "mul", "mul_": "mul", "multiply": "mul", "rmul": "mul", "div": "div",
    "div_": "div", "divide": "div", "true_divide": "div", "pow": "pow", "pow_": "pow",
    "float_power": "pow", "maximum": "maximum", "minimum": "minimum", "matmul": "matmul",
    "mm": "matmul", "bmm": "matmul",
}  # fmt: skip

# Called on what stands on the right: `1 - x` is `x.__rsub__(1)`.
_REVERSED = frozenset({
    "__rsub__", "rsub", "__rtruediv__", "__rdiv__", "__rpow__", "__rmatmul__",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Binary:
    """An operation of two operands.

    Attributes:
        node: the operation.
        kind: `add`, `sub`, `mul`, `div`, `pow`, `maximum`, `minimum` or `matmul`.
        left: what stands left, a `Ref` or a number.
        right: what stands right.
        places: where they stand among the arguments.
    """

    node: Node
    kind: str
    left: Any
    right: Any
    places: tuple[Place, Place]

    @property
    def values(self) -> tuple[int, ...]:
        """Those operands that are tensors."""
        return tuple(one.value for one in (self.left, self.right) if isinstance(one, Ref))

    @property
    def both(self) -> tuple[int, int] | None:
        """The operands, if both are tensors."""
        if isinstance(self.left, Ref) and isinstance(self.right, Ref):
            return self.left.value, self.right.value
        return None


def as_binary(node: Node) -> Binary | None:
    """An operation as one of two operands; None for others and for those with more options."""
    kind = _KINDS.get(node.name)
    if kind is None or not node.args:
        return None
    second: Place = ("args", 1)
    if len(node.args) < 2:
        name = next((n for n in ("other", "exponent", "mat2") if n in node.kwargs), None)
        if name is None:
            return None
        second = ("kwargs", name)
    if node.kwargs.get("alpha", 1) != 1 or node.kwargs.get("rounding_mode") is not None:
        return None
    places: tuple[Place, Place] = (("args", 0), second)
    if getattr(node.function, "__name__", "") in _REVERSED:
        places = (places[1], places[0])
    left, right = (take(node.args, node.kwargs, place) for place in places)
    if not all(isinstance(one, Ref) or _is_number(one) for one in (left, right)):
        return None
    return Binary(node, kind, left, right, places)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def binary_edit(binary: Binary, compute: Callable[..., Any], reads: tuple[int, ...] = ()) -> Edit:
    """The change that makes the result `compute(left, right, *reads)`."""
    first, second = binary.places

    def result(operands: Operands) -> Any:
        left = take(operands.args, operands.kwargs, first)
        right = take(operands.args, operands.kwargs, second)
        return compute(left, right, *operands.reads)

    return rerun(binary.node, result, reads)


def rerun(node: Node, result: Callable[[Operands], Any], reads: tuple[int, ...] = ()) -> Edit:
    """The change that makes an operation's result `result(operands)`, also of one in place."""
    if not node.written:
        return Edit(node.index, result, reads)

    def apply(operands: Operands) -> Any:
        target = operands.args[0]
        args = (target.clone(), *operands.args[1:])
        made = result(Operands(args, operands.kwargs, operands.default, operands.reads))
        return target.copy_(made)

    return Edit(node.index, apply, reads)


def operand_edit(
    node: Node,
    places: tuple[Place, ...],
    compute: Callable[..., Any],
    reads: tuple[int, ...] = (),
) -> Edit:
    """The change that puts `compute(argument, *reads)` in the place of arguments."""
    function = node.function

    def result(operands: Operands) -> Any:
        args, kwargs = operands.args, operands.kwargs
        for place in places:
            new = compute(take(args, kwargs, place), *operands.reads)
            args, kwargs = put(args, kwargs, place, new)
        return function(*args, **kwargs)

    if node.written and ("args", 0) not in places:
        return Edit(node.index, result, reads)
    return rerun(node, result, reads)


def places_of(node: Node, value: int) -> tuple[Place, ...]:
    """Where a tensor stands among the arguments of an operation."""
    found = [("args", *rest) for rest in _places(node.args, value)]
    found += [("kwargs", *rest) for rest in _places(node.kwargs, value)]
    return tuple(found)


def _places(holder: Any, value: int) -> Iterator[Place]:
    items: Iterator[tuple[Any, Any]]
    if isinstance(holder, dict):
        items = iter(holder.items())
    elif isinstance(holder, tuple | list) and not isinstance(holder, Ref):
        items = iter(enumerate(holder))
    else:
        return
    for key, item in items:
        if isinstance(item, Ref):
            if item.value == value:
                yield (key,)
        elif value in refs_of(item):
            for rest in _places(item, value):
                yield (key, *rest)


def take(args: tuple[Any, ...], kwargs: dict[str, Any], place: Place) -> Any:
    """The argument at a place."""
    found: Any = args if place[0] == "args" else kwargs
    for key in place[1:]:
        found = found[key]
    return found


def put(
    args: tuple[Any, ...], kwargs: dict[str, Any], place: Place, new: Any
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments with another one at a place."""
    if place[0] == "args":
        changed: tuple[Any, ...] = _with(args, place[1:], new)
        return changed, kwargs
    altered: dict[str, Any] = _with(kwargs, place[1:], new)
    return args, altered


def _with(holder: Any, keys: Place, new: Any) -> Any:
    if not keys:
        return new
    if isinstance(holder, dict):
        return {**holder, keys[0]: _with(holder[keys[0]], keys[1:], new)}
    items = list(holder)
    index = int(keys[0])
    items[index] = _with(items[index], keys[1:], new)
    return tuple(items) if isinstance(holder, tuple) else items
