"""One operation of the tape in another precision than it was recorded in.

Two kinds: wider, where everything that was computed in float32 or less is computed in float64; and
narrower, where each result is computed in float32 and then rounded to half precision, as kernels
that accumulate in float32 do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch

from parity.localize.tape import Node, Ref, Tape

__all__ = ["Precision", "leaf_in", "positional", "rounded_to", "run_in"]

Tensor = torch.Tensor

_NARROW = (torch.float32, torch.float16, torch.bfloat16)
_CONVERSIONS = frozenset({"float", "half", "bfloat16", "double", "to", "type", "type_as"})
# They move numbers that are rounded already.
_COPIES = frozenset({
    "setitem", "__setitem__", "copy_", "zero_", "index_copy_", "index_put_", "scatter_",
    "masked_scatter_", "squeeze_", "unsqueeze_", "transpose_", "t_", "set_", "resize_",
})  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Precision:
    """A run in another precision.

    Attributes:
        compute: the type in which operations that would compute in float32 compute.
        rounded: the type to which each result is rounded before it is used; None for none.
    """

    compute: torch.dtype = torch.float32
    rounded: torch.dtype | None = None

    def of(self, dtype: torch.dtype) -> torch.dtype:
        """What stands for `dtype` in this run."""
        if dtype in _NARROW:
            return self.compute
        if dtype is torch.complex64 and self.compute is torch.float64:
            return torch.complex128
        return dtype


def leaf_in(precision: Precision, tensor: Tensor) -> Tensor:
    """What a tensor that no operation made is in this run."""
    return _rounded(tensor.to(precision.of(tensor.dtype)), precision)


def run_in(
    precision: Precision, tape: Tape, node: Node, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """The result of one operation; what it writes in place is in that precision too.

    Args:
        precision: in which to compute.
        tape: the run that the operation belongs to.
        node: the operation.
        args: its arguments, tensors as they are in this run.
        kwargs: its keyword arguments, in the same way.
    """
    own = precision.rounded is not None and _is_positional(tape, node)
    if precision.rounded is not None and not own:
        args, kwargs = _with_rounded_tables(precision, tape, node, args, kwargs)
    result = _called(precision, tape, node, args, kwargs)
    if precision.rounded is not None and not own and node.name not in _COPIES:
        for value, tensor in _pairs((node.args, node.kwargs), (args, kwargs)):
            if value in node.written:
                tensor.copy_(_rounded(tensor, precision))
    inside = {_storage(tensor) for _, tensor in _pairs((node.args, node.kwargs), (args, kwargs))}

    def finish(tensor: Tensor) -> Tensor:
        kept = tensor.to(precision.of(tensor.dtype))
        # A view of what was rounded must go on sharing its memory.
        return kept if own or _storage(kept) in inside else _rounded(kept, precision)

    return _map(result, finish)


def _called(
    precision: Precision, tape: Tape, node: Node, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    if _reinterprets(node):
        return _as_recorded(tape, node, args, kwargs)
    if node.name in _CONVERSIONS:
        return _converted(precision, tape, node, args, kwargs)
    try:
        with _default(precision, tape, node):
            return node.function(*_with_dtype(args, precision), **_with_dtype(kwargs, precision))
    except (RuntimeError, TypeError, ValueError):
        # No kernel for this type, or operands that are of one type only as they were recorded.
        return _as_recorded(tape, node, args, kwargs)


@contextmanager
def _default(precision: Precision, tape: Tape, node: Node) -> Iterator[None]:
    """Let what makes floats of whole numbers, or of nothing, make wider ones."""
    before = torch.get_default_dtype()
    if any(tape.values[value].dtype.is_floating_point for value in node.inputs):
        yield
        return
    torch.set_default_dtype(precision.of(before))
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _reinterprets(node: Node) -> bool:
    """Whether bits are read as another type: those of another precision are others."""
    given = (*node.args[1:], *node.kwargs.values())
    return node.name == "view" and any(isinstance(one, torch.dtype) for one in given)


def _converted(
    precision: Precision, tape: Tape, node: Node, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    if not node.outputs:
        return node.function(*_with_dtype(args, precision), **_with_dtype(kwargs, precision))
    wanted = precision.of(tape.values[node.outputs[0]].dtype)
    # The recorded one made a tensor of its own; a later write must not reach the argument.
    return args[0].to(wanted, copy=True)


def _as_recorded(tape: Tape, node: Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The operation on arguments of the types it was recorded with."""
    casts: dict[int, tuple[Tensor, Tensor]] = {}

    def cast(value: int, tensor: Tensor) -> Tensor:
        casts[value] = tensor, tensor.to(tape.values[value].dtype)
        return casts[value][1]

    given = _replaced((node.args, node.kwargs), (args, kwargs), cast)
    result = node.function(*given[0], **given[1])
    for value in node.written:
        ours, written = casts.get(value, (None, None))
        if ours is not None and written is not None and ours is not written:
            ours.copy_(written)

    def back(tensor: Tensor) -> Tensor:
        return next((ours for ours, used in casts.values() if used is tensor), tensor)

    return _map(result, back)


