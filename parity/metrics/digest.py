"""A digest of a tensor's bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import xxhash

__all__ = ["digest", "digests"]

_CHARACTERS = 32


def digest(array: np.ndarray[Any, np.dtype[Any]]) -> str:
    """Hexadecimal xxh3-128 of the C-ordered bytes of an array of any shape and dtype.

    Equal digests mean equal bytes for every purpose but defence against an attacker.
    """
    # Some dtypes (bfloat16) offer no buffer of their own; bytes always do.
    data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return xxhash.xxh3_128_hexdigest(data.data)


def digests(stack: np.ndarray[Any, np.dtype[Any]]) -> np.ndarray[Any, np.dtype[np.bytes_]]:
    """`digest` of `stack[0]`, `stack[1]`, ..., as ASCII, shape `(n,)`.

    Args:
        stack: any shape with at least one axis, any dtype.
    """
    hexadecimal = xxhash.xxh3_128_hexdigest
    if stack.size == 0:
        return np.array([hexadecimal(b"").encode()] * len(stack), f"S{_CHARACTERS}")
    data = np.ascontiguousarray(stack).reshape(-1).view(np.uint8).data
    step = len(data) // len(stack)
    text = "".join([hexadecimal(data[i : i + step]) for i in range(0, len(data), step)])
    return np.frombuffer(text.encode(), f"S{_CHARACTERS}")
