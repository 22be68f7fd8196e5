"""Signatures: what a result looks like where no mechanism explains it. Speculation, and costly.

The candidate's tensor is a multiple of the reference's, or the same numbers elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch

from parity.diagnose.hypothesis import Hypothesis, Site, Solve
from parity.diagnose.view import View
from parity.diagnose.wording import distinct
from parity.localize.tape import Node

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
NAME = "signature"
MOST_LEFT = 0.02  # share of the tensor that a signature may leave unexplained to be proposed
MOST_SLICES = 512  # along an axis whose order is looked for
MOST_LAG = 64
LEAST_ELEMENTS = 12


def propose(view: View) -> Iterator[Hypothesis]:
    """What the end of a segment looks like beside the reference's."""
    node = view.producer(view.segment.tap.value)
    if node is None or len(node.outputs) != 1 or node.written:
        return
    ours, theirs = view.ours, view.theirs
    if ours.shape != theirs.shape or ours.numel() < LEAST_ELEMENTS or not ours.dim():
        return
    if not ours.is_floating_point() or not bool(ours.isfinite().all() and theirs.isfinite().all()):
        return
    a, b = ours.double(), theirs.double()
    try:
        found = [
            *_numbers(view, node, a, b),
            *_turned(view, node, a, b),
            *_shifted(view, node, a, b),
            *_permuted(view, node, a, b),
        ]
    except (RuntimeError, IndexError, ValueError):
        return
    yield from distinct(found)


def _site(view: View, node: Node) -> Site:
    return Site(view.path(node), "result", node.source)


def _left(made: Tensor, theirs: Tensor) -> float:
    """How much of the candidate's tensor is not reproduced."""
    return float((made - theirs).norm()) / max(float(theirs.norm()), 1e-30)


def _numbers(view: View, node: Node, ours: Tensor, theirs: Tensor) -> Iterator[Hypothesis]:
    """A factor, an added number, or both."""
    site, size = _site(view, node), float(theirs.norm())
    if size == 0.0:
        edit = view.after(node, torch.zeros_like)
        yield Hypothesis("graph", "omitted", "a result", "zeros", site, (edit,), cost=2.5)
        return
    factor = float((ours * theirs).sum() / (ours * ours).sum().clamp_min(1e-300))
    if _left(ours * factor, theirs) <= MOST_LEFT:
        reach = max(4.0, 4 * abs(factor))
        solve = Solve(
            lambda value: (view.after(node, lambda y: y * value),),
            -reach, reach, reference=1.0, guesses=(factor,),
        )  # fmt: skip
        text = "the result times {value:.4g}"
        yield Hypothesis("graph", "scale", "the result", text, site, solve=solve, cost=3.0)
    offset = float((theirs - ours).mean())
    if _left(ours + offset, theirs) <= MOST_LEFT:
        reach = 4 * abs(offset) + 1e-6
        added = Solve(
            lambda value: (view.after(node, lambda y: y + value),),
            -reach, reach, reference=0.0, guesses=(offset,),
        )  # fmt: skip
        text = "the result plus {value:.4g}"
        yield Hypothesis("graph", "offset", "the result", text, site, solve=added, cost=3.0)
    yield from _affine(view, node, ours, theirs)


def _affine(view: View, node: Node, ours: Tensor, theirs: Tensor) -> Iterator[Hypothesis]:
    x, y = ours - ours.mean(), theirs - theirs.mean()
    slope = float((x * y).sum() / (x * x).sum().clamp_min(1e-300))
    start = float(theirs.mean()) - slope * float(ours.mean())
    spread = float(y.norm())
    if not spread > 0 or _left(slope * x, y) > MOST_LEFT or abs(slope) < 1e-6:
        return
    if abs(start) * ours.numel() ** 0.5 <= 1e-4 * float(theirs.norm()) or abs(slope - 1) <= 1e-4:
        return  # one number will do
    edit = view.after(node, lambda result: result * slope + start)
    text = f"{slope:.4g} times it plus {start:.4g}"
    yield Hypothesis("graph", "scale", "the result", text, _site(view, node), (edit,), cost=3.4)


