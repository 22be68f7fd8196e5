"""What the module itself returns, against the graph that `torch.export` made of it.

The graph is torch's side of every comparison. Where the export took one branch of several, or the
value that a Python variable had at that moment, the graph is another model than the module.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from parity_coreml.errors_of import relative_error
from parity_coreml.exported import Exported

__all__ = ["Returned", "compare_returned", "with_buffers"]


@dataclass(frozen=True, slots=True)
class Returned:
    """One tensor that the module returned.

    Attributes:
        name: of the node that stands for it in the graph.
        error: of the graph's value against the module's.
        floor: what rounding explains of it: how far the graph is from itself in float64.
        step: of the run.
    """

    name: str
    error: float
    floor: float
    step: int = 0

    def beyond(self, factor: float) -> bool:
        """Whether they are two models; NaN counts as that."""
        return not self.error <= factor * self.floor


def compare_returned(
    module: nn.Module,
    exported: Exported,
    args: Sequence[torch.Tensor],
    state: Mapping[str, torch.Tensor],
    ours: Mapping[str, object],
) -> list[Returned]:
    """Run the module on one step; what it returns without a finite number is left out.

    Args:
        module: that was exported.
        exported: its graph.
        args: of the module.
        state: buffers before the step, by placeholder.
        ours: the graph's values on the same.
    """
    buffers = {exported.states[name]: tensor for name, tensor in state.items()}
    with torch.no_grad(), with_buffers(module, buffers):
        made = module(*(each.clone() for each in args))
    tensors = [each for each in tree_leaves(made) if isinstance(each, torch.Tensor)]
    exact = exported.run(args, dict(state), dtype=torch.float64)
    return [
        _compared(name, tensor, ours[name], exact[name])
        for name, tensor in zip(exported.outputs, tensors, strict=True)
        if tensor.isfinite().any()
    ]


def _compared(name: str, tensor: torch.Tensor, graph: object, exact: torch.Tensor) -> Returned:
    unit = torch.finfo(torch.float32).eps / 2
    rounding = relative_error(graph, exact.to(tensor.dtype))
    floor = unit if math.isnan(rounding) else max(unit, rounding)
    return Returned(name, relative_error(graph, tensor), floor)


@contextmanager
def with_buffers(module: nn.Module, values: Mapping[str, torch.Tensor]) -> Iterator[None]:
    """The module with these buffers, and all of them as before afterwards."""
    buffers = dict(module.named_buffers())
    before = {name: buffer.clone() for name, buffer in buffers.items()}
    with torch.no_grad():
        for name, value in values.items():
            buffers[name].copy_(value)
        try:
            yield
        finally:
            for name, buffer in module.named_buffers():
                if name in before:
                    buffer.copy_(before[name])