def rounded_to(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """`tensor` with the numbers that `dtype` has, in its own type; too large ones as the largest.

    A port keeps away from overflow by smaller constants in its masks.
    """
    found = tensor.to(dtype).to(tensor.dtype)
    if dtype is torch.float16 and bool(torch.isinf(found).any()):
        limit = torch.finfo(dtype).max
        return torch.where(torch.isfinite(tensor), tensor.clamp(-limit, limit).to(dtype), found).to(
            tensor.dtype
        )
    return found


def _rounded(tensor: Tensor, precision: Precision) -> Tensor:
    if precision.rounded is None or tensor.dtype not in (torch.float32, torch.complex64):
        return tensor  # whoever computes in float64 on purpose does so in a port as well
    if tensor.is_complex():
        parts = torch.view_as_real(tensor)
        return torch.view_as_complex(rounded_to(parts, precision.rounded).contiguous())
    return rounded_to(tensor, precision.rounded)


# Tables of positions and angles depend on no data. Ports compute them in float32 and round what
# comes out; positions rounded to half precision would be another model.
_TABLES: WeakKeyDictionary[Tape, frozenset[int]] = WeakKeyDictionary()


def positional(tape: Tape) -> frozenset[int]:
    """The values that are computed from no number of a leaf of floating point."""
    found = _TABLES.get(tape)
    if found is None:
        found = _TABLES[tape] = frozenset(_positional(tape))
    return found


def _positional(tape: Tape) -> set[int]:
    mixed: set[int] = set()  # memory that data is written into
    while True:
        found = {
            value
            for value, leaf in tape.leaves.items()
            if not (leaf.tensor.is_floating_point() or leaf.tensor.is_complex())
        }
        before = len(mixed)
        for node in tape.nodes:
            if found.issuperset(node.inputs):
                found.update(v for v in node.outputs if tape.values[v].group not in mixed)
            else:
                mixed.update(tape.values[v].group for v in node.written)
        if len(mixed) == before:
            return found


def _is_positional(tape: Tape, node: Node) -> bool:
    tables = positional(tape)
    return all(v in tables for v in (*node.inputs, *node.outputs))


def _with_rounded_tables(
    precision: Precision, tape: Tape, node: Node, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments with tables rounded, where these meet data."""
    tables = positional(tape)
    if tables.isdisjoint(node.inputs):
        return args, kwargs

    def meet(value: int, tensor: Tensor) -> Tensor:
        plain = value in tables and value not in node.written
        return _rounded(tensor, precision) if plain else tensor

    changed: tuple[tuple[Any, ...], dict[str, Any]] = _replaced(
        (node.args, node.kwargs), (args, kwargs), meet
    )
    return changed


def _with_dtype(value: Any, precision: Precision) -> Any:
    if isinstance(value, torch.dtype):
        return precision.of(value)
    if type(value) is tuple:
        return tuple(_with_dtype(item, precision) for item in value)
    if isinstance(value, list):
        return [_with_dtype(item, precision) for item in value]
    if isinstance(value, dict):
        return {name: _with_dtype(item, precision) for name, item in value.items()}
    return value


def _replaced(pattern: Any, value: Any, change: Callable[[int, Tensor], Tensor]) -> Any:
    """Nested arguments with each tensor changed, by the reference that stands for it."""
    if isinstance(pattern, Ref):
        return change(pattern.value, value)
    if isinstance(pattern, tuple | list) and isinstance(value, tuple | list):
        items = [_replaced(p, v, change) for p, v in zip(pattern, value, strict=True)]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(pattern, dict):
        return {name: _replaced(p, value[name], change) for name, p in pattern.items()}
    if isinstance(pattern, slice):
        ends = (pattern.start, pattern.stop, pattern.step), (value.start, value.stop, value.step)
        return slice(*_replaced(*ends, change))
    return value


def _pairs(pattern: Any, value: Any) -> Iterator[tuple[int, Tensor]]:
    """The tensors in nested arguments, with the values they stand for."""
    found: list[tuple[int, Tensor]] = []

    def note(index: int, tensor: Tensor) -> Tensor:
        found.append((index, tensor))
        return tensor

    _replaced(pattern, value, note)
    yield from found


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _map(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, tuple | list):
        return tuple(_map(item, change) for item in value)
    if isinstance(value, dict):
        return {name: _map(item, change) for name, item in value.items()}
    return value
