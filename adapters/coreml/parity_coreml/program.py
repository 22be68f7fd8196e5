"""From `module:attribute` and arrays by name to a torch module and its arguments."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from parity.backends import resolve
from parity.errors import BackendError, InputError
from parity_coreml.backend import steps_of
from parity_coreml.mil.values import Array
from parity_coreml.package import open_package
from parity_coreml.sidecar import read_sidecar

__all__ = ["arguments", "load_module", "module_steps"]


def load_module(target: str, options: Mapping[str, Any] | None = None) -> nn.Module:
    """The module that `target` names or makes, in evaluation mode; what it draws is seeded.

    Args:
        target: `module:attribute`, looked for in the current folder first.
        options: keywords of the attribute if it is a function or a class.

    Raises:
        BackendError: it cannot be found, or is no `torch.nn.Module`.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        found = resolve(target, python_path=["."])
        torch.manual_seed(0)
        if not isinstance(found, nn.Module) and callable(found):
            found = found(**(options or {}))
    if not isinstance(found, nn.Module):
        raise BackendError(
            f"gives a {type(found).__name__}, and not a torch.nn.Module",
            where=target,
            hint="name a module, or a function that makes one",
        )
    return found.eval()


def arguments(module: nn.Module, arrays: Mapping[str, Array]) -> tuple[Array, ...]:
    """The arrays in the order of the module's arguments: by name, or by number.

    Raises:
        InputError: a name is none of its arguments, or one that it needs is missing.
    """
    if arrays and all(name.isdecimal() for name in arrays):
        return tuple(arrays[name] for name in sorted(arrays, key=int))
    known = inspect.signature(module.forward).parameters
    needed = [name for name, each in known.items() if each.default is each.empty]
    unknown = [name for name in arrays if name not in known]
    missing = [name for name in needed if name not in arrays]
    if unknown or missing:
        raise InputError(
            f"{type(module).__name__}.forward takes {', '.join(known)}; got "
            f"{', '.join(arrays) or 'nothing'}",
            where="--array",
            hint="name the arrays after its arguments, or 0, 1, ... by position",
        )
    return tuple(arrays[name] for name in known if name in arrays)


def module_steps(
    module: nn.Module, arrays: Mapping[str, Array], package: str
) -> list[tuple[torch.Tensor, ...]]:
    """The module's arguments for each step; an array with one axis too many has one a step."""
    ordered = arguments(module, arrays)
    names = read_sidecar(package).inputs
    if len(names) != len(ordered):
        raise InputError(
            f"the package takes {len(names)} inputs, got {len(ordered)} arrays", where=package
        )
    steps = steps_of(dict(zip(names, ordered, strict=True)), open_package(package))
    return [tensors([step[name] for name in names]) for step in steps]


def tensors(arrays: Sequence[Array]) -> tuple[torch.Tensor, ...]:
    """Copies of the arrays as tensors."""
    return tuple(torch.from_numpy(np.array(array, order="C")) for array in arrays)
