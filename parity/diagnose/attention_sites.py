"""Attention, however it is written: one fused call, or matmul, softmax and matmul.

A site offers the same changes for every spelling: of the queries, keys and values that are read,
of the scores before the softmax, of what is hidden from a query, of the softmax itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from parity.diagnose.attention_module import MODULE, ModuleCall
from parity.diagnose.chained import Chained
from parity.diagnose.hypothesis import Site
from parity.diagnose.view import View
from parity.localize.execute import Edit, Operands
from parity.localize.tape import Node

__all__ = [
    "FUSED",
    "HIDDEN_BELOW",
    "PRODUCTS",
    "SOFTMAX",
    "Attention",
    "FusedCall",
    "Logits",
    "Triple",
    "shape_of",
    "softmax_of",
    "split_mask",
]

Tensor = torch.Tensor
# What stands for minus infinity in masks: half precision's least number, and less.
HIDDEN_BELOW = -1e4

SOFTMAX = frozenset({"softmax", "_softmax", "masked_softmax"})
PRODUCTS = frozenset({"matmul", "bmm", "einsum", "baddbmm", "__matmul__", "mm", "__rmatmul__"})
FUSED = "scaled_dot_product_attention"


@dataclass(frozen=True, slots=True, eq=False)
class Logits:
    """What goes into a softmax over keys.

    Attributes:
        scores: scaled, with bias, before the mask, [..., queries, keys].
        hidden: bool, where a key is hidden from a query, of the same shape.
        bias: what was added to the scores besides the mask, of that shape; None if nothing was.
        fill: what the scores get where a key is hidden.
    """

    scores: Tensor
    hidden: Tensor
    bias: Tensor | None = None
    fill: float = -math.inf

    @property
    def masked(self) -> Tensor:
        """The scores with the least of numbers where something is hidden."""
        return self.scores.masked_fill(self.hidden, self.fill)


Scores = Callable[[Logits], Logits]
Softmax = Callable[[Logits], Tensor]
Triple = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]


@dataclass(frozen=True, slots=True, eq=False)
class _Change:
    """One change of an attention: of some of its steps."""

    inputs: Triple | None = None
    scale: float = 1.0
    logits: Scores | None = None
    softmax: Softmax | None = None
    rows: Tensor | None = None
    turned: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Attention:
    """A place where queries look at keys.

    Attributes:
        view: what it was found in.
        node: the fused call, or the softmax.
        score: the product of queries and keys; None in a fused call.
        mix: the product of weights and values; None in a fused call.
        last_score: the value of the scores before anything is hidden, for a softmax.
        scale: by which queries times keys is multiplied, in all.
        logits: what the softmax gets, on the candidate's inputs.
        shapes: of queries, keys and values, the last two axes being tokens and channels.
    """

    view: View
    node: Node
    score: Node | None
    mix: Node | None
    last_score: int | None
    scale: float
    logits: Logits
    biases: tuple[tuple[Node, int], ...] = field(default=())
    chain: tuple[Node, ...] = field(default=())

    @property
    def fused(self) -> bool:
        """Whether it is one call."""
        return self.score is None

    @property
    def site(self) -> Site:
        """Its place."""
        return self.view.site(self.node, "attention" + _number(self.node))

    def with_logits(self, change: Scores) -> Edit:
        """The change of what the softmax gets."""
        return self._edit(_Change(logits=change))

    def with_softmax(self, softmax: Softmax) -> Edit:
        """The change of the softmax: from `Logits` to weights."""
        return self._edit(_Change(softmax=softmax))

    def with_scale(self, factor: float) -> Edit:
        """The change that multiplies queries times keys by a further factor."""
        if self.score is not None:
            return self.view.after(self.score, lambda y: y * factor)
        return self._edit(_Change(scale=factor))

    def with_inputs(self, change: Triple) -> tuple[Edit, ...]:
        """The change of queries, keys and values, [..., tokens, channels] each.

        Where they are not at one place, the change is called twice: with no values, then with the
        weights in the place of the queries and keys of no channels. What counts is as many tokens.
        """
        if self.score is None:
            return (self._edit(_Change(inputs=change)),)
        edits = [Edit(self.score.index, Chained(change, _run_score))]
        if self.mix is not None:
            edits.append(Edit(self.mix.index, Chained(change, _run_mix)))
        return tuple(edits)

    def with_projection(self, rows: Tensor) -> Edit:
        """The change of the order of rows of a whole module's fused weight."""
        return self._edit(_Change(rows=rows))

    def with_unturned_heads(self) -> Edit:
        """The change that a whole module puts heads together without turning them."""
        return self._edit(_Change(turned=False))

    def _edit(self, change: _Change) -> Edit:
        if self.node.name == MODULE:
            return Edit(self.node.index, Chained(change, _run_module))
        if self.score is None:
            return Edit(self.node.index, Chained(change, _run_fused))
        reads = () if self.last_score is None else (self.last_score,)
        return Edit(self.node.index, Chained(change, _run_softmax), reads)


