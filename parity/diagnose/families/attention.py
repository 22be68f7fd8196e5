"""Attention: scale, cap, sink, softmax axis and base, bias, norm of queries and keys."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch.nn import functional

from parity.diagnose.attention_reading import attentions
from parity.diagnose.attention_sites import Attention, Logits, shape_of, softmax_of
from parity.diagnose.hypothesis import Hypothesis, Site, Solve
from parity.diagnose.view import View
from parity.localize.execute import Edit

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
NAME = "attention"
Builder = Callable[[Callable[[Tensor], Tensor]], tuple[Edit, ...]]


def propose(view: View) -> Iterator[Hypothesis]:
    """Other ways to weigh values wherever queries look at keys."""
    for attention in attentions(view):
        yield _scale(attention)
        yield from _cap(attention)
        yield from _sink(attention)
        yield from _axis(attention)
        yield from _bias(attention)
        yield from _weights(attention)
        yield from _inputs(attention)


def _scale(attention: Attention) -> Hypothesis:
    reference = abs(attention.scale) or 1.0
    width = _width(attention)

    def make(value: float) -> tuple[Edit, ...]:
        return (attention.with_scale(value / reference),)

    guesses = [1.0, reference**2, reference**0.5, 1.0 / reference]
    if width:
        guesses += [width**-0.5, width**-1.0, width**-0.25, width**0.5]
    solve = Solve(
        make, reference * 1e-3, reference * 1e3, "log", reference, tuple(dict.fromkeys(guesses))
    )
    text = "scores times {value:.4g}"
    return Hypothesis(
        NAME, "scale", f"scores times {reference:.4g}", text, attention.site, solve=solve, cost=1.0
    )


def _width(attention: Attention) -> int:
    """Channels of a head."""
    node = attention.score or attention.node
    shapes = [attention.view.shape(v) for v in node.inputs]
    return shapes[0][-1] if shapes and shapes[0] else 0


def _cap(attention: Attention) -> Iterator[Hypothesis]:
    if any(node.name == "tanh" for node in attention.chain):
        site = attention.site
        (tanh,) = [node for node in attention.chain if node.name == "tanh"][:1]
        edit = Edit(tanh.index, lambda operands: operands.args[0])
        yield Hypothesis(NAME, "softcap", "scores are capped", "no cap", site, (edit,), cost=1.0)

    def make(value: float) -> tuple[Edit, ...]:
        def capped(one: Logits) -> Logits:
            return replace(one, scores=value * torch.tanh(one.scores / value))

        return (attention.with_logits(capped),)

    solve = Solve(make, 0.5, 200.0, "log", guesses=(20.0, 30.0, 50.0))
    text = "{value:.4g} tanh(score / {value:.4g})"
    yield Hypothesis(
        NAME, "softcap", "scores as they are", text, attention.site, solve=solve, cost=1.3
    )


def _sink(attention: Attention) -> Iterator[Hypothesis]:
    """A number more in the softmax's denominator."""

    def make(value: float) -> tuple[Edit, ...]:
        def change(one: Logits) -> Tensor:
            return _with_sink(one, value)

        return (attention.with_softmax(change),)

    solve = Solve(make, -12.0, 12.0, guesses=(0.0,))
    text = "softmax with one more score of {value:.3g}"
    yield Hypothesis(NAME, "sink", "softmax over keys", text, attention.site, solve=solve, cost=1.2)
    yield Hypothesis(
        NAME, "sink", "softmax over keys", "softmax with one more in the denominator",
        attention.site, make(0.0), cost=1.2, value=0.0,
    )  # fmt: skip
    joined = [n for n in attention.chain if n.name == "cat"]
    if joined and any(attention.view.shape(v)[-1:] == (1,) for v in joined[-1].inputs):
        last = attention.view.shape(joined[-1].inputs[-1])[-1:] == (1,)
        column = -1 if last else 0

        def without(one: Logits) -> Logits:
            hidden = one.hidden.clone()
            hidden[..., column] = True
            return replace(one, hidden=hidden)

        yield Hypothesis(
            NAME, "sink", "softmax with a sink", "softmax over keys alone", attention.site,
            (attention.with_logits(without),), cost=1.0,
        )  # fmt: skip


def _with_sink(logits: Logits, sink: float) -> Tensor:
    masked = logits.scores.masked_fill(logits.hidden, -math.inf)
    extra = torch.full_like(masked[..., :1], sink)
    return torch.softmax(torch.cat([masked, extra], -1), -1)[..., :-1]


def _axis(attention: Attention) -> Iterator[Hypothesis]:
    axes = {-2: "queries"}
    if attention.logits.scores.dim() >= 4:
        axes[-3] = "heads"
    for axis, name in axes.items():

        def change(one: Logits, axis: int = axis) -> Tensor:
            weights = torch.softmax(one.scores.masked_fill(one.hidden, -math.inf), axis)
            return torch.nan_to_num(weights)

        edit = attention.with_softmax(change)
        yield Hypothesis(
            NAME, "axis", "softmax over keys", f"softmax over {name}", attention.site, (edit,),
            cost=1.2,
        )  # fmt: skip


