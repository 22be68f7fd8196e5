"""Finds attention in a stretch, fused or written out, and what there is to be known of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from parity.diagnose.attention_module import MODULE, ModuleCall
from parity.diagnose.attention_sites import (
    FUSED,
    HIDDEN_BELOW,
    PRODUCTS,
    SOFTMAX,
    Attention,
    FusedCall,
    split_mask,
)
from parity.diagnose.view import View
from parity.localize.tape import Node, Ref, resolve

__all__ = ["attentions"]

_ALONG = frozenset({
    "mul", "div", "add", "sub", "__mul__", "__add__", "__sub__", "__truediv__", "__rmul__",
    "__radd__", "mul_", "div_", "add_", "masked_fill", "masked_fill_", "where", "tanh", "to",
    "float", "type_as", "type", "view", "reshape", "dropout", "contiguous", "clamp", "clone",
    "half", "double", "true_divide", "divide", "multiply", "maximum", "unsqueeze", "squeeze",
    "unflatten", "flatten", "view_as", "detach", "transpose", "permute", "getitem", "__getitem__",
    "cat", "repeat_interleave", "tril", "masked_scatter", "nan_to_num",
})  # fmt: skip
_REACH = 14


def attentions(view: View) -> Iterator[Attention]:
    """The places in a stretch where queries look at keys, in order."""
    for node in view.nodes:
        try:
            found = _RECOGNISE.get(node.name, _written_out)(view, node)
        except (RuntimeError, KeyError, IndexError, TypeError, ValueError, StopIteration):
            continue
        if found is not None:
            yield found


def _fused(view: View, node: Node) -> Attention | None:
    args, kwargs = resolve(node.args, view.value), resolve(node.kwargs, view.value)
    given = FusedCall.of(args, kwargs)
    if given.q.dim() < 3 or not given.q.numel():
        return None
    return Attention(view, node, None, None, None, given.scale, given.logits())


def _module(view: View, node: Node) -> Attention | None:
    args, kwargs = resolve(node.args, view.value), resolve(node.kwargs, view.value)
    call = ModuleCall.of(args, kwargs)
    if not call.supported:
        return None
    q, k, v = call.projected()
    mask, causal = call.mask(q.shape[0])
    scale = q.shape[-1] ** -0.5
    logits = FusedCall(q, k, v, mask, causal, scale).logits()
    return Attention(view, node, None, None, None, scale, logits)


def _written_out(view: View, node: Node) -> Attention | None:
    if node.name not in SOFTMAX or not node.inputs or len(node.outputs) != 1:
        return None
    shape = view.shape(node.outputs[0])
    axis = view.argument(node, 1, "dim", -1)
    if len(shape) < 3 or not isinstance(axis, int) or axis % len(shape) != len(shape) - 1:
        return None
    chain = _chain_to_score(view, node)
    if not chain:
        return None
    score, along = chain[-1], chain[:-1][::-1]
    mix = _mixing(view, node)
    given = view.value(node.inputs[0])
    last = _before_mask(view, score, along, shape)
    logits = split_mask(given, view.value(last))
    biases = tuple(_biases(view, along, score))
    scale = _scale(view, score, along)
    return Attention(view, node, score, mix, last, scale, logits, biases, tuple(along))


_RECOGNISE: dict[str, Callable[[View, Node], Attention | None]] = {FUSED: _fused, MODULE: _module}


def _chain_to_score(view: View, node: Node) -> list[Node]:
    """From a softmax back to the product its argument comes from, nearest first."""
    value, found = node.inputs[0], []
    for _ in range(_REACH):
        made = view.producer(value)
        if made is None:
            return []
        found.append(made)
        if made.name in PRODUCTS:
            return found
        if made.name not in _ALONG:
            return []
        ahead = _main_input(view, made)
        if ahead is None:
            return []
        value = ahead
    return []


def _main_input(view: View, node: Node) -> int | None:
    """The input that the scores come through: the one that a product is behind."""
    size = max((len(view.shape(v)) for v in node.inputs), default=0)
    for value in node.inputs:
        if not view.is_float(value) or view.is_parameter(value):
            continue
        if len(view.shape(value)) < size - 1:
            continue
        if len(node.inputs) == 1 or _behind(view, value):
            return value
    return None


def _behind(view: View, value: int) -> bool:
    queue, seen = [value], 0
    while queue and seen < 24:
        made = view.producer(queue.pop())
        seen += 1
        if made is None:
            continue
        if made.name in PRODUCTS:
            return True
        if made.name in _ALONG:
            queue += [v for v in made.inputs if view.is_float(v)]
    return False


def _mixing(view: View, node: Node) -> Node | None:
    """The product of the weights with the values."""
    value = node.outputs[0]
    for _ in range(_REACH):
        readers = view.consumers(value)
        for reader in readers:
            if reader.name in PRODUCTS:
                return reader
        ahead = [r for r in readers if r.name in _ALONG and len(r.outputs) == 1]
        if not ahead:
            return None
        value = ahead[0].outputs[0]
    return None


def _before_mask(view: View, score: Node, along: Sequence[Node], shape: tuple[int, ...]) -> int:
    """The last value of the scores in which nothing is hidden yet, of the softmax's shape."""
    found = score.outputs[0]
    for node in along:
        if len(node.outputs) != 1 or not view.has(node.outputs[0]):
            break
        value = view.value(node.outputs[0])
        if value.numel() and bool((value <= HIDDEN_BELOW).any()):
            break
        if view.shape(node.outputs[0]) == shape:
            found = node.outputs[0]
    return found