def _number(node: Node) -> str:
    return f".{node.occurrence}" if node.occurrence else ""


def softmax_of(logits: Logits) -> Tensor:
    """Weights of the keys; none in rows in which everything is hidden by minus infinity."""
    weights = torch.softmax(logits.masked, dim=-1)
    if logits.fill > -math.inf:
        return weights
    return torch.where(logits.hidden.all(-1, keepdim=True), torch.zeros_like(weights), weights)


def shape_of(logits: Logits) -> tuple[int, int]:
    """How many queries and keys."""
    return logits.scores.shape[-2], logits.scores.shape[-1]


def _run_softmax(operands: Operands, changes: Sequence[_Change]) -> Tensor:
    given = operands.args[0] if operands.args else operands.kwargs["input"]
    scores = operands.reads[0] if operands.reads else given
    logits = split_mask(given, scores)
    return _finish(logits, changes).to(operands.kwargs.get("dtype") or given.dtype)


def split_mask(given: Tensor, scores: Tensor) -> Logits:
    """What a softmax gets, apart from what hides keys."""
    hidden = given <= HIDDEN_BELOW
    if scores.shape != given.shape or scores.dtype != given.dtype:
        scores = scores.to(given.dtype).expand_as(given) if scores.dim() <= given.dim() else given
    fill = float(given[hidden].min()) if bool(hidden.any()) else -math.inf
    return Logits(torch.where(hidden, scores, given), hidden, fill=fill)


def _finish(logits: Logits, changes: Sequence[_Change]) -> Tensor:
    softmax: Softmax = softmax_of
    for change in changes:
        if change.logits is not None:
            logits = change.logits(logits)
        if change.softmax is not None:
            softmax = change.softmax
    return softmax(logits)


def _run_fused(operands: Operands, changes: Sequence[_Change]) -> Tensor:
    given = FusedCall.of(operands.args, operands.kwargs)
    q, k, v = given.q, given.k, given.v
    for change in changes:
        if change.inputs is not None:
            q, k, v = change.inputs(q, k, v)
        given = replace(given, scale=given.scale * change.scale)
    given = replace(given, q=q, k=k, v=v)
    weights = _finish(given.logits(), changes)
    return weights @ given.repeated(v)


def _run_module(operands: Operands, changes: Sequence[_Change]) -> Any:
    call = ModuleCall.of(operands.args, operands.kwargs)
    rows: Tensor | None = None
    scale = 1.0
    for change in changes:
        if change.rows is not None:
            rows = change.rows if rows is None else rows[change.rows]
        scale *= change.scale
    q, k, v = call.projected(rows)
    for change in changes:
        if change.inputs is not None:
            q, k, v = change.inputs(q, k, v)
    mask, causal = call.mask(q.shape[0])
    fused = FusedCall(q, k, v, mask, causal, scale * q.shape[-1] ** -0.5)
    weights = _finish(fused.logits(), changes)
    return call.finish(weights @ v, weights, turned=all(change.turned for change in changes))


