"""Products of operands with fewer digits, and weights kept in half precision or in integers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import torch

from parity.diagnose.hypothesis import Hypothesis, Site
from parity.diagnose.operands import places
from parity.diagnose.rounding import PRODUCTS, Rounding, is_float_node, quantised, rounded, tf32
from parity.diagnose.substitution import substituted
from parity.diagnose.view import View
from parity.localize.execute import Edit
from parity.localize.tape import Node

__all__ = ["NAME", "propose"]

NAME = "dtype"
# Fewer digits make no larger relative difference than this; what does is something else.
MOST_ROUNDING = 0.2
REFERENCE = "in float32"

_OPERANDS: dict[str, Rounding] = {
    "operands in TF32": tf32,
    "operands in bfloat16": partial(rounded, dtype=torch.bfloat16),
    "operands in float16": partial(rounded, dtype=torch.float16),
}
_WEIGHTS: dict[str, Rounding] = {
    "in float16": partial(rounded, dtype=torch.float16),
    "in bfloat16": partial(rounded, dtype=torch.bfloat16),
    "in int8 by row": partial(quantised, top=127, block=None),
    "in int8 by tensor": partial(quantised, top=127, block=0),
    "in int8 by blocks of 32": partial(quantised, top=127, block=32),
    "in 4 bits by blocks of 32": partial(quantised, top=7, block=32),
}


def propose(view: View) -> Iterator[Hypothesis]:
    """Rounding of operands, and of weights alone, at all products of the segment together."""
    if not view.segment.error < MOST_ROUNDING:
        return
    nodes = [node for node in view.nodes if is_float_node(view, node)]
    yield from _products(view, nodes)
    for text, rounding in _WEIGHTS.items():
        yield from _weights(view, nodes, rounding, text)


def _products(view: View, work: Sequence[Node]) -> Iterator[Hypothesis]:
    """Products of operands with fewer digits, added up in float32; and weights in integers."""
    nodes = [node for node in work if node.name in PRODUCTS]
    for text, rounding in _OPERANDS.items():
        edits = []
        for node in nodes:
            of = [place for place, value in places(node) if view.is_float(value)][:2]
            edits.append(substituted(node, of, rounding))
        if edits:
            last = nodes[-1]
            site = view.site(last) if len(edits) == 1 else Site(view.path(last), "products")
            yield Hypothesis(NAME, "precision", REFERENCE, text, site, tuple(edits), cost=1.4)


def _weights(
    view: View, nodes: Sequence[Node], rounding: Rounding, text: str
) -> Iterator[Hypothesis]:
    edits = _weight_edits(view, nodes, rounding)
    if not edits:
        return
    last = view.tape.nodes[edits[-1].node]
    site = view.site(last) if len(edits) == 1 else Site(view.path(last), "weights", last.source)
    yield Hypothesis(
        NAME, "precision", "weights in float32", f"weights {text}", site, edits, cost=1.3
    )


def _weight_edits(view: View, nodes: Sequence[Node], rounding: Rounding) -> tuple[Edit, ...]:
    edits = []
    for node in nodes:
        if node.name not in PRODUCTS | {"embedding"}:
            continue
        of = [place for place, value in places(node) if _is_matrix(view, value)]
        if of:
            edits.append(substituted(node, of, rounding))
    return tuple(edits)


def _is_matrix(view: View, value: int) -> bool:
    return view.is_parameter(value) and view.is_float(value) and len(view.shape(value)) >= 2