def _bias(attention: Attention) -> Iterator[Hypothesis]:
    """A bias that is left out, scaled, or transposed."""
    found: list[tuple[str, Builder]] = []
    for node, value in attention.biases:
        operation = attention.site.operation + f" bias.{node.occurrence}"
        found.append((operation, _summand(attention, value)))
    if attention.logits.bias is not None and attention.fused:
        bias = attention.logits.bias
        if float((bias.max() - bias.min()).abs()) > 0:
            found.append((attention.site.operation + " bias", _fused_bias(attention)))
    for operation, build in found:
        site = Site(attention.site.path, operation, attention.site.source)
        yield from _biases(attention, site, build)


def _summand(attention: Attention, value: int) -> Builder:
    return lambda change: _with_bias(attention, value, change)


def _fused_bias(attention: Attention) -> Builder:
    def build(change: Callable[[Tensor], Tensor]) -> tuple[Edit, ...]:
        def changed(one: Logits) -> Logits:
            if one.bias is None:
                return one
            bias = change(one.bias)
            return replace(one, scores=one.scores - one.bias + bias, bias=bias)

        return (attention.with_logits(changed),)

    return build


def _with_bias(
    attention: Attention, value: int, change: Callable[[Tensor], Tensor]
) -> tuple[Edit, ...]:
    """The change of a summand of the scores; what hides keys in it stays."""
    node = next(n for n, v in attention.biases if v == value)
    position = [i for i, a in enumerate(node.args) if getattr(a, "value", None) == value]
    if not position:
        return ()
    place = position[0]

    def changed(args: tuple[object, ...], kwargs: dict[str, object]) -> tuple[object, object]:
        bias = args[place]
        assert isinstance(bias, Tensor)  # noqa: S101 - it is a float value of the tape
        new = torch.where(bias <= -1e4, bias, change(bias))
        return (*args[:place], new, *args[place + 1 :]), kwargs

    return (attention.view.with_arguments(node, changed),)


def _biases(
    attention: Attention,
    site: Site,
    build: Builder,
) -> Iterator[Hypothesis]:
    reference = "bias added to the scores"

    def make(value: float) -> tuple[Edit, ...]:
        return build(lambda bias: bias * value)

    guesses = (math.log(2), 1 / math.log(2), attention.scale, -1.0, 2.0, _width(attention) ** -0.5)
    solve = Solve(make, -2.0, 16.0, "linear", 1.0, tuple(g for g in guesses if g))
    yield Hypothesis(NAME, "bias", reference, "no bias", site, build(torch.zeros_like), cost=1.0)
    yield Hypothesis(NAME, "bias", reference, "bias times {value:.4g}", site, solve=solve, cost=1.2)
    if shape_of(attention.logits)[0] == shape_of(attention.logits)[1]:
        yield Hypothesis(
            NAME, "bias", reference, "bias transposed", site, build(lambda b: b.mT), cost=1.5
        )
    yield Hypothesis(
        NAME, "bias", reference, "bias in the opposite order of heads", site,
        build(lambda b: b.flip(-3) if b.dim() > 2 else b), cost=2.0,
    )  # fmt: skip


def _weights(attention: Attention) -> Iterator[Hypothesis]:
    site = attention.site

    def uniform(one: Logits) -> Tensor:
        return softmax_of(replace(one, scores=torch.zeros_like(one.scores)))

    def sigmoid(one: Logits) -> Tensor:
        return torch.sigmoid(one.scores).masked_fill(one.hidden, 0.0)

    def base_two(one: Logits) -> Logits:
        return replace(one, scores=one.scores * math.log(2))

    def raw(one: Logits) -> Tensor:
        return one.scores.masked_fill(one.hidden, 0.0)

    for text, edit, cost in (
        ("the mean of all that is seen", attention.with_softmax(uniform), 2.0),
        ("sigmoid of the scores", attention.with_softmax(sigmoid), 2.2),
        ("scores themselves, no softmax", attention.with_softmax(raw), 1.8),
    ):
        yield Hypothesis(
            "activation", "function", "softmax of the scores", text, site, (edit,), cost=cost
        )
    if attention.biases or attention.logits.bias is not None:
        yield Hypothesis(
            NAME, "scale", "softmax on powers of e", "on powers of 2", site,
            (attention.with_logits(base_two),), cost=1.5,
        )  # fmt: skip


def _inputs(attention: Attention) -> Iterator[Hypothesis]:
    """Queries and keys of unit length."""

    def unit(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return functional.normalize(q, dim=-1), functional.normalize(k, dim=-1), v

    def exchanged(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return (k, q, v) if q.shape == k.shape else (q, k, v)

    site = attention.site
    yield Hypothesis(
        NAME, "norm", "queries and keys as they are", "of unit length", site,
        attention.with_inputs(unit), cost=2.0,
    )  # fmt: skip

    def keys_for_values(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return q, v, k

    yield Hypothesis(
        NAME, "qkv", "keys and values", "keys for values, values for keys", site,
        attention.with_inputs(keys_for_values), cost=1.0,
    )  # fmt: skip
    if shape_of(attention.logits)[0] == shape_of(attention.logits)[1]:
        yield Hypothesis(
            NAME, "qkv", "queries look at keys", "keys look at queries", site,
            attention.with_inputs(exchanged), cost=1.5,
        )  # fmt: skip
