"""Rows of a capture's tables as the value types that everybody uses."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from parity.store.columns import Columns
from parity.store.dtypes import element_type
from parity.store.image import FileImage
from parity.store.layout import TIERS
from parity.tensors import NoiseDraw, Role, TapKey, TapRecord, TensorSpec, TensorStatistics

__all__ = ["decoded_draws", "decoded_records"]

Array = np.ndarray[Any, np.dtype[Any]]


def decoded_records(columns: Columns) -> tuple[TapRecord, ...]:
    """One `TapRecord` a row."""
    specs = [TensorSpec(info.dtype, info.shape) for info in columns.series]
    producers = columns.producers.tolist()
    return tuple(_record(row, columns, specs, producers) for row in columns.table.tolist())


def _record(
    row: tuple[Any, ...], columns: Columns, specs: list[TensorSpec], producers: list[int]
) -> TapRecord:
    (
        series, phase, source, thread, call, step, order, _, _, duration_s,
        count, mean, std, low, high, l2, nans, infs, zeros, start, fed_by, tier, digest,
    ) = row  # fmt: skip
    info = columns.series[series]
    return TapRecord(
        key=TapKey(info.path, Role(info.role), info.slot, columns.strings[phase], call),
        spec=specs[series],
        order=order,
        step=step,
        source=columns.strings[source],
        producers=tuple(producers[start : start + fed_by]),
        duration_s=duration_s,
        thread=thread,
        tier=TIERS[tier],
        statistics=None
        if count < 0
        else TensorStatistics(count, mean, std, low, high, l2, nans, infs, zeros),
        digest=digest.decode(errors="replace"),
    )


def decoded_draws(
    draws: Array, nbytes: Array, columns: Columns, image: FileImage
) -> tuple[NoiseDraw, ...]:
    """One `NoiseDraw` a row, each with its values in an array of its own."""
    texts = columns.strings
    found = []
    for row, size in zip(draws.tolist(), nbytes.tolist(), strict=True):
        distribution, site, phase, parameters, series, _, offset = row
        info = columns.series[series]
        data = image.slice(offset, size)
        found.append(
            NoiseDraw(
                values=data.view(element_type(info.dtype)).reshape(info.shape).copy(),
                distribution=texts[distribution],
                site=texts[site],
                phase=texts[phase],
                parameters=_parameters(texts[parameters]),
            )
        )
    return tuple(found)


def _parameters(text: str) -> dict[str, float]:
    """The numbers in a JSON object; NaN for what is none."""
    try:
        facts = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    items = facts.items() if isinstance(facts, dict) else ()
    return {name: value if isinstance(value, int | float) else math.nan for name, value in items}
