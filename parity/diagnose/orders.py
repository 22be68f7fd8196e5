"""Orders of the rows of a weight that conversions mix up, by name."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import torch

__all__ = ["head_orders", "index_orders", "text_order"]

Tensor = torch.Tensor


def index_orders(n: int, *, parts: bool) -> Iterator[tuple[str, Tensor, float]]:
    """Name, index int64[n], and cost of each order of n rows that is not their own.

    Args:
        n: how many rows.
        parts: whether they may be three parts side by side (queries, keys, values).
    """
    if n < 3:
        if n == 2:
            yield "in reverse", torch.tensor([1, 0]), 1.3
        return
    rows = torch.arange(n)
    yield "in reverse", rows.flip(0), 1.3
    yield "each in the place of the one before", rows.roll(-1), 1.6
    yield "each in the place of the one after", rows.roll(1), 1.6
    if n % 2 == 0:
        yield "with halves swapped", rows.roll(n // 2), 1.2
        if n > 4:
            halves = rows.view(2, -1)
            yield "with halves interleaved", halves.t().flatten(), 1.3
            yield "with even before odd", rows.view(-1, 2).t().flatten(), 1.3
            yield "with neighbours swapped", rows.view(-1, 2).flip(1).flatten(), 1.4
    if parts and n % 3 == 0 and n > 3:
        thirds = rows.view(3, -1)
        for order in list(permutations(range(3)))[1:]:
            said = ", ".join(str(one + 1) for one in order)
            yield f"with parts in the order {said}", thirds[list(order)].flatten(), 1.4
        yield "with three parts interleaved", thirds.t().flatten(), 1.5
        yield "with every third together", rows.view(-1, 3).t().flatten(), 1.5
    text = text_order(n)
    if text is not None:
        yield "in the order of their numbers as text", text, 1.4


def text_order(n: int) -> Tensor | None:
    """0, 1, 10, 11, 2 ... : what sorting names gives; None where that changes nothing."""
    if not 10 < n <= 1000:
        return None
    return torch.tensor(sorted(range(n), key=str))


def head_orders(n: int, dims: set[int]) -> Iterator[tuple[str, Tensor, float]]:
    """Orders within heads, and of heads and channels, where the extents of a stretch suggest them.

    Args:
        n: how many rows.
        dims: extents of the tensors around; a head's width is one of them.
    """
    rows, seen = torch.arange(n), set()
    for width in sorted(dims):
        if width < 2 or n % width or n == width or n // width > 256:
            continue
        heads = n // width
        grid = rows.view(heads, width)
        if width % 2 == 0 and width > 2:
            inner = grid.view(heads, 2, width // 2)
            yield (
                f"interleaved within heads of {width}",
                inner.transpose(1, 2).flatten(),
                1.2,
            )
            pairs = grid.view(heads, width // 2, 2)
            yield (f"halved within heads of {width}", pairs.transpose(1, 2).flatten(), 1.2)
            yield (f"with halves of each head of {width} swapped", inner.flip(1).flatten(), 1.4)
        if heads in dims or heads % 3 == 0:
            key = (heads, width)
            if key not in seen and (width, heads) not in seen:
                seen.add(key)
                yield f"with {heads} by {width} read as {width} by {heads}", grid.t().flatten(), 1.5
                yield (
                    f"with {width} by {heads} read as {heads} by {width}",
                    rows.view(width, heads).t().flatten(),
                    1.5,
                )
        if heads % 3 == 0 and heads > 3:
            parts = rows.view(3, heads // 3, width)
            yield "grouped by head, not by part", parts.transpose(0, 1).flatten(), 1.3
            whole = rows.view(heads // 3, 3, width)
            yield "grouped by part, not by head", whole.transpose(0, 1).flatten(), 1.3
