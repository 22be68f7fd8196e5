"""Precision: an operation, a module, weights or a table kept in half precision or in integers.

Half precision is carried out as a port would: operands and result in the type, by the kernel for
that type where torch has one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch

from parity.diagnose.hypothesis import Hypothesis, Site
from parity.diagnose.operands import places
from parity.diagnose.substitution import substituted
from parity.diagnose.view import View
from parity.localize.execute import Edit, Operands
from parity.localize.tape import LEAF, Node

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
Rounding = Callable[[Tensor], Tensor]
NAME = "dtype"
MOST_SINGLE = 10
# Fewer digits make no larger relative difference than this; what does is something else.
MOST_ROUNDING = 0.2
REFERENCE = "in float32"

_PRODUCTS = frozenset({
    "linear", "matmul", "bmm", "mm", "addmm", "baddbmm", "einsum", "conv1d", "conv2d", "conv3d",
    "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "scaled_dot_product_attention",
})  # fmt: skip
_SENSITIVE = _PRODUCTS | {
    "softmax", "exp", "log", "cumsum", "sum", "mean", "pow", "rsqrt", "sigmoid", "tanh", "cos",
    "sin", "lstm", "gru", "gelu", "silu", "softplus", "log_softmax", "layer_norm", "div", "cat",
    "stft", "istft", "logsumexp", "sqrt", "embedding", "mul", "add",
}  # fmt: skip
# Half precision costs these the least.
_PLAIN = frozenset({"add", "mul", "div", "cat", "mean", "sum", "pow", "sqrt", "embedding", "rsqrt"})
_STORES = frozenset({"setitem", "copy_", "index_copy_", "index_copy", "scatter_", "cat", "concat"})
_LAYOUT = frozenset({
    "view", "reshape", "transpose", "permute", "getitem", "unsqueeze", "squeeze", "expand", "chunk",
    "split", "unbind", "contiguous", "flatten", "unflatten", "clone", "detach", "t", "narrow",
    "select", "movedim", "repeat", "repeat_interleave", "to", "float", "type_as", "stack", "cat",
})  # fmt: skip


def propose(view: View) -> Iterator[Hypothesis]:
    """Rounding of results, of operands, of weights, of what is stored, and of the tensor itself."""
    nodes = [node for node in view.nodes if _is_float(view, node)]
    work = [node for node in nodes if node.name not in _LAYOUT]
    yield from _integers(view, work)
    yield from _overflow(view, work)
    if not view.segment.error < MOST_ROUNDING:
        return
    for dtype in (torch.float16, torch.bfloat16):
        rounding, name = partial(_rounded, dtype=dtype), str(dtype).removeprefix("torch.")
        yield from _output(view, rounding, dtype, name)
        yield from _single(view, work, dtype, name)
        yield from _spans(view, work, dtype, name)
        yield from _weights(view, nodes, rounding, f"in {name}")
        yield from _stored(view, nodes, rounding, name)
        yield from _tables(view, nodes, rounding, name)
    yield from _products(view, work)


def _is_float(view: View, node: Node) -> bool:
    made = (*node.outputs, *node.written)
    return bool(made) and all(view.is_float(value) for value in made)


def _rounded(tensor: Tensor, *, dtype: torch.dtype) -> Tensor:
    return tensor.to(dtype).to(tensor.dtype) if tensor.is_floating_point() else tensor


def _each(value: Any, change: Rounding) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, tuple | list):
        return type(value)(_each(one, change) for one in value)
    return value


def _round_result(node: Node, rounding: Rounding) -> Edit:
    return Edit(node.index, lambda operands: _each(operands.default(), rounding))


def _in_half(node: Node, dtype: torch.dtype) -> Edit:
    """An operation on operands of a type; with the result rounded if torch has no such kernel."""

    def apply(operands: Operands) -> Any:
        narrow = partial(_narrowed, dtype=dtype)
        args, kwargs = _deep(operands.args, narrow), _deep(operands.kwargs, narrow)
        wide = _first_dtype(operands)
        try:
            result = node.function(*args, **kwargs)
        except RuntimeError:
            return _each(operands.default(), partial(_rounded, dtype=dtype))
        return _each(result, lambda t: t.to(wide) if t.is_floating_point() else t)

    return Edit(node.index, apply)


def _narrowed(tensor: Tensor, *, dtype: torch.dtype) -> Tensor:
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def _deep(value: Any, change: Rounding) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        return {key: _deep(item, change) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_deep(item, change) for item in value)
    return value


def _first_dtype(operands: Operands) -> torch.dtype:
    tensors = [t for t in (*operands.args, *operands.kwargs.values()) if isinstance(t, Tensor)]
    return next((t.dtype for t in tensors if t.is_floating_point()), torch.float32)


def _output(view: View, rounding: Rounding, dtype: torch.dtype, name: str) -> Iterator[Hypothesis]:
    """The candidate's tensor has no more digits than the type."""
    theirs = view.theirs
    if not theirs.is_floating_point() or theirs.numel() < 8 or not view.nodes:
        return
    finite = theirs[torch.isfinite(theirs)].float()
    if not finite.numel() or not torch.equal(finite.to(dtype).float(), finite):
        return
    node = view.nodes[-1]
    if _is_float(view, node):
        edits = (_round_result(node, rounding),)
        site = Site(view.path(node), "", node.source)
        yield Hypothesis(NAME, "precision", REFERENCE, f"result in {name}", site, edits, cost=1.0)


