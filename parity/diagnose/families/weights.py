"""Weights: transposed, scaled, negated, rounded, left at their initialisation, bias lost.

A site is a parameter where the stretch reads it, whatever operation does so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch

from parity.diagnose.constants import Constants, constants_of
from parity.diagnose.hypothesis import Hypothesis, Site, Solve
from parity.diagnose.operands import Change, Place, changed, places
from parity.diagnose.view import View
from parity.localize.execute import Edit
from parity.localize.tape import Node

__all__ = ["NAME", "everywhere", "propose", "short", "site_of"]

Tensor = torch.Tensor
Map = Callable[[Tensor], Tensor]
Readers = list[tuple[Node, Place]]
_Place = tuple[View, int, Readers]
NAME = "weights"

_NORMS = ("layer_norm", "group_norm", "batch_norm", "rms_norm", "instance_norm")


def propose(view: View) -> Iterator[Hypothesis]:
    """What may have happened to each parameter on its way into the port."""
    constants = constants_of(view)
    for value, readers in constants.readers.items():
        if not view.is_float(value) or not view.has(value):
            continue
        tensor = view.value(value)
        if not tensor.numel():
            continue
        yield from _transposed(view, value, readers, tensor)
        yield from _initial(view, value, readers, tensor)
        yield from _rounded(view, value, readers, tensor)
        yield from _scaled(view, value, readers, tensor)
    yield from _lost_bias(view, constants)


def everywhere(readers: Readers, change: Map) -> tuple[Edit, ...]:
    """The change of a parameter at all operations that read it."""

    def apply(operand: Tensor, _: object) -> Tensor:
        return change(operand)

    by_node: dict[int, tuple[Node, dict[Place, Change]]] = {}
    for node, place in readers:
        if not node.written:
            by_node.setdefault(node.index, (node, {}))[1][place] = apply
    return tuple(changed(node, changes) for node, changes in by_node.values())


def short(name: str) -> str:
    """The last part of a parameter's name."""
    return name.rsplit(".", 1)[-1]


def site_of(view: View, value: int, readers: Readers) -> Site:
    """The place of a parameter: the call that reads it, and its own name there."""
    node = readers[0][0]
    return Site(view.path(node), short(view.name_of(value)), node.source)


def _hypothesis(
    site: _Place,
    parameter: str,
    candidate: str,
    change: Map,
    cost: float,
) -> Iterator[Hypothesis]:
    view, value, readers = site
    edits = everywhere(readers, change)
    family, _, parameter = parameter.rpartition(".")
    if edits:
        said = f"{short(view.name_of(value))} as stored"
        where = site_of(view, value, readers)
        yield Hypothesis(family or NAME, parameter, said, candidate, where, edits, cost=cost)


def _transposed(view: View, value: int, readers: Readers, tensor: Tensor) -> Iterator[Hypothesis]:
    if tensor.dim() < 2:
        return
    rows, columns = tensor.shape[:2]
    if rows == columns and rows > 1:
        yield from _hypothesis(
            (view, value, readers), "transposed", "transposed", lambda w: w.transpose(0, 1), 1.0
        )
    elif rows > 1 and columns > 1:
        yield from _hypothesis(
            (view, value, readers), "transposed", "memory of its transpose",
            lambda w: w.reshape(w.shape[1], w.shape[0], *w.shape[2:]).transpose(0, 1), 1.7,
        )  # fmt: skip
        yield from _hypothesis(
            (view, value, readers), "transposed", "its transpose, read row by row",
            lambda w: w.transpose(0, 1).reshape(w.shape), 1.7,
        )  # fmt: skip
    if tensor.dim() >= 4 and tensor.shape[-1] == tensor.shape[-2] > 1:
        yield from _hypothesis(
            (view, value, readers), "transposed", "height and width swapped",
            lambda w: w.transpose(-1, -2), 1.0,
        )  # fmt: skip
    if tensor.dim() >= 3 and columns > 1 and tensor[0, 0].numel() > 1:
        yield from _hypothesis(
            (view, value, readers), "permuted", "memory with channels last",
            lambda w: w.movedim(1, -1).reshape(w.shape), 1.3,
        )  # fmt: skip
        yield from _hypothesis(
            (view, value, readers), "permuted", "channels last, read as channels first",
            lambda w: w.reshape(w.shape[0], *w.shape[2:], w.shape[1]).movedim(-1, 1), 1.3,
        )  # fmt: skip


