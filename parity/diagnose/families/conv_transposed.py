"""Transposed convolutions: at which end what is too much is cut off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch

from parity.diagnose.hypothesis import Hypothesis, Solve
from parity.diagnose.kernels import (
    Convolution,
    arguments_of,
    is_convolution,
    padded,
    run_convolution,
    signal_of,
)
from parity.diagnose.view import View
from parity.localize.execute import Edit, Operands
from parity.localize.tape import Node

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
NAME = "conv"


def propose(view: View) -> Iterator[Hypothesis]:
    """Other cuts of every transposed convolution."""
    for node in view.nodes:
        weight = view.tensor_argument(node, 1, "weight")
        if not is_convolution(node) or node.written or weight is None:
            continue
        how = arguments_of(node, view.shape(weight)[2:])
        if how is not None and how.transposed:
            yield from _trimmed(view, node, how)


def _trimmed(view: View, node: Node, how: Convolution) -> Iterator[Hypothesis]:
    """A transposed convolution that trims otherwise: more at one end, less at the other."""
    site, pads, extra = view.site(node), how.padding, how.output_padding
    bare = replace(how, padding=(0,) * how.dims, output_padding=(0,) * how.dims)

    def trimmed(before: tuple[int, ...]) -> Edit:
        def apply(operands: Operands) -> Tensor:
            full = run_convolution(bare, operands, signal_of(operands))
            amounts = tuple(
                (-b, -(2 * p - e - b)) for b, p, e in zip(before, pads, extra, strict=True)
            )
            return padded(full, amounts)

        return Edit(node.index, apply)

    if any(pads):
        totals = tuple(2 * p - e for p, e in zip(pads, extra, strict=True))
        for label, before, cost in (
            ("trimmed at the end", (0,) * how.dims, 1.0),
            ("trimmed at the beginning", totals, 1.0),
        ):
            yield Hypothesis(
                NAME,
                "alignment",
                "trimmed at both ends",
                label,
                site,
                (trimmed(before),),
                cost=cost,
            )
    reach = min(max(2 * max(pads), *how.stride), 8)
    solve = Solve(
        lambda s: (trimmed(tuple(p + int(s) for p in pads)),),
        -reach, reach, scale="integer", reference=0,
    )  # fmt: skip
    yield Hypothesis(
        NAME,
        "alignment",
        "trimmed where it is",
        "shifted by {value:.0f}",
        site,
        solve=solve,
        cost=1.4,
    )
