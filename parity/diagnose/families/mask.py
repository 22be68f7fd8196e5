"""Masks of attention: causal, window, padding, and how they are applied.

What is hidden from a query is read off the values that go into the softmax, so that it does not
matter how the reference writes its mask.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch

from parity.diagnose.attention_reading import attentions
from parity.diagnose.attention_sites import Attention, Logits, shape_of, softmax_of
from parity.diagnose.hypothesis import Hypothesis, Solve
from parity.diagnose.view import View
from parity.localize.execute import Edit

__all__ = ["NAME", "ages", "propose"]

Tensor = torch.Tensor
NAME = "mask"
_WINDOWS = (128, 256, 512, 1024, 2048, 4096)
_NEAR = 40  # how far from the reference's window another is looked for

Hide = Callable[[Tensor, Tensor], Tensor]


def propose(view: View) -> Iterator[Hypothesis]:
    """Other masks wherever queries look at keys."""
    for attention in attentions(view):
        yield from _causal(attention)
        yield from _window(attention)
        yield from _padding(attention)
        yield from _applied(attention)


def ages(logits: Logits) -> Tensor:
    """How long before a query a key stands, the last of both being now; [queries, keys]."""
    queries, keys = shape_of(logits)
    return torch.arange(keys - queries, keys)[:, None] - torch.arange(keys)[None, :]


def _hiding(attention: Attention, hide: Hide) -> tuple[Edit, ...]:
    """The change to what is hidden; `hide` gets what is hidden now, and the ages."""

    def change(logits: Logits) -> Logits:
        return replace(logits, hidden=hide(logits.hidden, ages(logits)).expand_as(logits.scores))

    return (attention.with_logits(change),)


def _say(  # noqa: PLR0917
    attention: Attention, parameter: str, reference: str, candidate: str, hide: Hide, cost: float
) -> Hypothesis:
    edits = _hiding(attention, hide)
    return Hypothesis(NAME, parameter, reference, candidate, attention.site, edits, cost=cost)


def is_causal(logits: Logits) -> bool:
    """Whether all later keys are hidden, and some earlier ones are not."""
    age = ages(logits)
    future = (age < 0).expand_as(logits.hidden)
    return bool(future.any()) and bool(logits.hidden[future].all())


def _causal(attention: Attention) -> Iterator[Hypothesis]:
    logits = attention.logits
    queries, keys = shape_of(logits)
    if queries < 2 or keys < 2:
        return
    if is_causal(logits):
        name = "causal mask"
        yield _say(attention, "causal", name, "none", lambda h, a: h & (a >= 0), 1.0)
        yield _say(
            attention, "causal", name, "a query does not see itself", lambda h, a: h | (a <= 0), 1.5
        )
        yield _say(
            attention, "causal", name, "the next key is seen too", lambda h, a: h & (a != -1), 1.4
        )
        yield _say(
            attention, "causal", name, "anti-causal: keys before are hidden",
            _swap_future, 1.8,
        )  # fmt: skip
        if keys != queries:
            yield _say(
                attention, "causal", "causal mask aligned with the last key", "with the first key",
                lambda h, a: h | (a < a.shape[1] - a.shape[0]), 1.3,
            )  # fmt: skip
        return
    yield _say(attention, "causal", "no causal mask", "causal mask", lambda h, a: h | (a < 0), 1.2)
    if keys != queries:
        yield _say(
            attention, "causal", "no causal mask", "causal mask aligned with the first key",
            lambda h, a: h | (a < a.shape[1] - a.shape[0]), 1.6,
        )  # fmt: skip
        hidden = logits.hidden
        first = ages(logits) < keys - queries
        if bool(hidden[first.expand_as(hidden)].all()):
            yield _say(
                attention, "causal", "causal mask aligned with the first key", "with the last key",
                lambda h, a: h & ((a < 0) | (a >= a.shape[1] - a.shape[0])), 1.3,
            )  # fmt: skip


def _swap_future(hidden: Tensor, age: Tensor) -> Tensor:
    return (hidden & (age >= 0)) | (age > 0) & ~(age < 0)


def _window_of(logits: Logits) -> int | None:
    """How many keys back a query sees, if those further back are hidden."""
    age = ages(logits).expand_as(logits.hidden)
    seen = age[~logits.hidden & (age >= 0)]
    if not seen.numel() or int(age.max()) <= int(seen.max()):
        return None
    window = int(seen.max()) + 1
    return window if bool(logits.hidden[age >= window].all()) else None


def _window(attention: Attention) -> Iterator[Hypothesis]:
    logits = attention.logits
    keys = shape_of(logits)[1]
    if keys < 3:
        return
    window = _window_of(logits)
    causal = is_causal(logits) or shape_of(logits)[0] == 1
    sides: tuple[tuple[str, Callable[[Tensor], Tensor]], ...] = (("", lambda a: a),)
    if not causal:
        sides = ((" back", lambda a: a), (" to both sides", torch.abs))
    for side, distance in sides:
        yield from _windows(attention, window, keys, side, distance)


def _windows(
    attention: Attention,
    window: int | None,
    keys: int,
    side: str,
    distance: Callable[[Tensor], Tensor],
) -> Iterator[Hypothesis]:
    def hide(hidden: Tensor, age: Tensor, size: float) -> Tensor:
        far = distance(age)
        if window is not None:
            hidden = hidden & (far < window)
        return hidden | (far >= size)

    def make(size: float) -> tuple[Edit, ...]:
        return _hiding(attention, lambda h, a: hide(h, a, size))

    reference = "everything is seen" if window is None else f"window of {window}{side}"
    if window is not None:
        yield _say(
            attention, "window", reference, "no window", lambda h, a: hide(h, a, math.inf), 1.0
        )
    low = max(1, (window or 1) - _NEAR)
    high = keys if window is None else min(keys, window + _NEAR)
    solve = Solve(make, low, high, "integer", reference=float(window or math.nan))
    candidate = "window of {value:.0f}" + side
    cost = 1.0 if window is not None else 1.4
    yield Hypothesis(
        NAME, "window", reference, candidate, attention.site, solve=solve, cost=cost + 0.1
    )
    for size in _WINDOWS:
        if high < size < keys:
            edits = make(size)
            text = f"window of {size}{side}"
            yield Hypothesis(NAME, "window", reference, text, attention.site, edits, cost=1.5)


def _columns(logits: Logits) -> Tensor:
    """Keys that are hidden from the query that sees most, [..., 1, keys]."""
    return logits.hidden[..., -1:, :] & logits.hidden.all(-2, keepdim=True)


def _padding(attention: Attention) -> Iterator[Hypothesis]:
    """Keys that are hidden from all queries: padding."""
    logits = attention.logits
    columns = _columns(logits)
    if not bool(columns.any()) or bool(columns.all()):
        return
    name = "padding is hidden"

    def padding(
        candidate: str,
        change: Callable[[Tensor], Tensor],
        cost: float,
        more: float | None = None,
    ) -> Hypothesis:
        def hide(hidden: Tensor, age: Tensor) -> Tensor:
            del age
            own = hidden.all(-2, keepdim=True)
            return (hidden & ~own) | change(own)

        said = _say(attention, "padding", name, candidate, hide, cost)
        return replace(said, value=more)  # how many more keys are taken for real

    yield padding("padding is seen", torch.zeros_like, 1.0)
    yield padding("what is no padding is hidden", torch.logical_not, 1.3)
    yield padding("the last real key is hidden too", _grown, 1.3, -1.0)
    yield padding("the first padding key is seen", _shrunk, 1.4, 1.0)
    yield padding("padding is taken for the other side", lambda c: c.flip(-1), 1.5)
    if columns.shape[0] > 1:
        yield padding("every row has the padding of the first", lambda c: c[:1].expand_as(c), 1.3)
        yield padding("every row has the padding of the last", lambda c: c[-1:].expand_as(c), 1.5)
        yield padding(
            "hidden where any row has padding", lambda c: c.any(0, keepdim=True).expand_as(c), 1.5
        )
    queries, keys = shape_of(logits)
    if queries == keys:
        zero = attention.with_softmax(
            lambda one: softmax_of(one) * ~one.hidden.all(-2, keepdim=True).mT
        )
        yield Hypothesis(
            NAME, "padding", name, "queries of padding see nothing", attention.site, (zero,),
            cost=1.5,
        )  # fmt: skip


def _grown(columns: Tensor) -> Tensor:
    """One key more where padding begins, on the side on which there is padding in any row."""
    after = torch.cat([columns[..., 1:], torch.ones_like(columns[..., -1:])], -1) | columns
    before = torch.cat([torch.ones_like(columns[..., :1]), columns[..., :-1]], -1) | columns
    return before if bool(columns[..., 0].any()) else after


def _shrunk(columns: Tensor) -> Tensor:
    """One key less where padding begins."""
    if bool(columns[..., 0].any()):
        return columns & torch.cat([columns[..., 1:], torch.zeros_like(columns[..., :1])], -1)
    return columns & torch.cat([torch.zeros_like(columns[..., :1]), columns[..., :-1]], -1)


def _applied(attention: Attention) -> Iterator[Hypothesis]:
    """The mask as a number, at another place, or not at all."""
    logits = attention.logits
    if not bool(logits.hidden.any()):
        return
    name = "hidden keys get minus infinity"

    def scores(
        candidate: str,
        change: Callable[[Logits], Tensor],
        cost: float,
        value: float | None = None,
    ) -> Hypothesis:
        def open_up(one: Logits) -> Logits:
            return replace(one, scores=change(one), hidden=torch.zeros_like(one.hidden))

        edit = attention.with_logits(open_up)
        return Hypothesis(
            NAME, "applied", name, candidate, attention.site, (edit,), cost=cost, value=value
        )

    def weights(candidate: str, change: Callable[[Logits], Tensor], cost: float) -> Hypothesis:
        edit = attention.with_softmax(change)
        return Hypothesis(NAME, "applied", name, candidate, attention.site, (edit,), cost=cost)

    yield scores("no mask at all", lambda one: one.scores, 1.1)
    yield scores("hidden keys get 1 less", lambda one: one.scores + ~one.hidden, 1.1, -1.0)
    yield scores("1 is added where a key is hidden", lambda one: one.scores + one.hidden, 1.4)
    yield scores("hidden scores are 0", lambda one: one.scores * ~one.hidden, 1.1)
    yield scores("scores are left where hidden alone", lambda one: one.scores * one.hidden, 2.0)
    yield _finite(attention, name)
    inverted = attention.with_logits(lambda one: replace(one, hidden=~one.hidden))
    yield Hypothesis(
        NAME, "applied", name, "seen keys are hidden instead", attention.site, (inverted,), cost=1.4
    )
    yield weights("weights are zeroed behind the softmax", _zeroed, 1.1)
    yield weights(
        "rows in which all is hidden are uniform",
        lambda one: softmax_of(replace(one, fill=-1e30)),
        1.3,
    )
    yield weights("rows in which all is hidden are zero", _empty_rows, 1.3)


def _zeroed(logits: Logits) -> Tensor:
    return torch.softmax(logits.scores, -1).masked_fill(logits.hidden, 0.0)


def _empty_rows(logits: Logits) -> Tensor:
    weights = torch.softmax(logits.scores.masked_fill(logits.hidden, -1e30), -1)
    return weights.masked_fill(logits.hidden.all(-1, keepdim=True), 0.0)


def _finite(attention: Attention, name: str) -> Hypothesis:
    def make(value: float) -> tuple[Edit, ...]:
        def change(one: Logits) -> Logits:
            scores = one.scores + value * one.hidden
            return replace(one, scores=scores, hidden=torch.zeros_like(one.hidden))

        return (attention.with_logits(change),)

    solve = Solve(make, -30.0, 2.0, guesses=(-1.0, -10.0))
    return Hypothesis(
        NAME, "applied", name, "hidden keys get {value:.4g} more", attention.site, solve=solve,
        cost=1.4,
    )  # fmt: skip
