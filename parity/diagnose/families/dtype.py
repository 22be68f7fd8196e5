"""Precision: an operation, a module, weights or a table kept in half precision or in integers.

Half precision is carried out as a port would: operands and result in the type, by the kernel for
that type where torch has one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import torch

from parity.diagnose.hypothesis import Hypothesis, Site
from parity.diagnose.operands import places
from parity.diagnose.rounding import (
    PRODUCTS,
    Rounding,
    in_half,
    is_float_node,
    round_result,
    rounded,
)
from parity.diagnose.substitution import substituted
from parity.diagnose.view import View
from parity.localize.execute import Edit, Operands
from parity.localize.tape import LEAF, Node

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
NAME = "dtype"
MOST_SINGLE = 10
# Fewer digits make no larger relative difference than this; what does is something else.
MOST_ROUNDING = 0.2
REFERENCE = "in float32"

_SENSITIVE = PRODUCTS | {
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
    nodes = [node for node in view.nodes if is_float_node(view, node)]
    work = [node for node in nodes if node.name not in _LAYOUT]
    yield from _integers(view, work)
    yield from _overflow(view, work)
    if not view.segment.error < MOST_ROUNDING:
        return
    for dtype in (torch.float16, torch.bfloat16):
        rounding, name = partial(rounded, dtype=dtype), str(dtype).removeprefix("torch.")
        yield from _output(view, rounding, dtype, name)
        yield from _single(view, work, dtype, name)
        yield from _spans(view, work, dtype, name)
        yield from _runs(view, work, dtype, name)
        yield from _stored(view, nodes, rounding, name)
        yield from _tables(view, nodes, rounding, name)


def _output(view: View, rounding: Rounding, dtype: torch.dtype, name: str) -> Iterator[Hypothesis]:
    """The candidate's tensor has no more digits than the type."""
    theirs = view.theirs
    if not theirs.is_floating_point() or theirs.numel() < 8:
        return
    finite = theirs[torch.isfinite(theirs)].float()
    if not finite.numel() or not torch.equal(finite.to(dtype).float(), finite):
        return
    if not view.nodes:  # what was computed is right, and handed on with fewer digits
        site, edits = Site(view.segment.tap.key.path, "result"), (view.at_the_end(rounding),)
        yield Hypothesis(NAME, "precision", REFERENCE, f"result in {name}", site, edits, cost=1.0)
        return
    node = view.nodes[-1]
    if is_float_node(view, node):
        edits = (round_result(node, rounding),)
        site = Site(view.path(node), "", node.source)
        yield Hypothesis(NAME, "precision", REFERENCE, f"result in {name}", site, edits, cost=1.0)


def _single(
    view: View, work: Sequence[Node], dtype: torch.dtype, name: str
) -> Iterator[Hypothesis]:
    wanted = [node for node in work if node.name in _SENSITIVE and not node.written]
    if len(wanted) > MOST_SINGLE:
        wanted = [node for node in wanted if node.name not in _PLAIN][:MOST_SINGLE]
    for node in wanted:
        edits = (in_half(node, dtype),)
        text = f"{node.name} in {name}"
        yield Hypothesis(NAME, "precision", REFERENCE, text, view.site(node), edits, cost=1.3)
        if node.name == "softmax":
            yield from _softmax_steps(view, node, dtype, name)


def _softmax_steps(view: View, node: Node, dtype: torch.dtype, name: str) -> Iterator[Hypothesis]:
    """Softmax written out in half precision, or only what goes in or comes out of it rounded."""
    axis = view.argument(node, 1, "dim", -1)
    axis = axis if isinstance(axis, int) else -1
    rounding = partial(rounded, dtype=dtype)

    def written_out(operands: Operands) -> Tensor:
        scores: Tensor = operands.args[0]
        narrow = scores.to(dtype)
        powers = (narrow - narrow.amax(axis, keepdim=True)).exp()
        return (powers / powers.sum(axis, keepdim=True)).to(scores.dtype)

    edits = {
        f"softmax written out in {name}": Edit(node.index, written_out),
        f"scores in {name}": substituted(node, [place for place, _ in places(node)], rounding),
        f"probabilities in {name}": round_result(node, rounding),
    }
    for text, edit in edits.items():
        yield Hypothesis(NAME, "precision", REFERENCE, text, view.site(node), (edit,), cost=1.3)


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
        edits = tuple(in_half(node, dtype) for node in nodes)
        site = Site(view.tape.spans[index].path, "", nodes[-1].source)
        yield Hypothesis(NAME, "precision", REFERENCE, f"all in {name}", site, edits, cost=1.35)


def _runs(view: View, work: Sequence[Node], dtype: torch.dtype, name: str) -> Iterator[Hypothesis]:
    """What stands between the products with weights: attention, gates, as one run in half."""
    data = [node for node in work if not any(map(view.is_parameter, node.inputs))]
    groups: dict[int, list[Node]] = {}
    for node in data:
        groups.setdefault(node.span, []).append(node)
    for nodes in groups.values():
        if not 2 <= len(nodes) < len(work) or any(node.written for node in nodes):
            continue
        ends = [i + 1 for i, node in enumerate(nodes) if node.name == "softmax"]
        for text, run in (("all without weights", nodes), *(("scores", nodes[:e]) for e in ends)):
            edits = tuple(in_half(node, dtype) for node in run)
            site = Site(view.path(run[-1]), text.split(" ", maxsplit=1)[0], run[-1].source)
            candidate = f"{text} in {name}"
            yield Hypothesis(NAME, "precision", REFERENCE, candidate, site, edits, cost=1.35)


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
        if node.name in PRODUCTS or node.name == "embedding" or node.written:
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


def _integers(view: View, work: Sequence[Node]) -> Iterator[Hypothesis]:
    """A float that is cut to a whole number: a position, a time, a length."""
    for node in work[:MOST_SINGLE]:
        if node.name not in ("mul", "div", "add", "sub", "cumsum") or node.written:
            continue
        value = view.value(node.outputs[0]) if view.has(node.outputs[0]) else None
        if value is None or not value.numel() or not float(value.abs().max()) > 1:
            continue
        edits = (round_result(node, torch.floor),)
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
            "infinite beyond 65504": partial(rounded, dtype=torch.float16),
        }
        for text, change in changes.items():
            edits = (round_result(node, change),)
            site = view.site(node)
            yield Hypothesis(NAME, "overflow", REFERENCE, text, site, edits, cost=1.2)
