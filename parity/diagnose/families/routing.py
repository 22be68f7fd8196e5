"""Routing to experts: how many, by which scores, with which weights, in which order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch

from parity.diagnose.hypothesis import Hypothesis, Site, Solve
from parity.diagnose.view import View
from parity.localize.execute import Edit, Operands
from parity.localize.tape import Node, Ref

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
NAME = "routing"
_ALONG = frozenset({"softmax", "sigmoid", "div", "div_", "__truediv__", "mul", "__mul__", "to",
                    "float", "type_as", "gather", "getitem", "mul_", "add", "take_along_dim",
                    "normalize", "__itruediv__", "__imul__"})  # fmt: skip
_DIVIDE = frozenset({"div", "div_", "__truediv__", "true_divide", "__itruediv__"})


def propose(view: View) -> Iterator[Hypothesis]:
    """Other routes wherever the few best of some scores are chosen along the last axis."""
    for node in view.nodes:
        if node.name != "topk" or len(node.outputs) != 2 or not node.inputs:
            continue
        count = view.argument(node, 1, "k")
        if not isinstance(count, int) or len(view.shape(node.inputs[0])) < 2:
            continue
        yield from _Choice(view, node, count).all()
    yield from _overwritten(view)


def _overwritten(view: View) -> Iterator[Hypothesis]:
    """Results that are put where others are already, in the place of being added to them."""
    for node in view.nodes:
        if node.name != "index_add_" or len(node.args) != 4 or node.kwargs:
            continue
        edit = Edit(node.index, lambda operands: operands.args[0].index_copy_(*operands.args[1:]))
        yield Hypothesis(
            "graph", "omitted", "added to what is there", "in the place of what is there",
            view.site(node, "index_add_"), (edit,), cost=1.2,
        )  # fmt: skip


class _Choice:
    """One choice of experts, and what is made of their scores."""

    def __init__(self, view: View, node: Node, count: int) -> None:
        self.view = view
        self.node = node
        self.count = count
        self.experts = view.shape(node.inputs[0])[-1]
        self.weights = list(self._weights())

    def site(self, operation: str = "routing") -> Site:
        """Where."""
        return Site(self.view.path(self.node), operation, self.node.source)

    def say(
        self, parameter: str, reference: str, candidate: str, edits: tuple[Edit, ...], cost: float
    ) -> Hypothesis:
        """A hypothesis about this choice."""
        return Hypothesis(NAME, parameter, reference, candidate, self.site(), edits, cost=cost)

    def all(self) -> Iterator[Hypothesis]:
        """What may be otherwise."""
        yield from self._count()
        yield from self._scores()
        yield from self._normalised()
        yield from self._order()
        yield from self._bias()

    def _weights(self) -> Iterator[Node]:
        """Operations that the scores of the chosen go through, in order."""
        view = self.view
        known = {self.node.outputs[0]}
        chosen = {self.node.outputs[1]}
        for node in view.nodes:
            if node.index <= self.node.index or len(node.outputs) != 1:
                continue
            reads_choice = bool(chosen & set(node.inputs))
            picks = node.name in ("gather", "take_along_dim", "getitem") and reads_choice
            picks = picks and any(view.is_float(v) for v in node.inputs)
            goes_on = bool(known & set(node.inputs)) and node.name in _ALONG
            goes_on = goes_on and view.shape(node.outputs[0])[-1:] == (self.count,)
            if picks or goes_on:
                known.add(node.outputs[0])
                yield node

    def _first_weights(self) -> Node:
        gathered = [n for n in self.weights if n.name in ("gather", "take_along_dim", "getitem")]
        return gathered[0] if gathered else self.node

    def _on_weights(self, change: Callable[[Tensor], Tensor]) -> Edit:
        """The change of the scores of the chosen, before anything is made of them."""
        first = self._first_weights()
        if first is not self.node:
            return self.view.after(first, change)

        def both(result: Any) -> tuple[Tensor, Tensor]:
            return change(result[0]), result[1]

        return self.view.after(self.node, both)

    def _count(self) -> Iterator[Hypothesis]:
        reference = f"the best {self.count}"
        later = any(n.name == "softmax" for n in self.weights)
        for fewer in range(1, self.count):
            least = -math.inf if later else 0.0

            def cut(x: Tensor, fewer: int = fewer, least: float = least) -> Tensor:
                # Weights that are nothing leave experts out as well, and keep the shapes.
                x = x.clone()
                x[..., fewer:] = least
                return x

            cost = 1.0 if fewer == self.count - 1 else 1.2
            edits = (self._on_weights(cut),)
            yield Hypothesis(
                NAME, "topk", reference, f"the best {fewer}", self.site(), edits, cost=cost,
                value=float(fewer),
            )  # fmt: skip
        for more in (self.count + 1, self.count + 2):
            if more <= self.experts:
                edit = self.view.with_arguments(self.node, _with_count(more))
                yield Hypothesis(
                    NAME, "topk", reference, f"the best {more}", self.site(), (edit,), cost=1.1,
                    value=float(more),
                )  # fmt: skip

    def _scores(self) -> Iterator[Hypothesis]:
        """Softmax for sigmoid and the reverse, before the choice or behind it."""
        for node in self._before():
            if node.name not in ("softmax", "sigmoid"):
                continue
            soft = node.name == "softmax"
            texts = ("softmax over experts", "sigmoid of each") if soft else (
                "sigmoid of each", "softmax over experts")  # fmt: skip
            edit = Edit(node.index, _sigmoid if soft else _softmax)
            yield self.say("normalise", *texts, (edit,), 1.0)
            raw = Edit(node.index, lambda operands: operands.args[0])
            yield self.say("normalise", texts[0], "scores as they are", (raw,), 1.4)
        for node in self.weights:
            if node.name == "softmax":
                yield self.say(
                    "normalise", "softmax over the chosen", "softmax over all",
                    (self._over_all(node),), 1.0,
                )  # fmt: skip
                edit = Edit(node.index, _sigmoid)
                yield self.say(
                    "normalise", "softmax over the chosen", "sigmoid of each", (edit,), 1.2
                )

    def _before(self) -> Iterator[Node]:
        value = self.node.inputs[0]
        for _ in range(6):
            made = self.view.producer(value)
            if made is None:
                return
            yield made
            ahead = [v for v in made.inputs if not self.view.is_parameter(v)]
            if not ahead:
                return
            value = ahead[0]

    def _over_all(self, node: Node) -> Edit:
        def apply(operands: Operands) -> Tensor:
            chosen: Tensor = operands.args[0]
            return torch.exp(chosen - torch.logsumexp(operands.reads[0], -1, keepdim=True))

        return Edit(node.index, apply, (self.node.inputs[0],))

    def _normalised(self) -> Iterator[Hypothesis]:
        divided = [
            n for n in self.weights
            if n.name in _DIVIDE and n.args and isinstance(n.args[0], Ref) and len(n.inputs) == 2
        ]  # fmt: skip
        reference = "weights divided by their sum"
        for node in divided:
            for text, change in (
                ("not divided", lambda w: w),
                ("softmax of the weights", lambda w: torch.softmax(w, -1)),
                ("divided by the largest", lambda w: w / w.amax(-1, keepdim=True)),
                ("divided by their length", lambda w: w / w.norm(dim=-1, keepdim=True)),
            ):
                edit = Edit(node.index, _of_first(change))
                yield self.say("normalise", reference, text, (edit,), 1.0)
        soft = any(n.name == "softmax" for n in self.weights)
        if not divided and not soft:
            edit = self._on_weights(lambda w: w / w.sum(-1, keepdim=True))
            yield self.say("normalise", "weights as scored", "divided by their sum", (edit,), 1.0)
            edit = self._on_weights(lambda w: torch.softmax(w, -1))
            yield self.say("normalise", "weights as scored", "softmax of them", (edit,), 1.2)
        equal = self._on_weights(lambda w: torch.full_like(w, 1.0 / w.shape[-1]))
        yield self.say("normalise", "weights by scores", "all alike", (equal,), 1.6)
        yield self._scaled()

    def _scaled(self) -> Hypothesis:
        """Weights times a number, behind all that is made of them."""
        last = self.weights[-1] if self.weights else self.node
        own = _constant(last)

        def make(value: float) -> tuple[Edit, ...]:
            if last is self.node:
                return (self._on_weights(lambda w: w * value),)
            return (self.view.after(last, lambda w: w * (value / own)),)

        solve = Solve(make, 0.05, 20.0, "log", own, (1.0, 1.0 / self.count, 2.5, 16.0))
        return Hypothesis(
            NAME, "normalise", f"weights times {own:.4g}", "weights times {value:.4g}",
            self.site(), solve=solve, cost=1.1,
        )  # fmt: skip

    def _order(self) -> Iterator[Hypothesis]:
        if self.count > 1:
            flipped = self._on_weights(lambda w: w.flip(-1))
            yield self.say(
                "order", "each expert its own weight", "weights in reverse order", (flipped,), 1.2
            )
        lowest = self.view.with_arguments(self.node, _lowest)
        yield self.say("order", "the largest scores", "the least scores", (lowest,), 1.5)
        as_text = torch.tensor(sorted(range(self.experts), key=str))
        for text, order in (
            ("experts sorted as text", as_text),
            ("experts sorted as text, the other way", torch.argsort(as_text)),
            ("experts in the reverse order", torch.arange(self.experts).flip(0)),
            ("the expert before", (torch.arange(self.experts) - 1) % self.experts),
            ("the expert behind", (torch.arange(self.experts) + 1) % self.experts),
        ):
            if torch.equal(order, torch.arange(self.experts)):
                continue

            def renamed(result: Any, order: Tensor = order) -> tuple[Tensor, Tensor]:
                return result[0], order[result[1]]

            edit = self.view.after(self.node, renamed)
            yield self.say("order", "experts by their numbers", text, (edit,), 1.4)

    def _bias(self) -> Iterator[Hypothesis]:
        """A correction of the scores that only the choice is to see."""
        made = self.view.producer(self.node.inputs[0])
        if made is None or made.name not in ("add", "__add__", "add_") or len(made.inputs) != 2:
            return
        bare = [v for v in made.inputs if not self.view.is_parameter(v)]
        if len(bare) != 1:
            return
        ignored = Edit(made.index, lambda operands: operands.reads[0], (bare[0],))
        yield self.say("bias", "chosen by corrected scores", "by the scores", (ignored,), 1.0)
        place = next(
            (i for i, a in enumerate(made.args) if isinstance(a, Ref) and a.value != bare[0]), None
        )
        if place is not None:
            negated = self.view.with_arguments(made, _negated(place))
            yield self.say("bias", "correction added", "taken off", (negated,), 1.4)
        first = self._first_weights()
        if first is not self.node:

            def corrected(operands: Operands) -> Any:
                return first.function(operands.reads[0], *operands.args[1:], **operands.kwargs)

            edit = Edit(first.index, corrected, (self.node.inputs[0],))
            yield self.say(
                "bias", "weights without the correction", "weights with it", (edit,), 1.0
            )


def _with_count(
    count: int,
) -> Callable[[tuple[Any, ...], dict[str, Any]], tuple[Any, Any]]:
    def change(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        if "k" in kwargs:
            return args, {**kwargs, "k": count}
        return (args[0], count, *args[2:]), kwargs

    return change


def _lowest(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
    given = dict(zip(("input", "k", "dim", "largest"), args, strict=False))
    return (), {**given, **kwargs, "largest": False}


def _negated(place: int) -> Callable[[tuple[Any, ...], dict[str, Any]], tuple[Any, Any]]:
    def change(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        return (*args[:place], -args[place], *args[place + 1 :]), kwargs

    return change


def _of_first(change: Callable[[Tensor], Tensor]) -> Callable[[Operands], Tensor]:
    return lambda operands: change(operands.args[0])


def _sigmoid(operands: Operands) -> Tensor:
    x: Tensor = operands.args[0]
    return torch.sigmoid(x)


def _softmax(operands: Operands) -> Tensor:
    x: Tensor = operands.args[0]
    return torch.softmax(x, -1)


def _constant(node: Node) -> float:
    """The number that an operation multiplies by; 1 if none."""
    if node.name in ("mul", "__mul__", "mul_", "__imul__"):
        for item in node.args:
            if isinstance(item, int | float) and item > 0:
                return float(item)
    return 1.0
