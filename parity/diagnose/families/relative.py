"""Biases by relative position: slopes of each head, buckets of distances, tables of offsets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial

import torch

from parity.diagnose.hypothesis import Hypothesis, Solve
from parity.diagnose.lookups import Lookup, lookups
from parity.diagnose.operands import Place, changed, places
from parity.diagnose.substitution import substituted
from parity.diagnose.view import View
from parity.localize.execute import Edit, Operands
from parity.localize.tape import Node

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
NAME = "positional"
MOST_ELEMENTS = 4_000_000
_ADDITIONS = frozenset({"add", "sub", "baddbmm", "scaled_dot_product_attention"})
_DISTANCES = (16, 20, 32, 64, 100, 128, 200, 256, 400, 512, 1024)


def propose(view: View) -> Iterator[Hypothesis]:
    """Other slopes of biases that fall with distance, other buckets of distances."""
    for node in view.nodes:
        if node.name in _ADDITIONS and not node.written:
            for place, value in places(node):
                slopes = _slopes(view, value)
                if slopes is not None:
                    yield from _other_slopes(view, node, place, slopes)
    for lookup in lookups(view):
        if len(view.shape(lookup.ids)) >= 1:
            yield from _other_buckets(view, lookup)


def _slopes(view: View, value: int) -> Tensor | None:
    """Slopes `(heads,)` of a bias `(..., heads, q, k)` that falls evenly along k; else None."""
    shape = view.shape(value)
    if len(shape) < 3 or shape[-3] < 2 or shape[-1] < 3 or not view.is_float(value):
        return None
    if math.prod(shape) > MOST_ELEMENTS or any(extent > 1 for extent in shape[:-3]):
        return None
    if not view.has(value):
        return None
    bias = view.value(value).reshape(shape[-3:])[:, -1].double()
    if not bool(torch.isfinite(bias).all()):
        return None
    steps = bias[:, 1:] - bias[:, :-1]
    slope = steps[:, :1]
    if bool((slope == 0).any()) or float((steps / slope - 1).abs().max()) > 1e-3:
        return None
    slopes = slope[:, 0]
    whole = 2 ** int(math.log2(len(slopes)))
    logs = slopes[:whole].abs().log2()
    falls = logs[1:] - logs[:-1]
    even = not len(falls) or float((falls - falls[0]).abs().max()) < 1e-3
    return slopes if even and bool((slopes.sign() == slopes[0].sign()).all()) else None


def _other_slopes(view: View, node: Node, place: Place, slopes: Tensor) -> Iterator[Hypothesis]:
    heads = len(slopes)
    site = view.site(node)
    size = slopes.abs()
    reference = f"slopes from {float(size[0]):.4g} to {float(size[-1]):.4g}"

    def times(other: Tensor) -> tuple[Edit, ...]:
        ratio = (other / size)[:, None, None]
        return (substituted(node, (place,), lambda t: t * ratio.to(t.dtype)),)

    for text, other in _rules(heads).items():
        if float((other / size - 1).abs().max()) > 1e-4:
            yield Hypothesis(NAME, "slopes", reference, text, site, times(other), cost=1.1)
    yield Hypothesis(
        NAME, "slopes", reference, "heads in reverse", site, times(size.flip(0)), cost=1.4
    )
    solve = Solve(lambda value: times(_plain(heads, value)), 1.0, 32.0, guesses=(8.0, 4.0, 16.0))
    text = "2 ** (-{value:.4g} (h + 1) / heads)"
    yield Hypothesis(NAME, "slopes", reference, text, site, solve=solve, cost=1.3)
    changes: dict[str, Callable[[Tensor], Tensor]] = {
        "rising instead of falling": lambda t: -t,
        "by distance on both sides": lambda t: -t.abs(),
        "no slopes": torch.zeros_like,
    }
    for text, change in changes.items():
        edit = substituted(node, (place,), change)
        parameter = "applied" if text == "no slopes" else "slopes"
        yield Hypothesis(NAME, parameter, reference, text, site, (edit,), cost=1.2)


def _plain(heads: int, exponent: float, first: int = 1) -> Tensor:
    return 2.0 ** (-exponent * (torch.arange(heads, dtype=torch.float64) + first) / heads)


def _rules(heads: int) -> dict[str, Tensor]:
    """How slopes are chosen, as published and as often misread."""
    below = 2 ** int(math.log2(heads))
    above = 2 * below if below < heads else below
    return {
        "2 ** (-8 (h + 1) / heads)": _plain(heads, 8.0),
        "2 ** (-8 h / heads)": _plain(heads, 8.0, 0),
        "2 ** -(h + 1)": _plain(heads, float(heads)),
        "1 / (h + 1)": 1 / (torch.arange(heads, dtype=torch.float64) + 1),
        "of a power of two, then every other": torch.cat(
            (_plain(below, 8.0), _plain(2 * below, 8.0)[0::2][: heads - below])
        ),
        "of the next power of two": _plain(above, 8.0)[:heads],
    }


def _other_buckets(view: View, lookup: Lookup) -> Iterator[Hypothesis]:
    ids = view.value(lookup.ids)
    site = view.site(lookup.node)
    rows = view.shape(lookup.table)[0]
    distance = _distance(view, lookup.ids)
    if distance is not None:
        node = view.producer(distance)
        if node is not None and not node.written:
            edit = view.after(node, torch.neg)
            text = "sign of the distance flipped"
            yield Hypothesis(NAME, "buckets", "key - query", text, site, (edit,), cost=1.0)
        yield from _logarithmic(view, lookup, distance, rows)
        yield from _clipped(view, lookup, distance)
    elif _is_square(ids):
        yield from _turned(view, lookup, rows)


def _is_square(ids: Tensor) -> bool:
    """Whether ids are one for each pair of places, and not the same both ways."""
    side = math.isqrt(ids.numel()) if ids.dim() == 1 else ids.shape[-1]
    if side < 2 or ids.numel() != side * side:
        return False
    grid = ids.reshape(side, side)
    return not torch.equal(grid, grid.T)


def _turned(view: View, lookup: Lookup, rows: int) -> Iterator[Hypothesis]:
    def transposed(ids: Tensor, _: int) -> Tensor:
        side = math.isqrt(ids.numel())
        return ids.reshape(side, side).T.reshape(ids.shape)

    site, reference = view.site(lookup.node), "index (query, key)"
    edits = (lookup.with_ids(transposed),)
    yield Hypothesis(NAME, "buckets", reference, "index (key, query)", site, edits, cost=1.3)
    side = math.isqrt(rows)
    if side * side == rows and side > 1:
        edits = (lookup.with_ids(lambda ids, _: ids % side * side + ids // side),)
        text = "rows and columns of the window swapped"
        yield Hypothesis(NAME, "buckets", reference, text, site, edits, cost=1.3)


def _distance(view: View, ids: int) -> int | None:
    """The value between positions and ids that is key minus query, or the reverse."""
    found, queue, seen = None, [ids], {ids}
    while queue and len(seen) < 60:
        value = queue.pop(0)
        if view.shape(value)[-2:] == view.shape(ids)[-2:] and _is_difference(view, value):
            found = value
        node = view.producer(value)
        for one in node.inputs if node is not None else ():
            if one not in seen:
                seen.add(one)
                queue.append(one)
    return found


def _is_difference(view: View, value: int) -> bool:
    shape = view.shape(value)
    if len(shape) < 2 or min(shape[-2:]) < 3 or not view.has(value):
        return False
    if any(extent > 1 for extent in shape[:-2]) or math.prod(shape) > MOST_ELEMENTS:
        return False
    tensor = view.value(value)
    if tensor.dtype is torch.bool or tensor.is_complex():
        return False
    grid = tensor.reshape(shape[-2:])
    right, down = grid[:, 1:] - grid[:, :-1], grid[1:] - grid[:-1]
    step = int(right[0, 0])
    return abs(step) == 1 and bool((right == step).all() and (down == -step).all())


def _logarithmic(view: View, lookup: Lookup, distance: int, rows: int) -> Iterator[Hypothesis]:
    """Buckets that are one wide near by and grow with distance."""
    ids, found = view.value(lookup.ids), view.value(distance)
    known = next(
        (
            (sign, both, most)
            for sign in (1, -1)
            for both in (True, False)
            for most in _DISTANCES
            if most > rows // (4 if both else 2) > 0
            and torch.equal(_buckets(sign * found, both, rows, most).expand_as(ids), ids)
        ),
        None,
    )
    if known is None:
        return
    sign, both, most = known
    site = view.site(lookup.node)

    def edits(both: bool, most: float, count: int = rows) -> tuple[Edit, ...]:
        def ids_of(ids: Tensor, operands: Operands) -> Tensor:
            made = _buckets(sign * operands.reads[0], both, count, most)
            return made.expand_as(ids)

        return (changed(lookup.node, {lookup.place: ids_of}, (distance,)),)

    words = {True: "buckets for both sides", False: "buckets for the past"}
    flipped = edits(not both, most)
    yield Hypothesis(NAME, "buckets", words[both], words[not both], site, flipped, cost=1.0)
    for other in _DISTANCES:
        if other != most:
            solve = Solve(partial(_fixed, edits(both, other)), other, other, reference=float(most))
            reference, text = f"buckets up to distance {most}", f"up to {other}"
            yield Hypothesis(NAME, "buckets", reference, text, site, solve=solve, cost=0.6)
    half = edits(both, most, rows // 2)
    yield Hypothesis(NAME, "buckets", f"{rows} buckets", f"{rows // 2}", site, half, cost=1.3)


def _fixed(edits: tuple[Edit, ...], value: float) -> tuple[Edit, ...]:
    del value
    return edits


def _buckets(distance: Tensor, both: bool, count: int, most: float) -> Tensor:
    """Bucket of each distance (key minus query), after https://arxiv.org/abs/1910.10683."""
    start = torch.zeros_like(distance, dtype=torch.long)
    distance = distance.long()
    if both:
        count //= 2
        start = (distance > 0).long() * count
        distance = distance.abs()
    else:
        distance = (-distance).clamp_min(0)
    exact = count // 2
    if exact < 1 or most <= exact:
        raise ValueError("too few buckets")
    ratio = torch.log(distance.clamp_min(1).float() / exact) / math.log(most / exact)
    far = (exact + (ratio * (count - exact)).long()).clamp_max(count - 1)
    return start + torch.where(distance < exact, distance, far)


def _clipped(view: View, lookup: Lookup, distance: int) -> Iterator[Hypothesis]:
    """Distances cut at some most, and shifted to begin at 0."""
    ids, found = view.value(lookup.ids), view.value(distance)
    top = (view.shape(lookup.table)[0] - 1) // 2
    sign = next(
        (s for s in (1, -1) if torch.equal((s * found).clamp(-top, top).expand_as(ids) + top, ids)),
        None,
    )
    if sign is None or top < 2:
        return

    def cut(value: float, _: Tensor, operands: Operands) -> Tensor:
        most = round(value)
        return (sign * operands.reads[0].long()).clamp(-most, most) + top

    def make(value: float) -> tuple[Edit, ...]:
        return (changed(lookup.node, {lookup.place: partial(cut, value)}, (distance,)),)

    solve = Solve(make, 1, top, "integer", reference=float(top))
    reference, text = f"distances up to {top}", "up to {value:.0f}"
    site = view.site(lookup.node)
    yield Hypothesis(NAME, "buckets", reference, text, site, solve=solve, cost=1.3)
