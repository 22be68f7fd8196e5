"""Runs a torch module on its example and keeps what all its modules return."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree

from parity_onnx.names import ROOT

__all__ = ["Result", "copied", "results"]

_CALL = "_compiled_call_impl"


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What a module returned in one of its calls."""

    path: str
    slot: str
    call: int
    tensor: torch.Tensor


def results(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Result]:
    """What the modules return in one run, in the order in which they end. `module` stays as it is.

    Args:
        module: what is run.
        args: its positional arguments; copies of their tensors are given.
        kwargs: its keyword arguments.
    """
    found: list[Result] = []
    with _unchanged(module), _heard(module, found):
        module(*_pytree.tree_map(copied, args), **_pytree.tree_map(copied, dict(kwargs)))
    return found


@contextmanager
def _unchanged(module: nn.Module) -> Iterator[None]:
    """Puts back the buffers that a run writes into, such as caches and counters."""
    before = [
        (part, name, buffer, buffer.clone())
        for part in module.modules()
        for name, buffer in part.named_buffers(recurse=False)
    ]
    try:
        yield
    finally:
        for part, name, buffer, copy in before:
            setattr(part, name, buffer.copy_(copy))


def copied(value: Any) -> Any:
    """A copy of a tensor, of any shape; anything else as it is."""
    return value.clone() if isinstance(value, torch.Tensor) else value


@contextmanager
def _heard(module: nn.Module, found: list[Result]) -> Iterator[None]:
    """Keeps what all modules return.

    Calls are intercepted where `Module.compile` puts its own: forward hooks would keep encoder
    layers from their fused path, and functions such as `torch.cond` refuse to run with them.
    """
    calls: Counter[str] = Counter()

    def listening(path: str, inner: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            result = inner(*args, **kwargs)
            number = calls[path]
            calls[path] += 1
            found.extend(
                Result(path, slot, number, leaf.detach().clone()) for slot, leaf in _slots(result)
            )
            return result

        return call

    before = [(part, part.__dict__.get(_CALL)) for part in module.modules()]
    for path, part in module.named_modules():
        part.__dict__[_CALL] = listening(path or ROOT, part.__dict__.get(_CALL) or part._call_impl)
    try:
        yield
    finally:
        for part, earlier in before:
            part.__dict__.pop(_CALL)
            if earlier is not None:
                part.__dict__[_CALL] = earlier


def _slots(result: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Tensors as torch.export flattens them, so in the order of the graph's outputs.

    They have the slots that captures give them: the first, or only one, is the empty slot.
    """
    for path, leaf in _pytree.tree_flatten_with_path(result)[0]:
        if isinstance(leaf, torch.Tensor):
            slot = ".".join(_word(part) for part in path)
            yield ("" if slot == "0" else slot), leaf


def _word(part: Any) -> str:
    for attribute in ("idx", "key", "name"):
        if hasattr(part, attribute):
            return str(getattr(part, attribute))
    return str(part)
