"""What is added to data and says where things are: left out, twice, or with its grid turned."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch

from parity.diagnose.hypothesis import Hypothesis
from parity.diagnose.operands import Place, places
from parity.diagnose.substitution import substituted
from parity.diagnose.view import View
from parity.localize.tape import LEAF, Node

__all__ = ["added_positions", "is_bias", "knows_no_data"]

Tensor = torch.Tensor
NAME = "positional"


def added_positions(view: View) -> Iterator[Hypothesis]:
    """Hypotheses on every addition of something `(positions, channels)` that knows no data."""
    for node in view.nodes:
        if node.name not in ("add", "add_") or node.written or len(node.outputs) != 1:
            continue
        given = list(places(node))
        if len(given) != 2 or node.kwargs:
            continue
        for (place, value), (_, other) in (given, given[::-1]):
            whole = view.shape(other) == view.shape(node.outputs[0])
            if whole and _is_grid(view, value) and not knows_no_data(view, other):
                yield from _on(view, node, place, value)


def _is_grid(view: View, value: int) -> bool:
    shape = view.shape(value)
    wide = [extent for extent in shape if extent > 1]
    return len(wide) >= 2 and view.is_float(value) and knows_no_data(view, value)


def knows_no_data(view: View, value: int, depth: int = 12) -> bool:
    """Whether a value comes from parameters and from numbers that no input had."""
    if view.is_parameter(value):
        return True
    node = view.producer(value)
    if node is None:
        return (
            view.tape.values[value].node == LEAF
            and not view.is_float(value)
            and _counts(view, value)
        )
    if depth == 0 or value in view.tape.draws:
        return False
    if view.has(value) and not view.is_float(value) and _counts(view, value):
        return True
    return all(knows_no_data(view, one, depth - 1) for one in node.inputs)


def _counts(view: View, value: int) -> bool:
    """Whether integers go up by one along their last axis: positions, whatever they came from."""
    tensor = view.value(value)
    if tensor.is_floating_point() or tensor.dtype is torch.bool or tensor.is_complex():
        return False
    if not tensor.dim() or tensor.shape[-1] < 3:
        return False
    return bool((tensor[..., 1:] - tensor[..., :-1] == 1).all())


def _on(view: View, node: Node, place: Place, value: int) -> Iterator[Hypothesis]:
    site = view.site(node)
    reference = "position added"
    later = 0.3 if is_bias(view, node, value) else 0.0
    changes: dict[str, tuple[str, Callable[[Tensor], Tensor], float]] = {
        "not added": ("applied", torch.zeros_like, 1.0),
        "added twice": ("applied", lambda t: 2 * t, 1.6),
        "subtracted": ("applied", lambda t: -t, 2.0),
        "the first everywhere": ("offset", lambda t: t[..., :1, :].expand_as(t), 1.6),
        "in reverse": ("order", lambda t: t.flip(-2), 1.6),
    }
    shape = view.shape(value)
    if len(shape) >= 2 and shape[-2] > 1:
        for extra in (0, 1):
            side = math.isqrt(max(shape[-2] - extra, 0))
            if side > 1 and side * side == shape[-2] - extra:
                changes["rows and columns of the grid swapped"] = ("order", _turned(extra), 1.3)
    for text, (parameter, change, cost) in changes.items():
        edit = substituted(node, (place,), change)
        yield Hypothesis(NAME, parameter, reference, text, site, (edit,), cost=cost + later)


def is_bias(view: View, node: Node, value: int) -> bool:
    """Whether a parameter is added alike along several axes: to every row of every position."""
    shape, whole = view.shape(value), view.shape(node.outputs[0])
    missing = len(whole) - len(shape) + sum(extent == 1 for extent in shape)
    return view.is_parameter(value) and missing > 1


def _turned(extra: int) -> Callable[[Tensor], Tensor]:
    """Transposes the grid that positions after the first `extra` stand in."""

    def change(tensor: Tensor) -> Tensor:
        side = math.isqrt(tensor.shape[-2] - extra)
        grid = tensor[..., extra:, :].reshape(*tensor.shape[:-2], side, side, tensor.shape[-1])
        return torch.cat((tensor[..., :extra, :], grid.transpose(-3, -2).flatten(-3, -2)), -2)

    return change
