"""The records of a capture as a pandas table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from parity.store.columns import Columns
from parity.store.layout import TIERS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["to_frame"]

_PLAIN = (
    "call", "step", "order", "mean", "std", "min", "max", "l2", "nan_count", "inf_count",
    "zero_count", "duration_s", "time_s", "thread",
)  # fmt: skip


def to_frame(columns: Columns) -> pd.DataFrame:
    """One row a record, in execution order; statistics are NaN where none were computed."""
    import pandas as pd  # noqa: PLC0415 - slow to load, and only tables need it

    table = columns.table
    series = [columns.series[code] for code in table["series"].tolist()]
    texts = np.array(columns.strings, dtype=object)
    facts = {
        "path": [info.path for info in series],
        "role": [info.role for info in series],
        "slot": [info.slot for info in series],
        "phase": texts[table["phase"]],
        "dtype": [info.dtype for info in series],
        "shape": [info.shape for info in series],
        **{name: table[name] for name in _PLAIN},
        "source": texts[table["source"]],
        "tier": np.array(TIERS, dtype=object)[table["tier"]],
        "digest": [digest.decode(errors="replace") for digest in table["digest"].tolist()],
    }
    return pd.DataFrame(facts)