@dataclass(frozen=True, slots=True, eq=False)
class FusedCall:
    """The arguments of `scaled_dot_product_attention`."""

    q: Tensor
    k: Tensor
    v: Tensor
    mask: Tensor | None
    causal: bool
    scale: float

    @classmethod
    def of(cls, args: tuple[Any, ...], kwargs: dict[str, Any]) -> FusedCall:
        """From the call's own arguments."""
        names = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        scale = given.get("scale")
        q = given["query"]
        return cls(
            q,
            given["key"],
            given["value"],
            given.get("attn_mask"),
            bool(given.get("is_causal", False)),
            float(scale) if scale is not None else q.shape[-1] ** -0.5,
        )

    def repeated(self, x: Tensor) -> Tensor:
        """Keys or values, once for each head of the queries."""
        if x.dim() < 3 or x.shape[-3] == self.q.shape[-3]:
            return x
        return x.repeat_interleave(self.q.shape[-3] // x.shape[-3], dim=-3)

    def logits(self) -> Logits:
        """What the softmax inside gets."""
        scores = (self.q @ self.repeated(self.k).mT) * self.scale
        hidden = torch.zeros_like(scores, dtype=torch.bool)
        bias = None
        if self.mask is not None and self.mask.dtype is torch.bool:
            hidden = hidden | ~self.mask
        elif self.mask is not None:
            hidden = hidden | (self.mask <= HIDDEN_BELOW)
            bias = torch.where(hidden, 0.0, self.mask.expand_as(scores)).to(scores.dtype)
            scores = scores + bias
        if self.causal:
            hidden = hidden | torch.ones_like(hidden).triu(1)
        return Logits(scores, hidden, bias)


def _run_score(operands: Operands, changes: Sequence[Triple]) -> Tensor:
    function, (a, b), back = _product_operands(operands)
    for change in changes:
        a, b, _ = change(a, b, b[..., :0])
    return function(*back(a, b))


def _run_mix(operands: Operands, changes: Sequence[Triple]) -> Tensor:
    function, (weights, values), back = _mix_operands(operands)
    for change in changes:
        # Only the values are here, and as many weights as there are queries and keys.
        values = change(weights, values[..., :0], values)[2]
    return function(*back(weights, values))


Operandsof = tuple[Callable[..., Tensor], tuple[Tensor, Tensor], Callable[[Tensor, Tensor], Any]]


def _product_operands(operands: Operands) -> Operandsof:
    """Queries and keys of a product, [..., tokens, channels], and the way back."""
    args = operands.args
    if isinstance(args[0], str):
        equation = args[0].replace(" ", "")
        left, right, out = _labels(equation)
        a, b = args[1], args[2]
        (shared,) = [c for c in left if c in right and c not in out][:1] or [left[-1]]
        query = next(c for c in reversed(out) if c in left and c not in right)
        key = next(c for c in reversed(out) if c in right and c not in left)
        a, undo_a = _last(a, left, query, shared)
        b, undo_b = _last(b, right, key, shared)
        return (
            lambda x, y: torch.einsum(equation, x, y),
            (a, b),
            lambda x, y: (undo_a(x), undo_b(y)),
        )
    scale = 1 if len(args) < 3 else 2  # baddbmm has what is added first
    if scale == 2:
        added = args[0]
        kwargs = operands.kwargs
        return (
            lambda x, y: torch.baddbmm(added, x, y, **kwargs),
            (args[1], args[2].mT),
            lambda x, y: (x, y.mT),
        )
    return torch.matmul, (args[0], args[1].mT), lambda x, y: (x, y.mT)


def _mix_operands(operands: Operands) -> Operandsof:
    """Weights and values of a product, values as [..., tokens, channels], and the way back."""
    args = operands.args
    if isinstance(args[0], str):
        equation = args[0].replace(" ", "")
        left, right, out = _labels(equation)
        shared = next(c for c in left if c in right and c not in out)
        channel = next(c for c in reversed(out) if c in right and c not in left)
        values, undo = _last(args[2], right, shared, channel)
        return (
            lambda x, y: torch.einsum(equation, x, y),
            (args[1], values),
            lambda x, y: (x, undo(y)),
        )
    return torch.matmul, (args[0], args[1]), lambda x, y: (x, y)


def _labels(equation: str) -> tuple[str, str, str]:
    inputs, out = equation.split("->")
    left, right = inputs.split(",")
    return left, right, out


def _last(x: Tensor, labels: str, *last: str) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    axes = [labels.index(label) for label in last]
    goal = list(range(-len(axes), 0))
    return x.movedim(axes, goal), lambda y: y.movedim(goal, axes)
