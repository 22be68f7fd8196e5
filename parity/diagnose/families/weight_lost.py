"""Weights that have nothing to do with the stored ones: never loaded, left at random numbers.

The only change here that is fitted freely. It is offered where the candidate's result is exactly a
linear map of its input, with many more equations than unknowns, by a matrix unlike
the stored one.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from parity.diagnose.hypothesis import Hypothesis
from parity.diagnose.operands import Change, changed, places
from parity.diagnose.view import View
from parity.localize.tape import Node

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
NAME = "weights"
_SPARE = 1.1  # equations for each unknown, at least
_MOST = 1 << 22  # elements that are fitted
_LIKE = 0.3  # correlation with the stored weight's results from which on another family explains it


def propose(view: View) -> Iterator[Hypothesis]:
    """Another matrix wherever a linear map makes the tensor that differs."""
    for node in view.nodes:
        if node.name == "linear" and view.segment.tap.value in node.outputs:
            yield from _fitted(view, node)


def _fitted(view: View, node: Node) -> Iterator[Hypothesis]:
    source = view.tensor_argument(node, 0, "input")
    weight = view.tensor_argument(node, 1, "weight")
    bias = view.tensor_argument(node, 2, "bias")
    if source is None or weight is None or not view.is_parameter(weight) or not view.has(source):
        return
    stored, theirs = view.value(weight).double(), view.theirs.double()
    x = view.value(source).double().reshape(-1, stored.shape[1])
    if theirs.shape != view.ours.shape or x.numel() > _MOST or theirs.numel() > _MOST:
        return
    y = theirs.reshape(-1, stored.shape[0])
    if bias is not None:
        y = y - view.value(bias).double()
    if not bool(torch.isfinite(x).all() & torch.isfinite(y).all()):
        return
    # Rows beyond the rank are what can contradict a linear map.
    rank = int(torch.linalg.matrix_rank(x)) if min(x.shape) else 0
    if not rank or x.shape[0] < _SPARE * rank + 2:
        return
    found = torch.linalg.lstsq(x, y).solution.t()
    rest = float((x @ found.t() - y).norm()) / max(float(theirs.norm()), 1e-30)
    made = x @ stored.t()
    like = float((made * y).sum() / (made.norm() * y.norm()).clamp_min(1e-30))
    if not rest <= 2 * view.segment.floor or abs(like) > _LIKE:
        return
    place = next(p for p, v in places(node) if v == weight)
    edit = changed(node, {place: _always(found)})
    yield Hypothesis(
        NAME, "lost", "weight as stored", f"other numbers, correlation {like:.2f}",
        view.site(node), (edit,), cost=2.5,
    )  # fmt: skip


def _always(matrix: Tensor) -> Change:
    return lambda operand, _: matrix.to(operand.dtype)
