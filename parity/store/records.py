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

# Random draws have series too, with a role of their own; no record refers to one.
_ROLES = {str(role): role for role in Role}


def decoded_records(columns: Columns) -> tuple[TapRecord, ...]:
    """One `TapRecord` a row."""
    # What the rows of one series share is made once: there are tens of thousands of rows.
    taps = [(info.path, _ROLES.get(info.role, Role.TAP), info.slot) for info in columns.series]
    specs = [TensorSpec(info.dtype, info.shape) for info in columns.series]
    texts, fed_by = columns.strings, columns.producers.tolist()
    records = []
    for (
        series, phase, source, thread, call, step, order, _, _, duration_s, time_s,
        count, mean, std, low, high, l2, nans, infs, zeros, start, feeding, tier, digest,
    ) in columns.table.tolist():  # fmt: skip
        path, role, slot = taps[series]
        statistics = None
        if count >= 0:
            statistics = TensorStatistics(count, mean, std, low, high, l2, nans, infs, zeros)
        record = TapRecord(
            TapKey(path, role, slot, texts[phase], call), specs[series], order, step, texts[source],
            tuple(fed_by[start : start + feeding]) if feeding else (), duration_s, thread,
            TIERS[tier], statistics, digest.decode(errors="replace"), time_s,
        )  # fmt: skip
        records.append(record)
    return tuple(records)


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
