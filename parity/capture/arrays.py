"""torch tensors -> numpy arrays with the same bits."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import torch

from parity.capture.values import UnrecordableError

__all__ = ["to_numpy"]

Array = np.ndarray[Any, np.dtype[Any]]

# numpy has no such types: their bits travel as an integer of the same width.
_CARRIERS: dict[torch.dtype, tuple[torch.dtype, type]] = {
    torch.bfloat16: (torch.int16, ml_dtypes.bfloat16),
    torch.float8_e4m3fn: (torch.uint8, ml_dtypes.float8_e4m3fn),
    torch.float8_e5m2: (torch.uint8, ml_dtypes.float8_e5m2),
    torch.float8_e4m3fnuz: (torch.uint8, ml_dtypes.float8_e4m3fnuz),
    torch.float8_e5m2fnuz: (torch.uint8, ml_dtypes.float8_e5m2fnuz),
}


def to_numpy(tensor: torch.Tensor) -> Array:
    """The tensor as an array of the same shape, type and bits.

    It shares the tensor's memory where the tensor lies in main memory.

    Raises:
        UnrecordableError: the tensor is sparse, quantised, nested, on the meta device or of a
            kind that numpy cannot hold.
    """
    try:
        return tensor.numpy()  # nearly always; torch refuses what needs more care
    except (TypeError, RuntimeError):
        return _convert(tensor)


def _convert(tensor: torch.Tensor) -> Array:
    if tensor.layout is not torch.strided:
        raise UnrecordableError(f"{tensor.layout} layout")
    if tensor.is_meta:
        raise UnrecordableError("meta tensor without data")
    if tensor.is_quantized:
        raise UnrecordableError(f"quantised as {tensor.dtype}")
    try:
        plain = tensor.detach().cpu().resolve_conj().resolve_neg()
        carrier = _CARRIERS.get(plain.dtype)
        if carrier is None:
            return plain.numpy()
        integers, dtype = carrier
        return plain.view(integers).numpy().view(dtype)
    except (TypeError, RuntimeError) as error:
        raise UnrecordableError(f"{type(tensor).__name__} of {tensor.dtype}: {error}") from error
