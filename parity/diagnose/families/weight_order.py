"""Rows and columns of weights in another order: halves, heads, parts, numbers as text."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from parity.diagnose.constants import constants_of
from parity.diagnose.families.weights import everywhere, short, site_of
from parity.diagnose.hypothesis import Hypothesis, Site
from parity.diagnose.operands import Place
from parity.diagnose.orders import head_orders, index_orders
from parity.diagnose.view import View
from parity.localize.execute import Edit
from parity.localize.tape import Node

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
NAME = "weights"
_AHEAD = 24  # operations after a stretch
_MOST = 70  # orders of one weight


def propose(view: View) -> Iterator[Hypothesis]:
    """Other orders along the first two axes of every weight, and of vectors."""
    constants = constants_of(view)
    dims = _dims(view)
    for value, readers in constants.readers.items():
        if not view.is_float(value) or not view.has(value):
            continue
        shape = view.shape(value)
        site = site_of(view, value, readers)
        name = short(view.name_of(value))
        count = 0
        for axis in range(min(len(shape), 2)):
            for hypothesis in _along(view, (value, readers), axis, dims, (site, name)):
                count += 1
                if count > _MOST:
                    break
                yield hypothesis


def _dims(view: View) -> set[int]:
    """Extents that occur in the tensors of the stretch that have three axes or more."""
    found: set[int] = set()
    last = view.nodes[-1].index if view.nodes else 0
    # What follows shows into what the last result is split.
    for node in (*view.nodes, *view.tape.nodes[last + 1 : last + _AHEAD]):
        for value in node.outputs:
            shape = view.shape(value)
            if len(shape) >= 3:
                found.update(shape[1:])
    return {n for n in found if 2 <= n <= 256}


def _along(
    view: View,
    parameter: tuple[int, list[tuple[Node, Place]]],
    axis: int,
    dims: set[int],
    place: tuple[Site, str],
) -> Iterator[Hypothesis]:
    (value, readers), (site, name) = parameter, place
    shape = view.shape(value)
    n = shape[axis]
    what = f"{name}, {'rows' if axis == 0 else 'columns'} as stored"
    if len(shape) == 1:
        what = f"{name} as stored"
    orders = list(index_orders(n, parts=axis == 0))
    if len(shape) > 1:
        orders += list(head_orders(n, dims))
    companion = _companion(view, value, readers, n) if axis == 0 and len(shape) > 1 else []
    for label, index, cost in orders:
        edits = _permuted(readers, axis, index)
        if not edits:
            return
        if not companion:
            yield Hypothesis(NAME, "permuted", what, label, site, edits, cost=cost)
            continue
        both = (*edits, *_permuted(companion, 0, index))
        yield Hypothesis(NAME, "permuted", what, f"{label}, and the bias", site, both, cost=cost)
        said = f"{label}, not the bias"
        yield Hypothesis(NAME, "permuted", what, said, site, edits, cost=cost + 0.1)


def _permuted(readers: list[tuple[Node, Place]], axis: int, index: Tensor) -> tuple[Edit, ...]:
    return everywhere(readers, lambda w: w.index_select(axis, index))


def _companion(
    view: View, value: int, readers: list[tuple[Node, Place]], n: int
) -> list[tuple[Node, Place]]:
    """Where the operations that read a weight read a parameter vector as long as its rows."""
    constants = constants_of(view)
    nodes = {node.index for node, _ in readers}
    return [
        (node, place)
        for other, some in constants.readers.items()
        if other != value and view.shape(other) == (n,)
        for node, place in some
        if node.index in nodes
    ]
