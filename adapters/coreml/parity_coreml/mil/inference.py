"""coremltools' own constant folding of one operation, as its evaluation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from parity_coreml.mil.handlers import Made
from parity_coreml.mil.values import declared_dtype, to_value

__all__ = ["infer"]


def infer(operation: Any, looked_up: Callable[[Any], Any]) -> Made | None:
    """What `value_inference` makes of an operation, or None where it makes nothing.

    It folds constants with numpy, so it serves where there is no handler, and as a second opinion
    where there is one. The operation is as before afterwards.

    Args:
        operation: of a program.
        looked_up: the value of one of its inputs, as the evaluator has it.
    """
    inputs = [each for each in operation.get_flattened_inputs() if each is not None]
    before = [variable._sym_val for variable in inputs]
    try:
        for variable in inputs:
            variable._sym_val = _constant(variable, looked_up(variable))
        made = operation.value_inference()
    except Exception:  # folding is numpy code that was not made for every argument
        return None
    finally:
        for variable, was in zip(inputs, before, strict=True):
            variable._sym_val = was
    if made is None:
        return None
    if isinstance(made, tuple | list):
        several: tuple[torch.Tensor, ...] = tuple(to_value(each) for each in made)
        return several
    folded: torch.Tensor = to_value(made)
    return folded


def _constant(variable: Any, value: Any) -> Any:
    """The value in the wrapping that coremltools gives its constants."""
    from coremltools.converters.mil.mil import types  # noqa: PLC0415 - seconds to load

    wrapped = variable.sym_type()
    if isinstance(value, str) or not isinstance(value, torch.Tensor):
        wrapped.val = value
        return wrapped
    # float16 would round inside, which the evaluator does at the end of an operation.
    declared = declared_dtype(variable)
    array = value.numpy().astype(np.float32 if declared == np.float16 else declared)
    wrapped.val = array if types.is_tensor(variable.sym_type) else array.reshape(())[()]
    return wrapped