def _initial(view: View, value: int, readers: Readers, tensor: Tensor) -> Iterator[Hypothesis]:
    """Zeros and ones, which modules begin with, in the place of trained numbers."""
    small = tensor.dim() <= 1 or max(tensor.shape) == tensor.numel()
    if not small:
        yield from _hypothesis((view, value, readers), "lost", "zeros", torch.zeros_like, 1.8)
        return
    bias = any(place in _bias_places(node) for node, place in readers)
    norm = any(node.name.startswith(_NORMS) for node, _ in readers)
    if not bias and not bool((tensor == 1).all()):
        yield from _hypothesis(
            (view, value, readers), "norm.weight" if norm else "lost", "ones", torch.ones_like, 1.5
        )
    if not bias and not norm:
        yield from _hypothesis((view, value, readers), "lost", "zeros", torch.zeros_like, 1.1)


def _rounded(view: View, value: int, readers: Readers, tensor: Tensor) -> Iterator[Hypothesis]:
    if tensor.dim() < 2:
        return
    for label, change, cost in (
        ("in float16", lambda w: w.half().to(w.dtype), 1.3),
        ("in bfloat16", lambda w: w.bfloat16().to(w.dtype), 1.3),
        ("in int8, one scale", lambda w: _quantised(w, 127, whole=True), 1.5),
        ("in int8, a scale a row", lambda w: _quantised(w, 127), 1.4),
        ("in int8, blocks of 32", lambda w: _quantised(w, 127, block=32), 1.5),
        ("in int4, a scale a row", lambda w: _quantised(w, 7), 1.6),
        ("in int4, blocks of 32", lambda w: _quantised(w, 7, block=32), 1.6),
    ):
        yield from _hypothesis((view, value, readers), "dtype.precision", label, change, cost)


def _quantised(w: Tensor, top: int, *, whole: bool = False, block: int = 0) -> Tensor:
    """Rows of w `(rows, ...)` rounded to integers up to `top` times a scale."""
    flat = w.reshape(1, -1) if whole else w.reshape(w.shape[0], -1)
    if block and flat.shape[1] % block == 0:
        flat = flat.reshape(-1, block)
    scale = flat.abs().amax(dim=1, keepdim=True).clamp_min(1e-30) / top
    return (torch.round(flat / scale) * scale).reshape(w.shape)


def _scaled(view: View, value: int, readers: Readers, tensor: Tensor) -> Iterator[Hypothesis]:
    site, said = site_of(view, value, readers), f"{short(view.name_of(value))} as stored"
    bias = any(place in _bias_places(node) for node, place in readers)
    if bias:
        yield from _hypothesis((view, value, readers), "bias", "added twice", lambda b: b + b, 1.5)
        return
    yield from _hypothesis((view, value, readers), "scale", "negated", torch.neg, 1.5)
    if not bool(torch.isfinite(tensor).all()):
        return
    yield from _hypothesis((view, value, readers), "scale", "squared", torch.square, 1.9)
    if tensor.dim() < 2 and bool((tensor > 0).all()):
        yield from _hypothesis((view, value, readers), "scale", "its root", torch.sqrt, 1.9)

    if tensor.dim() >= 2 and tensor.shape[0] > 1:
        for label, shift in (("before", 1), ("after", -1)):
            yield from _hypothesis(
                (view, value, readers), "scale", f"each row by the scale of the one {label}",
                _rescaled(shift), 1.5,
            )  # fmt: skip

    def make(factor: float) -> tuple[Edit, ...]:
        return everywhere(readers, lambda w: w * factor)

    roots = [math.sqrt(n) for n in dict.fromkeys(tensor.shape) if n > 1][:2]
    guesses = (0.5, 2.0, *roots, *(1 / r for r in roots))
    solve = Solve(make, 1e-4, 1e4, scale="log", reference=1.0, guesses=guesses)
    if make(1.0):
        # One row alone is as well explained by a factor of what goes in, or of what comes out.
        cost = 2.0 if _rows(view, readers) > 1 or _called_again(view, site) else 3.0
        yield Hypothesis(NAME, "scale", said, "times {value:.4g}", site, solve=solve, cost=cost)


