"""Caches of attention: what of the past is still there when a query looks at it.

A site is a place where there are more keys than queries: those before the newest are the past.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch

from parity.diagnose.attention_reading import attentions
from parity.diagnose.attention_sites import FUSED, Attention, Logits, Triple, shape_of
from parity.diagnose.hypothesis import Hypothesis, Site, Solve
from parity.diagnose.layouts import MOVES
from parity.diagnose.rotations import Rotation, rotations, turned
from parity.diagnose.view import View
from parity.localize.execute import Edit
from parity.localize.tape import Node

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
NAME = "cache"
_SPARE = 64
_MOST_BEGINNINGS = 4
_HALVES = {torch.bfloat16: "bfloat16", torch.float16: "float16"}


def propose(view: View) -> Iterator[Hypothesis]:
    """Other pasts wherever there are keys of earlier calls."""
    found = [one for one in attentions(view) if _past_of(one) > 0 and _is_kept(one)]
    if not found:
        return
    turns = next((r for r in rotations(view) if r.rates), None)
    for attention in found:
        yield from _hidden(attention)
        yield from _emptied(attention)
        yield _spare_slots(attention)
        yield from _kept_in_half(attention)
        if turns is not None:
            yield _unturned(attention, turns)


def _is_kept(attention: Attention) -> bool:
    """Whether what is looked at was put together, or written into memory, and then read."""
    view, node = attention.view, attention.score or attention.node
    tape = view.tape
    queue, seen = list(node.inputs[:3]), 0
    while queue and seen < 40:
        value = queue.pop()
        seen += 1
        if tape.values[value].group in tape.writers:
            return True
        made = view.producer(value)
        if made is None or made.name not in MOVES | {"where", "index_copy", "scatter"}:
            continue
        if made.name in ("cat", "concat", "index_copy", "scatter") and len(made.inputs) > 1:
            return True
        queue += [v for v in made.inputs if view.is_float(v)]
    return False


def _past_of(attention: Attention) -> int:
    queries, keys = shape_of(attention.logits)
    return keys - queries


def _site(attention: Attention) -> Site:
    return Site(attention.site.path, "cache", attention.site.source)


def _hidden(attention: Attention) -> Iterator[Hypothesis]:
    """Keys that are not there any more."""

    def lost(which: Callable[..., Tensor]) -> tuple[Edit, ...]:
        def change(logits: Logits) -> Logits:
            queries, keys = shape_of(logits)
            if keys <= queries:
                return logits
            gone = which(torch.arange(keys), keys - queries)
            return replace(logits, hidden=logits.hidden | gone)

        return (attention.with_logits(change),)

    site, whole = _site(attention), "all of the past is seen"
    yield Hypothesis(
        NAME, "reset", whole, "each call begins with an empty cache", site,
        lost(lambda column, past: column < past), cost=1.0,
    )  # fmt: skip
    for kept in _beginnings(attention):
        # Told from calls before that one by what they have behind them.
        yield Hypothesis(
            NAME, "reset", whole, f"the first {kept} are forgotten once, before a later call", site,
            lost(lambda column, past, kept=kept: (column < kept) & (past >= kept)), cost=1.02,
        )  # fmt: skip
    yield Hypothesis(
        NAME, "region", whole, "the first key is lost", site,
        lost(lambda column, _: column == 0), cost=1.2,
    )  # fmt: skip
    yield Hypothesis(
        NAME, "position", whole, "the last key before the call is lost", site,
        lost(lambda column, past: column == past - 1), cost=1.1,
    )  # fmt: skip
    first = _first_length(attention)
    if first is not None and first < _past_of(attention):
        yield Hypothesis(
            NAME, "position", "keys are kept one behind the other",
            "each call overwrites what the call before kept", site,
            lost(lambda column, past: (column >= first) & (column < past)), cost=1.05,
        )  # fmt: skip
        yield Hypothesis(
            NAME, "region", whole, "what the first call kept is lost", site,
            lost(lambda column, past: (column < first) & (column < past)), cost=1.1,
        )  # fmt: skip


def _beginnings(attention: Attention) -> list[int]:
    """How much of the past there was before each call of several queries, up to this one."""
    view, node = attention.view, attention.node
    found: set[int] = set()
    for queries, keys in _calls(view, node):
        if queries > 1 and keys > queries:
            found.add(keys - queries)
    return sorted(found)[:_MOST_BEGINNINGS]


def _calls(view: View, node: Node) -> Iterator[tuple[int, int]]:
    """Numbers of queries and keys of the calls of a place, up to one of them."""
    tape = view.tape
    for span in tape.calls_of.get(view.path(node), ()):
        if span.start > node.index:
            return
        for index in range(span.start, max(span.stop, span.start)):
            other = tape.nodes[index]
            alike = (other.name, other.occurrence) == (node.name, node.occurrence)
            if not alike or other.span != span.index or not other.outputs:
                continue
            shape = tape.values[other.outputs[0]].shape
            fused = node.name == FUSED
            yield shape[-2], tape.values[other.inputs[1]].shape[-2] if fused else shape[-1]


def _first_length(attention: Attention) -> int | None:
    """How many keys there were when the last call with several queries was through."""
    found = None
    for queries, keys in _calls(attention.view, attention.node):
        if queries > 1 or found is None:
            found = keys
    return found


def _emptied(attention: Attention) -> Iterator[Hypothesis]:
    """Slots of the past that hold zeros, and are seen all the same."""

    def zeroed(which: Callable[[Tensor, int], Tensor]) -> tuple[Edit, ...]:
        def change(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            past = k.shape[-2] - q.shape[-2]
            if past <= 0:
                return q, k, v
            kept = ~which(torch.arange(k.shape[-2]), past)[:, None]
            return q, torch.where(kept, k, 0.0), torch.where(kept, v, 0.0)

        return attention.with_inputs(change)

    site, whole = _site(attention), "the cache holds every key"
    first = _first_length(attention) or 0
    for text, which, cost in (
        ("its first slot is zero", lambda column, _: column == 0, 1.0),
        ("its last slot is zero", lambda column, past: column == past - 1, 1.1),
        ("all of it is zero", lambda column, past: column < past, 1.1),
        ("slots of the first call are zero", lambda column, past: column < min(first, past), 1.2),
    ):
        yield Hypothesis(NAME, "region", whole, text, site, zeroed(which), cost=cost)
    yield Hypothesis(
        NAME, "position", whole, "values one slot later than keys", site,
        attention.with_inputs(_values_moved), cost=1.6,
    )  # fmt: skip


def _values_moved(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    past = k.shape[-2] - q.shape[-2]
    if past <= 1 or v.shape[-1] == 0:
        return q, k, v
    return q, k, torch.cat([v[..., :past, :].roll(1, -2), v[..., past:, :]], -2)


def _spare_slots(attention: Attention) -> Hypothesis:
    """Empty slots of a cache of fixed size, which a query sees: scores of zero."""

    def make(size: float) -> tuple[Edit, ...]:
        def change(logits: Logits) -> Tensor:
            queries, keys = shape_of(logits)
            spare = max(round(size) - keys, 0) if keys > queries else 0
            zeros = logits.scores.new_zeros((*logits.scores.shape[:-1], spare))
            masked = logits.scores.masked_fill(logits.hidden, -torch.inf)
            return torch.softmax(torch.cat([masked, zeros], -1), -1)[..., :keys]

        return (attention.with_softmax(change),)

    keys = shape_of(attention.logits)[1]
    solve = Solve(make, keys, keys + _SPARE, "integer", float(keys))
    return Hypothesis(
        NAME, "region", "only what was kept is seen", "empty slots too, {value:.0f} in all",
        _site(attention), solve=solve, cost=1.2,
    )  # fmt: skip


def _on_past(change: Callable[[Tensor], Tensor], *, values: bool = True) -> Triple:
    """Keys, and maybe values, of the past changed, those of the call itself not."""

    def apply(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        past = k.shape[-2] - q.shape[-2]
        if past <= 0:
            return q, k, v
        pair = [
            torch.cat([change(x[..., :past, :]), x[..., past:, :]], -2) if x.shape[-1] else x
            for x in (k, v)
        ]
        return q, pair[0], pair[1] if values else v

    return apply


def _kept_in_half(attention: Attention) -> Iterator[Hypothesis]:
    for dtype, name in _HALVES.items():

        def rounded(x: Tensor, dtype: torch.dtype = dtype) -> Tensor:
            return x.to(dtype).to(x.dtype)

        yield Hypothesis(
            "dtype", "precision", "the cache keeps float32", f"it keeps {name}", _site(attention),
            attention.with_inputs(_on_past(rounded)), cost=1.1,
        )  # fmt: skip


def _unturned(attention: Attention, rotation: Rotation) -> Hypothesis:
    """Keys that went into the cache before they were turned by their positions."""
    rates = torch.tensor(rotation.rates, dtype=torch.float64)

    def back(k: Tensor) -> Tensor:
        angles = -torch.arange(k.shape[-2], dtype=torch.float64)[:, None] * rates
        return turned(rotation.layout, k, torch.polar(torch.ones_like(angles), angles))

    edits = attention.with_inputs(_on_past(back, values=False))[:1]
    return Hypothesis(
        "rope", "applied", "keys are kept turned by their positions", "kept before they are turned",
        _site(attention), edits, cost=1.3,
    )  # fmt: skip
