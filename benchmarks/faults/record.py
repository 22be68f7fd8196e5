"""Outcomes on file: one JSON line a trial, so that a run that was cut off goes on where it was."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.faults.trial import Outcome, Setup

__all__ = ["append", "forget", "key_of", "read"]


def key_of(setup: Setup) -> str:
    """What tells a trial from all others; it does not change when the engine does."""
    return json.dumps(asdict(setup), sort_keys=True)


def append(path: Path, outcome: Outcome) -> None:
    """Write an outcome behind the others."""
    fields = asdict(outcome)
    if math.isnan(outcome.seconds):
        fields["seconds"] = None  # NaN is not JSON
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(fields, sort_keys=True, ensure_ascii=False)
    with path.open("a+b") as file:
        # Behind a line that was cut off while it was written, a new one begins.
        broken = file.seek(0, 2) > 0 and file.seek(-1, 2) >= 0 and file.read(1) != b"\n"
        file.write(("\n" * broken + line + "\n").encode())


def read(path: Path) -> dict[str, Outcome]:
    """All outcomes by key; of two of the same trial the later counts."""
    if not path.exists():
        return {}
    outcomes = (_outcome(line) for line in path.read_text(encoding="utf-8").split("\n"))
    return {key_of(one.setup): one for one in outcomes if one is not None}


def _outcome(line: str) -> Outcome | None:
    try:
        fields: dict[str, Any] = json.loads(line)
    except json.JSONDecodeError:
        return None  # cut off while it was written: that trial is made again
    setup = fields.pop("setup")
    setup["faults"] = tuple(setup["faults"])
    if fields["seconds"] is None:
        fields["seconds"] = math.nan
    return Outcome(Setup(**setup), **fields)


def forget(path: Path, setups: Iterable[Setup]) -> None:
    """Remove the outcomes of some trials, so that they are made again."""
    kept = read(path)
    for setup in setups:
        kept.pop(key_of(setup), None)
    path.unlink(missing_ok=True)
    for outcome in kept.values():
        append(path, outcome)
