"""What each module of a torch model returns, call by call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from parity.capture.flatten import leaves
from parity_coreml.returned import with_buffers

__all__ = ["ROOT", "ModuleOutput", "module_outputs"]

ROOT = "(root)"  # as captures name the module that was recorded itself


@dataclass(frozen=True, slots=True, eq=False)
class ModuleOutput:
    """One tensor that a module returned, its slot as captures count it.

    Attributes:
        path: of the module, empty for the whole.
        slot: its place among several outputs; empty for the first.
        call: how often the module had run before.
        value: a copy, of any shape.
    """

    path: str
    slot: str
    call: int
    value: torch.Tensor


def module_outputs(
    module: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any] | None = None
) -> list[ModuleOutput]:
    """Run the module once, its buffers as before afterwards; in the order of completion."""
    found: list[ModuleOutput] = []
    calls: Counter[str] = Counter()

    def listen(path: str) -> Any:
        def hook(_: nn.Module, __: Any, made: Any) -> None:
            call = calls[path]
            calls[path] += 1
            for slot, tensor in leaves(made, torch.Tensor):
                assert isinstance(tensor, torch.Tensor)  # noqa: S101 - asked for by type
                # A copy: what comes later may change it in place.
                found.append(ModuleOutput(path, slot, call, tensor.detach().clone()))

        return hook

    hooks = [each.register_forward_hook(listen(path)) for path, each in module.named_modules()]
    try:
        with torch.no_grad(), with_buffers(module, {}):
            module(*map(_copied, args), **(kwargs or {}))
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _copied(value: Any) -> Any:
    # A module may change what it is given.
    return value.clone() if isinstance(value, torch.Tensor) else value
