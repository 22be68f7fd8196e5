"""Orders in which a fused projection may hold queries, keys, values and their heads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations

import torch

__all__ = ["both_ways", "styles"]

Tensor = torch.Tensor


def styles(cuts: Sequence[Tensor]) -> tuple[str, list[tuple[str, Tensor]]]:
    """Other layouts of the same parts, each as the channel that stands for each channel."""
    found: list[tuple[str, Tensor]] = []
    width = sum(cut.numel() for cut in cuts)

    def add(text: str, others: Sequence[Tensor]) -> None:
        order = torch.empty(width, dtype=torch.long)
        for cut, other in zip(cuts, others, strict=True):
            order[cut.flatten()] = other.flatten()
        whole = sorted(order.tolist()) == list(range(width))
        if whole and not any(torch.equal(order, known) for _, known in found):
            found.append((text, order))

    names = ["queries", "keys", "values"] if len(cuts) == 3 else ["first", "second"]
    if len(cuts) == 1:
        names = ["channels"]
    for order in permutations(range(len(cuts))):
        listed = ", ".join(names[i] for i in order)
        add(
            f"{listed}, one after the other" if len(cuts) > 1 else "by heads", _stacked(cuts, order)
        )
        if len(cuts) > 1:
            add(f"{listed} of a head together", _grouped(cuts, order))
    add("heads as the inner axis", [_inner(c) for c in _stacked(cuts, range(len(cuts)))])
    sizes = {tuple(cut.shape) for cut in cuts}
    if len(sizes) == 1 and len(cuts) > 1:
        heads, size = cuts[0].shape
        table = torch.arange(width)
        by_size = table.reshape(heads, size, len(cuts))
        add("queries, keys, values by turns", [by_size[..., i] for i in range(len(cuts))])
        outer = table.reshape(size, len(cuts), heads)
        add("heads innermost, then parts", [outer[:, i].T for i in range(len(cuts))])
        inner = table.reshape(len(cuts), size, heads)
        add("heads innermost of each part", [inner[i].T for i in range(len(cuts))])
    return " and ".join(names), found


def both_ways(known_styles: Sequence[tuple[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
    """Layouts that a port cuts by, and layouts that a port's weights were packed by."""
    known: list[Tensor] = []
    for text, order in known_styles:
        known.append(order)
        yield text, order
    for text, order in known_styles:
        packed = torch.argsort(order)
        if not any(torch.equal(packed, other) for other in known):
            known.append(packed)
            yield f"packed as: {text}", packed


def _stacked(cuts: Sequence[Tensor], order: Sequence[int]) -> list[Tensor]:
    """Parts one after the other, in an order; each [heads, size]."""
    others: dict[int, Tensor] = {}
    start = 0
    for i in order:
        others[i] = torch.arange(start, start + cuts[i].numel()).reshape(cuts[i].shape)
        start += cuts[i].numel()
    return [others[i] for i in range(len(cuts))]


def _inner(channels: Tensor) -> Tensor:
    """The same channels with heads as the inner axis."""
    return channels.flatten().reshape(channels.shape[::-1]).T


def _grouped(cuts: Sequence[Tensor], order: Sequence[int]) -> list[Tensor]:
    """What belongs to a group of heads together, in an order within it."""
    groups = min(cut.shape[0] for cut in cuts)
    if any(cut.shape[0] % groups for cut in cuts):
        return _stacked(cuts, order)
    sizes = [cut.numel() // groups for cut in cuts]
    others: dict[int, Tensor] = {}
    start = 0
    for i in order:
        rows = start + torch.arange(groups)[:, None] * sum(sizes) + torch.arange(sizes[i])
        others[i] = rows.reshape(cuts[i].shape)
        start += sizes[i]
    return [others[i] for i in range(len(cuts))]