def _turned(view: View, node: Node, ours: Tensor, theirs: Tensor) -> Iterator[Hypothesis]:
    """Reversed along an axis, or with two axes of equal length exchanged."""
    changes: list[tuple[str, str, Callable[[Tensor], Tensor]]] = []
    for axis, size in enumerate(ours.shape):
        if size > 1:
            changes.append(("permuted", f"reversed along axis {axis}", _flip(axis)))
        for other in range(axis):
            if size == ours.shape[other] and size > 1:
                name = f"axes {other} and {axis} exchanged"
                changes.append(("transposed", name, _exchange(other, axis)))
            if size > 1 and ours.shape[other] > 1:
                name = f"axes {other} and {axis} exchanged in memory"
                changes.append(("strided", name, _misread(other, axis)))
    for parameter, text, compute in changes:
        if _left(compute(ours), theirs) > MOST_LEFT:
            continue
        edit, site = view.after(node, compute), _site(view, node)
        yield Hypothesis("layout", parameter, "as it is", text, site, (edit,), cost=3.0)


def _flip(axis: int) -> Callable[[Tensor], Tensor]:
    return lambda x: x.flip(axis)


def _exchange(first: int, second: int) -> Callable[[Tensor], Tensor]:
    return lambda x: x.transpose(first, second)


def _misread(first: int, second: int) -> Callable[[Tensor], Tensor]:
    return lambda x: x.transpose(first, second).reshape(x.shape)


def _shifted(view: View, node: Node, ours: Tensor, theirs: Tensor) -> Iterator[Hypothesis]:
    """Late or early along an axis other than that of the batch."""
    for axis in range(1, ours.dim()):
        size = ours.shape[axis]
        if size < 4:
            continue
        lag = _lag(ours, theirs, axis)
        if lag == 0:
            continue
        for parameter, text, compute in (
            ("lag", "beginning with zeros", _late(axis, lag)),
            ("lag", "going round", _round(axis, lag)),
        ):
            if _left(compute(ours), theirs) <= MOST_LEFT:
                words = f"{abs(lag)} {'late' if lag > 0 else 'early'} along axis {axis}, {text}"
                edit, site = view.after(node, compute), _site(view, node)
                yield Hypothesis("graph", parameter, "in step", words, site, (edit,), cost=3.0)


def _lag(ours: Tensor, theirs: Tensor, axis: int) -> int:
    """By how many places the candidate is late along an axis, by the largest product."""
    size = ours.shape[axis]
    spectrum = torch.fft.rfft(theirs, n=2 * size, dim=axis)
    spectrum = spectrum * torch.fft.rfft(ours, n=2 * size, dim=axis).conj()
    products = torch.fft.irfft(spectrum, n=2 * size, dim=axis).movedim(axis, -1)
    best = int(products.reshape(-1, 2 * size).sum(0).argmax())
    lag = best if best < size else best - 2 * size
    return lag if abs(lag) <= min(MOST_LAG, size // 2) else 0


def _late(axis: int, lag: int) -> Callable[[Tensor], Tensor]:
    def compute(x: Tensor) -> Tensor:
        made = x.roll(lag, axis)
        start = 0 if lag > 0 else x.shape[axis] + lag
        made.narrow(axis, start, abs(lag)).zero_()
        return made

    return compute


def _round(axis: int, lag: int) -> Callable[[Tensor], Tensor]:
    return lambda x: x.roll(lag, axis)


def _permuted(view: View, node: Node, ours: Tensor, theirs: Tensor) -> Iterator[Hypothesis]:
    """The same slices along an axis in another order."""
    for axis, size in enumerate(ours.shape):
        if not 2 <= size <= MOST_SLICES or ours.numel() < 4 * size:
            continue
        mine = ours.movedim(axis, 0).reshape(size, -1)
        other = theirs.movedim(axis, 0).reshape(size, -1)
        scale = float(other.norm()) / math.sqrt(size)
        distances = torch.cdist(other, mine)
        order = distances.argmin(dim=1)
        fits = float(distances.gather(1, order[:, None]).max()) <= MOST_LEFT * scale
        moved = bool((order != torch.arange(size)).any())
        if not fits or not moved or len(set(order.tolist())) != size:
            continue
        edit, site = view.after(node, _in_order(axis, order.tolist())), _site(view, node)
        text = f"other order along axis {axis}"
        yield Hypothesis("layout", "permuted", "as it is", text, site, (edit,), cost=3.2)


def _in_order(axis: int, order: list[int]) -> Callable[[Tensor], Tensor]:
    return lambda x: x.index_select(axis, torch.tensor(order, device=x.device))
