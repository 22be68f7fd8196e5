"""The seam to the recorder: every name this port gives to a tensor, phase or step passes here.

Nothing is copied or kept unless a recording is on.
"""

from __future__ import annotations

import torch

from parity.capture import next_step, phase, tap
from parity.tensors import Role

__all__ = ["next_step", "phase", "record"]


def record(path: str, tensor: torch.Tensor, slot: str = "") -> torch.Tensor:
    """Record `tensor`, of any shape, as an output of `path`, and hand it on."""
    return tap(path, tensor, role=Role.OUTPUT, slot=slot)
