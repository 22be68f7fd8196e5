"""Numbers as few bytes of a page: JSON, deflated, in base64; the page's script unpacks it."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np

__all__ = ["digits", "image", "levels", "pack"]

Array = np.ndarray[Any, np.dtype[Any]]


def pack(document: Any) -> str:
    """`document`, JSON values without NaN or infinities, as base64 of its deflated JSON."""
    text = json.dumps(document, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode("utf-8", "replace"), 9)).decode()


def digits(values: Iterable[float], count: int = 4) -> list[float | None]:
    """Numbers to `count` significant digits; None for those that JSON has not."""
    numbers = np.asarray(list(values), np.float64).tolist()
    return [float(f"{v:.{count}g}") if abs(v) < np.inf else None for v in numbers]


def levels(values: Array, low: float, high: float) -> Array:
    """`values` between `low` and `high` as 1 to 255, and 0 for what is not finite.

    Returns:
        uint8, of the shape of `values`.
    """
    span = high - low if high > low else 1.0
    share = np.clip((values - low) / span, 0.0, 1.0)
    return np.where(np.isfinite(values), 1 + np.round(254 * np.nan_to_num(share)), 0).astype(
        np.uint8
    )


def image(values: Array) -> str:
    """Bytes of shape `(rows, columns)` uint8 as base64."""
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()