def _single(
    view: View, work: Sequence[Node], dtype: torch.dtype, name: str
) -> Iterator[Hypothesis]:
    wanted = [node for node in work if node.name in _SENSITIVE and not node.written]
    if len(wanted) > MOST_SINGLE:
        wanted = [node for node in wanted if node.name not in _PLAIN][:MOST_SINGLE]
    for node in wanted:
        edits = (_in_half(node, dtype),)
        text = f"{node.name} in {name}"
        yield Hypothesis(NAME, "precision", REFERENCE, text, view.site(node), edits, cost=1.3)


def _spans(view: View, work: Sequence[Node], dtype: torch.dtype, name: str) -> Iterator[Hypothesis]:
    """Everything that a call does, and everything there is."""
    groups: dict[int, list[Node]] = {}
    for node in work:
        for span in view.tape.enclosing(node):
            groups.setdefault(span.index, []).append(node)
    seen = set()
    for index, nodes in groups.items():
        which = tuple(node.index for node in nodes)
        if len(nodes) < 2 or which in seen or any(node.written for node in nodes):
            continue
        seen.add(which)
        edits = tuple(_in_half(node, dtype) for node in nodes)
        site = Site(view.tape.spans[index].path, "", nodes[-1].source)
        yield Hypothesis(NAME, "precision", REFERENCE, f"all in {name}", site, edits, cost=1.35)


def _weight_edits(view: View, nodes: Sequence[Node], rounding: Rounding) -> tuple[Edit, ...]:
    edits = []
    for node in nodes:
        if node.name not in _PRODUCTS | {"embedding"}:
            continue
        of = [place for place, value in places(node) if _is_matrix(view, value)]
        if of:
            edits.append(substituted(node, of, rounding))
    return tuple(edits)


def _is_matrix(view: View, value: int) -> bool:
    return view.is_parameter(value) and view.is_float(value) and len(view.shape(value)) >= 2


def _weights(
    view: View, nodes: Sequence[Node], rounding: Rounding, text: str
) -> Iterator[Hypothesis]:
    edits = _weight_edits(view, nodes, rounding)
    if not edits:
        return
    last = view.tape.nodes[edits[-1].node]
    site = view.site(last) if len(edits) == 1 else Site(view.path(last), "weights", last.source)
    yield Hypothesis(
        NAME, "precision", "weights in float32", f"weights {text}", site, edits, cost=1.3
    )


def _stored(
    view: View, nodes: Sequence[Node], rounding: Rounding, name: str
) -> Iterator[Hypothesis]:
    """What is written into a buffer, or put beside what was there before."""
    for node in nodes:
        if node.name not in _STORES:
            continue
        of = [place for place, value in places(node) if view.is_float(value)]
        of = of[1:] if node.written else of
        if not of:
            continue
        edit = substituted(node, of, rounding)
        text = f"kept in {name}"
        yield Hypothesis(NAME, "precision", REFERENCE, text, view.site(node), (edit,), cost=1.25)


