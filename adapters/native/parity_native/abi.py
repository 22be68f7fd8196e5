"""The structures and numbers of `parity_candidate.h`, version 1, for ctypes."""

from __future__ import annotations

import ctypes
from typing import Any

import ml_dtypes
import numpy as np

from parity.tensors import Role

__all__ = [
    "ABI_VERSION",
    "ANSWER_CONTINUE",
    "ANSWER_REPLACE",
    "ANSWER_SKIP",
    "ANSWER_STOP",
    "CODES",
    "DTYPES",
    "KIND_ASK",
    "KIND_NOISE",
    "KIND_TENSOR",
    "MAX_NAME_BYTES",
    "MAX_RANK",
    "ROLES",
    "OnTap",
    "Status",
    "Tap",
    "Tensor",
]

ABI_VERSION = 1
MAX_RANK = 32
MAX_NAME_BYTES = 4096

KIND_TENSOR, KIND_ASK, KIND_NOISE = 0, 1, 2
ANSWER_CONTINUE, ANSWER_STOP, ANSWER_REPLACE, ANSWER_SKIP = 0, 1, 2, 3

ROLES = {0: Role.TAP, 1: Role.INPUT, 2: Role.OUTPUT, 3: Role.PARAM, 4: Role.STATE}

DTYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype(np.bool_),
    2: np.dtype(np.int8),
    3: np.dtype(np.int16),
    4: np.dtype(np.int32),
    5: np.dtype(np.int64),
    6: np.dtype(np.uint8),
    7: np.dtype(np.uint16),
    8: np.dtype(np.uint32),
    9: np.dtype(np.uint64),
    10: np.dtype(np.float16),
    11: np.dtype(ml_dtypes.bfloat16),
    12: np.dtype(np.float32),
    13: np.dtype(np.float64),
    14: np.dtype(np.complex64),
    15: np.dtype(np.complex128),
    16: np.dtype(ml_dtypes.float8_e4m3fn),
    17: np.dtype(ml_dtypes.float8_e5m2),
}
CODES = {dtype: code for code, dtype in DTYPES.items()}


class Status:
    """How a function of the candidate ended."""

    OK, ERROR, BAD_INPUT, PANIC, STOPPED = range(5)


class Tensor(ctypes.Structure):
    """`parity_tensor`. Names and pointers are kept as addresses, to be checked before use."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("dtype", ctypes.c_uint32),
        ("rank", ctypes.c_uint32),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("data", ctypes.c_void_p),
    )


class Tap(ctypes.Structure):
    """`parity_tap`."""

    _fields_ = (
        ("kind", ctypes.c_uint32),
        ("role", ctypes.c_uint32),
        ("tensor", Tensor),
        ("slot", ctypes.c_void_p),
        ("phase", ctypes.c_void_p),
        ("step", ctypes.c_int64),
        ("source", ctypes.c_void_p),
    )


OnTap = ctypes.CFUNCTYPE(
    ctypes.c_int32, ctypes.c_void_p, ctypes.POINTER(Tap), ctypes.POINTER(Tensor)
)
