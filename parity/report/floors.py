"""What a calibration found: a terminal screen, and JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from parity import __version__
from parity.report.words import printable
from parity.tensors import TapKey

if TYPE_CHECKING:
    from parity.localize.calibrate import Floors

__all__ = ["floors_screen", "floors_to_json"]

JSON_VERSION = 1
Calibrated = Sequence[tuple[Path, "Floors"]]


def floors_screen(done: Calibrated, *, rows: int = 8) -> RenderableType:
    """What `parity calibrate` prints: of each precision the usual floor, and the worst taps."""
    parts: list[RenderableType] = []
    for path, floors in done:
        parts.append(Rule(printable(str(path)), style="dim"))
        seconds = floors.facts.get("seconds", 0.0)
        parts.append(Text(f"noise floors of {len(floors):,} tensors, in {seconds:,.1f} s", "bold"))
        parts.append(Padding(_summary(floors), (1, 0, 0, 2)))
        parts.append(Padding(_worst(floors, rows), (1, 0, 1, 2)))
        parts += [Padding(Text(line, "dim"), (0, 0, 0, 2)) for line in _flips(floors)]
    return Group(*parts)


def _summary(floors: Floors) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("precision", "median", "99 %", "largest", "unknown", "measured by"):
        table.add_column(
            title, justify="left" if title in {"precision", "measured by"} else "right"
        )
    for name, values in floors.values.items():
        known = values[values > 0]
        numbers = [_short(float(np.quantile(known, q))) if known.size else "–" for q in _SHARES]
        unknown = f"{int(np.isnan(values).sum()):,}"
        runs = "; ".join(floors.facts.get("runs", {}).get(name, ()))
        table.add_row(name, *numbers, unknown, f"{runs}; all against float64")
    return table


_SHARES = (0.5, 0.99, 1.0)


def _worst(floors: Floors, rows: int) -> Table:
    """The taps with the largest floors, by precision."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("worst taps", overflow="fold", ratio=1)
    for name in floors.precisions:
        table.add_column(name, justify="right", no_wrap=True)
    keys = dict.fromkeys(
        key for name in floors.precisions for key, _ in floors.worst(rows, precision=name)
    )
    places = {key: place for place, key in enumerate(floors.keys)}
    for key in list(keys)[: rows * len(floors.precisions)]:
        values = [float(floors.values[name][places[key]]) for name in floors.precisions]
        table.add_row(printable(str(key)), *map(_short, values))
    return table


def _flips(floors: Floors) -> list[str]:
    lines = []
    for name, found in floors.flips.items():
        if found:
            more = f" and {len(found) - 3:,} more" if len(found) > 3 else ""
            where = printable(", ".join(found[:3]))
            lines.append(f"note: rounding alone flips decisions in {name}: {where}{more}")
    return lines


def _short(value: float) -> str:
    if math.isnan(value):
        return "–"
    return "0" if value == 0 else f"{value:.1e}"


def floors_to_json(done: Calibrated) -> str:
    """What was found as one JSON document; unknown floors are null."""
    document = {
        "format": "parity-floors",
        "version": JSON_VERSION,
        "parity": __version__,
        "captures": [_capture(path, floors) for path, floors in done],
    }
    return json.dumps(document, allow_nan=False, ensure_ascii=False, default=str)


def _capture(path: Path, floors: Floors) -> dict[str, Any]:
    return {
        "file": str(path),
        "facts": dict(floors.facts),
        "precisions": {name: _precision(floors, name) for name in floors.precisions},
        "taps": [_tap(floors, place, key) for place, key in enumerate(floors.keys)],
    }


def _precision(floors: Floors, name: str) -> dict[str, Any]:
    values = floors.values[name]
    known = values[values > 0]
    return {
        "median": float(np.median(known)) if known.size else None,
        "largest": float(known.max()) if known.size else None,
        "unknown": int(np.isnan(values).sum()),
        "unstable": int(floors.unstable[name].sum()),
        "flips": list(floors.flips.get(name, ())),
        "worst": [{"tap": str(key), "floor": value} for key, value in floors.worst(precision=name)],
    }


def _tap(floors: Floors, place: int, key: TapKey) -> dict[str, Any]:
    values = {name: float(found[place]) for name, found in floors.values.items()}
    return {
        "tap": key.path,
        "port": key.port,
        "phase": key.phase,
        "call": key.call,
        "floor": {name: v if math.isfinite(v) else None for name, v in values.items()},
        "unstable": [name for name, found in floors.unstable.items() if found[place]],
    }