def _biases(view: View, along: Sequence[Node], score: Node) -> Iterator[tuple[Node, int]]:
    """Sums on the way in which something finite and not constant is added to the scores."""
    del score
    for node in along:
        if node.name not in ("add", "__add__", "add_", "__radd__", "__iadd__"):
            continue
        for value in node.inputs:
            made = view.producer(value)
            if (made is not None and _behind(view, value)) or not view.is_float(value):
                continue
            tensor = view.value(value)
            finite = tensor[tensor > HIDDEN_BELOW]
            if finite.numel() > 1 and float(finite.max() - finite.min()) > 0:
                yield node, value


def _scale(view: View, score: Node, along: Sequence[Node]) -> float:
    """The product of all numbers that queries, keys and scores are multiplied by."""
    scale = math.prod(_factor(view, node) for node in along)
    return scale * math.prod(_factor_behind(view, value) for value in score.inputs[:2])


def _factor_behind(view: View, value: int) -> float:
    """The product of the numbers that a tensor was multiplied by on its way."""
    product = 1.0
    for _ in range(6):
        made = view.producer(value)
        if made is None or not 1 <= len(made.inputs) <= 2:
            break
        factor = _factor(view, made)
        if factor == 1.0 and (made.name not in _ALONG or len(made.inputs) > 1):
            break
        product *= factor
        value = made.inputs[0]
    return product


def _factor(view: View, node: Node) -> float:
    """The number that an operation multiplies by; 1 if it does something else."""
    if node.name not in _MULTIPLY | _DIVIDE or len(node.args) < 2:
        return 1.0
    for item in (node.args[1], node.args[0]):
        number: float | None = None
        if isinstance(item, int | float):
            number = float(item)
        elif isinstance(item, Ref) and not view.shape(item.value) and view.has(item.value):
            number = float(view.value(item.value))
        if number:
            return 1.0 / number if node.name in _DIVIDE else number
    return 1.0


_MULTIPLY = frozenset({"mul", "__mul__", "__rmul__", "mul_", "multiply", "__imul__"})
_DIVIDE = frozenset({"div", "__truediv__", "div_", "true_divide", "divide", "__itruediv__"})
