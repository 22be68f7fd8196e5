"""Pooling: whether the border counts, how a rest is rounded, means for maxima."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.nn import functional

from parity.diagnose.hypothesis import Hypothesis
from parity.diagnose.operands import with_operands
from parity.diagnose.view import View
from parity.localize.execute import Edit, Operands
from parity.localize.tape import Node

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
NAME = "padding"


def propose(view: View) -> Iterator[Hypothesis]:
    """Other conventions wherever the reference pools."""
    for node in view.nodes:
        if "pool" in node.name and not node.written:
            yield from _pooled(view, node)


_POOL = ("input", "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")


def _pooled(view: View, node: Node) -> Iterator[Hypothesis]:
    if node.name.startswith("avg_pool"):
        counted = bool(view.argument(node, 5, "count_include_pad", True))
        words = ("border counted in means", "border not counted")
        edit = _pool_argument(node, 5, "count_include_pad", not counted)
        reference, candidate = words if counted else words[::-1]
        yield Hypothesis(NAME, "amount", reference, candidate, view.site(node), (edit,), cost=1.0)
        ceil = bool(view.argument(node, 4, "ceil_mode", False))
        edit = _pool_argument(node, 4, "ceil_mode", not ceil)
        yield Hypothesis(
            NAME, "amount", f"ceil_mode={ceil}", f"ceil_mode={not ceil}", view.site(node), (edit,),
            cost=1.2,
        )  # fmt: skip
    for old, new in (("avg", "max"), ("max", "avg")):
        function = getattr(functional, node.name.replace(old, new), None)
        if node.name.startswith((old, f"adaptive_{old}")) and function is not None:
            yield Hypothesis(
                "conv", "pool", f"{old} pooling", f"{new} pooling", view.site(node),
                (_pool_as(node, function),), cost=1.1,
            )  # fmt: skip


def _pool_argument(node: Node, position: int, name: str, value: Any) -> Edit:
    def apply(operands: Operands) -> Tensor:
        if len(operands.args) > position:
            made: Tensor = with_operands(operands, {("a", position): value})
        else:
            made = with_operands(operands, {("k", name): value})
        return made

    return Edit(node.index, apply)


def _pool_as(node: Node, function: Callable[..., Tensor]) -> Edit:
    def apply(operands: Operands) -> Tensor:
        if node.name.startswith("adaptive"):
            return function(*operands.args, **operands.kwargs)
        given = {**dict(zip(_POOL[:4], operands.args, strict=False))}
        given |= {k: v for k, v in operands.kwargs.items() if k in _POOL[:4] and v is not None}
        return function(**given)

    return Edit(node.index, apply)
