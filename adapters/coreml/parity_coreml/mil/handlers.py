"""Which function computes which operation."""

from __future__ import annotations

from collections.abc import Callable

import torch

from parity_coreml.mil.args import Args

__all__ = ["HANDLERS", "Handler", "Made", "handles"]

Made = torch.Tensor | tuple[torch.Tensor, ...]
Handler = Callable[[Args], Made]

HANDLERS: dict[str, Handler] = {}


def handles(*kinds: str) -> Callable[[Handler], Handler]:
    """Register a function for these operations, by their MIL names."""

    def register(function: Handler) -> Handler:
        for kind in kinds:
            HANDLERS[kind] = function
        return function

    return register
