"""What it costs that Core ML starts every state as zeros, whatever the buffer held."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from parity_coreml.errors_of import nan_last, relative_error
from parity_coreml.exported import Exported

__all__ = ["moved_by_zeros"]

# Further than rounding moves what is returned; a state that starts behind a mask moves nothing.
_NOTHING = 2.0**-20


def moved_by_zeros(exported: Exported, steps: Sequence[Sequence[torch.Tensor]]) -> dict[str, float]:
    """The states whose start shows in what the module returns, by placeholder.

    Args:
        exported: the module, with its buffers as it was exported.
        steps: its arguments, one sequence a step.

    Returns:
        How far the worst output moves if that state alone starts as zeros; NaN past comparing.
    """
    start = exported.kept(exported.initial_state())
    other = [name for name, tensor in start.items() if tensor.any()]
    if not other:
        return {}
    ours = _returned(exported, steps, start)
    moved = {}
    for name in other:
        zeros = _returned(exported, steps, {**start, name: torch.zeros_like(start[name])})
        errors = (relative_error(one, two) for one, two in zip(zeros, ours, strict=True))
        moved[name] = max(errors, key=nan_last, default=0.0)
    return {name: error for name, error in moved.items() if not error <= _NOTHING}


def _returned(
    exported: Exported, steps: Sequence[Sequence[torch.Tensor]], start: dict[str, torch.Tensor]
) -> list[torch.Tensor]:
    """Everything that the steps return, on states that go from step to step in float16."""
    state = dict(start)
    made = []
    for args in steps:
        values = exported.run(args, state)
        state = exported.kept(state)
        made += [values[name] for name in exported.outputs]
    return made
