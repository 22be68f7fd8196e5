"""The index of a capture that is being written: one row a record, one row a draw."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import chain, repeat

import h5py
import numpy as np

from parity.errors import InputError
from parity.store.block import RecordBlock
from parity.store.layout import DRAW_TYPE, INDEX_STRUCT, INDEX_TYPE, TIER_CODES
from parity.store.series import Series
from parity.store.tables import StringTable, append_rows
from parity.tensors import NoiseDraw, TapRecord, TensorStatistics

__all__ = ["IndexWriter"]

_NAN = math.nan
_NO_STATISTICS = TensorStatistics(-1, _NAN, _NAN, _NAN, _NAN, _NAN, 0, 0, 0)
_DIGEST_CHARACTERS = 32


class IndexWriter:
    """Gathers rows and appends them to `/index`, `/producers`, `/noise/draws` and `/strings`."""

    def __init__(self, h5: h5py.File) -> None:
        self._h5 = h5
        self._strings = StringTable(h5, "strings", ("text",))
        # Row 0 is the empty string: what zeroed rows refer to.
        self._strings.code("")
        self._rows: list[bytes] = []
        self._places: list[tuple[Series, int]] = []
        self._producers: list[int] = []
        self._producers_total = 0
        self._draws: list[tuple[int, int, int, int, int, int]] = []
        self._draw_places: list[tuple[Series, int]] = []

    def add(self, record: TapRecord, series: Series, row: int) -> None:
        """Take a record whose tensor is the series' `row`, or -1 where none is kept."""
        digest = record.digest.encode()
        if len(digest) > _DIGEST_CHARACTERS:
            raise InputError("digest is longer than 32 characters", where=str(record.key))
        statistics = record.statistics or _NO_STATISTICS
        key, code = record.key, self._strings.code
        packed = INDEX_STRUCT.pack(
            series.number, code(key.phase), code(record.source), record.thread,
            key.call, record.step, record.order, row, -1, record.duration_s, record.time_s,
            statistics.count, statistics.mean, statistics.std, statistics.min, statistics.max,
            statistics.l2, statistics.nan_count, statistics.inf_count, statistics.zero_count,
            self._producers_total, len(record.producers), TIER_CODES[record.tier], digest,
        )  # fmt: skip
        self._rows.append(packed)
        self._places.append((series, row))
        self._producers.extend(record.producers)
        self._producers_total += len(record.producers)

    def add_block(self, block: RecordBlock, series: Series, first_row: int | None) -> None:
        """Take records whose tensors are the series' rows from `first_row`; None for none kept."""
        size = len(block)
        table = np.zeros(size, INDEX_TYPE)
        table["series"] = series.number
        table["tier"] = TIER_CODES[block.tier]
        table["offset"] = -1
        table["row"] = -1 if first_row is None else np.arange(first_row, first_row + size)
        for name, column in (*block.columns.items(), *block.statistics.items()):
            table[name] = column
        table["phase"] = self._codes(block.phases)
        table["source"] = self._codes(block.sources)
        table["digest"] = block.digests
        counts = list(map(len, block.producers))
        table["producers_count"] = counts
        table["producers_start"] = self._producers_total + np.cumsum(counts) - counts
        self._rows.append(table.tobytes())
        rows = repeat(-1, size) if first_row is None else range(first_row, first_row + size)
        self._places.extend(zip(repeat(series), rows))
        self._producers.extend(chain.from_iterable(block.producers))
        self._producers_total += sum(counts)

    def _codes(self, texts: Sequence[str]) -> int | list[int]:
        """The numbers of the strings; one number where all are the same, as they mostly are."""
        if texts and texts.count(texts[0]) == len(texts):
            return self._strings.code(texts[0])
        return [self._strings.code(text) for text in texts]

    def add_draw(self, draw: NoiseDraw, series: Series, row: int) -> None:
        """Take a random draw whose values are the series' `row`."""
        code = self._strings.code
        parameters = json.dumps(dict(draw.parameters), sort_keys=True)
        texts = (draw.distribution, draw.site, draw.phase, parameters)
        self._draws.append((*map(code, texts), series.number, row))  # type: ignore[arg-type]
        self._draw_places.append((series, row))

    def flush(self) -> None:
        """Append the gathered rows; their tensors must have been written before."""
        rows = np.frombuffer(b"".join(self._rows), INDEX_TYPE).copy()
        rows["offset"] = _offsets(self._places)
        draws = np.empty(len(self._draws), DRAW_TYPE)
        draws[:] = [(*draw, -1) for draw in self._draws]
        draws["offset"] = _offsets(self._draw_places)
        self._strings.flush()
        append_rows(self._h5, "producers", np.array(self._producers, "<i8"))
        append_rows(self._h5, "index", rows)
        append_rows(self._h5, "noise/draws", draws)
        for gathered in (self._rows, self._places, self._producers, self._draws, self._draw_places):
            gathered.clear()


def _offsets(places: list[tuple[Series, int]]) -> list[int]:
    return [series.offset(row) if row >= 0 else -1 for series, row in places]
