"""A plain `nn.Module` as a program: the case's arrays are the arguments of its `forward`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import torch
from torch import nn

from parity.errors import InputError
from parity.tensors import Case

__all__ = ["ModuleProgram"]

Parameters = Mapping[str, inspect.Parameter]

_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class ModuleProgram:
    """Calls a module once, in evaluation mode.

    `case.arrays` and `case.inputs` go to the parameters of the same name; arrays that are named
    by numbers go by position; and one array alone goes to the one parameter that needs a value.
    The hooks record everything, the module's own output under `(root)`, so `run` returns nothing.
    """

    functions: Sequence[str] = ()
    phases: Mapping[str, str] = {}
    steps: Mapping[str, str] = {}

    def __init__(self, module: nn.Module) -> None:
        self._module = module.eval()
        self.name = type(module).__name__
        self.modules: Mapping[str, nn.Module] = {"": module}
        precision = next((parameter.dtype for parameter in module.parameters()), None)
        self.facts: Mapping[str, str | int | float | bool] = (
            {} if precision is None else {"precision": str(precision).removeprefix("torch.")}
        )

    def run(self, case: Case) -> Mapping[str, torch.Tensor]:
        """Call the module with the case's arrays, float arrays as they are.

        Raises:
            InputError: arrays or inputs do not fit the parameters of `forward`.
        """
        parameters = inspect.signature(self._module.forward).parameters
        device = next((one.device for one in self._module.parameters()), torch.device("cpu"))
        tensors = {name: to_torch(array).to(device) for name, array in case.arrays.items()}
        positional, keywords = _arguments(tensors, parameters, self.name)
        _check_names(case.inputs, parameters, self.name)
        self._module(*positional, **keywords, **case.inputs)
        return {}


def to_torch(array: np.ndarray[Any, np.dtype[Any]]) -> torch.Tensor:
    """A tensor of its own with the array's shape, type and bits."""
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    # ascontiguousarray would make one axis out of none.
    return torch.from_numpy(np.array(array, order="C"))


def _arguments(
    tensors: Mapping[str, torch.Tensor], parameters: Parameters, owner: str
) -> tuple[list[torch.Tensor], dict[str, torch.Tensor]]:
    if all(name.isdecimal() for name in tensors):
        return [tensors[name] for name in sorted(tensors, key=int)], {}
    needed = [
        name
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty and parameter.kind not in _VARIABLE
    ]
    if len(tensors) == len(needed) == 1 and not set(tensors) <= set(parameters):
        value = next(iter(tensors.values()))
        if parameters[needed[0]].kind is inspect.Parameter.KEYWORD_ONLY:
            return [], {needed[0]: value}
        return [value], {}
    _check_names(tensors, parameters, owner)
    return [], dict(tensors)


def _check_names(given: Mapping[str, object], parameters: Parameters, owner: str) -> None:
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values()):
        return
    for name in given:
        if name not in parameters:
            raise InputError(
                f"{owner}.forward has no parameter {name!r}; it has: {', '.join(parameters)}",
                where="case",
                hint="name the case's arrays and inputs after them, or arrays 0, 1, ... by "
                "position; or write a program with a method run(case)",
            )