def _tables(
    view: View, nodes: Sequence[Node], rounding: Rounding, name: str
) -> Iterator[Hypothesis]:
    """Constants that are no weights of a product: tables of cosines, windows, means."""
    for node in nodes:
        if node.name in _PRODUCTS or node.name == "embedding" or node.written:
            continue
        of = [place for place, value in places(node) if _is_table(view, value)]
        if not of:
            continue
        edit = substituted(node, of, rounding)
        text = f"table in {name}"
        yield Hypothesis(NAME, "precision", REFERENCE, text, view.site(node), (edit,), cost=1.35)


def _is_table(view: View, value: int) -> bool:
    size = 1
    for extent in view.shape(value):
        size *= extent
    return view.tape.values[value].node == LEAF and view.is_float(value) and size > 1


def _products(view: View, work: Sequence[Node]) -> Iterator[Hypothesis]:
    """Products of operands with fewer digits, added up in float32; and weights in integers."""
    nodes = [node for node in work if node.name in _PRODUCTS]
    for text, rounding in _OPERANDS.items():
        edits = []
        for node in nodes:
            of = [place for place, value in places(node) if view.is_float(value)][:2]
            edits.append(substituted(node, of, rounding))
        if edits:
            last = nodes[-1]
            site = view.site(last) if len(edits) == 1 else Site(view.path(last), "products")
            yield Hypothesis(NAME, "precision", REFERENCE, text, site, tuple(edits), cost=1.4)
    for text, rounding in _INTEGERS.items():
        yield from _weights(view, nodes, rounding, text)


def _tf32(tensor: Tensor) -> Tensor:
    """Ten bits of mantissa, to the nearest."""
    if tensor.dtype is not torch.float32:
        return tensor
    bits = tensor.contiguous().view(torch.int32)
    rounded = (bits + 0x0FFF + ((bits >> 13) & 1)) & ~0x1FFF
    return rounded.view(torch.float32)


def _quantised(tensor: Tensor, *, top: int, block: int | None) -> Tensor:
    """Symmetric integers up to `top` with one scale a row, block of a row, or tensor (0)."""
    flat = tensor.reshape(tensor.shape[0], -1)
    if block == 0:
        flat = flat.reshape(1, -1)
    elif block is not None:
        if flat.shape[-1] % block:
            raise ValueError("rows do not divide into blocks")
        flat = flat.reshape(-1, block)
    scale = flat.abs().amax(-1, keepdim=True) / top
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    return ((flat / scale).round().clamp(-top, top) * scale).reshape(tensor.shape)


_OPERANDS: dict[str, Rounding] = {
    "operands in TF32": _tf32,
    "operands in bfloat16": partial(_rounded, dtype=torch.bfloat16),
    "operands in float16": partial(_rounded, dtype=torch.float16),
}
_INTEGERS: dict[str, Rounding] = {
    "in int8 by row": partial(_quantised, top=127, block=None),
    "in int8 by tensor": partial(_quantised, top=127, block=0),
    "in int8 by blocks of 32": partial(_quantised, top=127, block=32),
    "in 4 bits by blocks of 32": partial(_quantised, top=7, block=32),
}


def _integers(view: View, work: Sequence[Node]) -> Iterator[Hypothesis]:
    """A float that is cut to a whole number: a position, a time, a length."""
    for node in work[:MOST_SINGLE]:
        if node.name not in ("mul", "div", "add", "sub", "cumsum") or node.written:
            continue
        value = view.value(node.outputs[0]) if view.has(node.outputs[0]) else None
        if value is None or not value.numel() or not float(value.abs().max()) > 1:
            continue
        edits = (_round_result(node, torch.floor),)
        yield Hypothesis(
            NAME, "precision", REFERENCE, "cut to whole numbers", view.site(node), edits, cost=2.5
        )


def _overflow(view: View, work: Sequence[Node]) -> Iterator[Hypothesis]:
    top = torch.finfo(torch.float16).max
    for node in work:
        if node.written or not view.has(node.outputs[0]):
            continue
        value = view.value(node.outputs[0])
        if not value.numel() or not float(value.abs().max()) > top:
            continue
        changes: dict[str, Rounding] = {
            "saturates at 65504": lambda t: t.clamp(-top, top),
            "infinite beyond 65504": partial(_rounded, dtype=torch.float16),
        }
        for text, change in changes.items():
            edits = (_round_result(node, change),)
            site = view.site(node)
            yield Hypothesis(NAME, "overflow", REFERENCE, text, site, edits, cost=1.2)