def _rows(view: View, readers: Readers) -> int:
    """How many rows are computed with a parameter."""
    shapes = [view.shape(node.outputs[0]) for node, _ in readers if node.outputs]
    return sum(math.prod(shape[:-1]) for shape in shapes)


def _called_again(view: View, site: Site) -> bool:
    return len(view.tape.calls_of.get(site.path, ())) > 1


def _rescaled(shift: int) -> Map:
    """Rows that are kept as integers times a scale, with the scale of another row."""

    def change(w: Tensor) -> Tensor:
        scale = w.reshape(w.shape[0], -1).abs().amax(dim=1).clamp_min(1e-30)
        factor = scale.roll(shift) / scale
        return w * factor.reshape(-1, *[1] * (w.dim() - 1))

    return change


def _bias_places(node: Node) -> tuple[Place, ...]:
    """Where an operation takes what it adds to each row."""
    if node.name == "linear" or node.name.startswith("conv"):
        return (("a", 2), ("k", "bias"))
    if node.name in {"addmm", "baddbmm"}:
        return (("a", 0),)
    if node.name in {"add", "add_", "sub"}:
        return (("a", 0), ("a", 1))
    if node.name.startswith(_NORMS):
        position = {"layer_norm": 3, "group_norm": 3, "batch_norm": 4}.get(node.name, 4)
        return (("k", "bias"), ("a", position))
    return ()


def _lost_bias(view: View, constants: Constants) -> Iterator[Hypothesis]:
    for node in view.nodes:
        allowed = _bias_places(node)
        if not allowed or node.written:
            continue
        for place, value in places(node):
            if place not in allowed or not constants.constant(value):
                continue
            if not constants.parameters(value) or not view.is_float(value):
                continue
            yield _without(view, node, place)
            yield from _without_part(view, node, place, view.shape(value))


def _without(view: View, node: Node, place: Place) -> Hypothesis:
    def zeros(operand: Tensor, _: object) -> Tensor:
        return torch.zeros_like(operand)

    family, cost = NAME, 1.0
    if node.name.startswith("conv"):
        family = "conv"
    elif node.name.startswith(_NORMS):
        family, cost = "norm", 1.05
    elif node.name in {"add", "add_", "sub"}:
        cost = 1.1
    edit = changed(node, {place: zeros})
    return Hypothesis(family, "bias", "bias added", "no bias", view.site(node), (edit,), cost=cost)


def _without_part(
    view: View, node: Node, place: Place, shape: tuple[int, ...]
) -> Iterator[Hypothesis]:
    """The bias of a fused map lost in one of its parts, or kept in one alone."""
    if len(shape) != 1 or shape[0] < 6 or node.name.startswith(_NORMS):
        return
    for parts in (2, 3):
        if shape[0] % parts:
            continue
        for part in range(parts):
            edit = changed(node, {place: _part_zeroed(parts, part)})
            yield Hypothesis(
                NAME, "bias", "bias added", f"no bias in part {part + 1} of {parts}",
                view.site(node), (edit,), cost=1.2,
            )  # fmt: skip


def _part_zeroed(parts: int, part: int) -> Change:
    def change(bias: Tensor, _: object) -> Tensor:
        kept = bias.reshape(parts, -1).clone()
        kept[part] = 0
        return kept.reshape(bias.shape)

    return change
