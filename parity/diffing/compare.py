"""The comparison itself: alignment, statistics, verdicts, and what they add up to."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from parity.align import LayoutRule, Mode, Rename, align
from parity.diffing.coverage import ModelCoverage, model_coverage
from parity.diffing.measure import Progress
from parity.diffing.outcome import conclude
from parity.diffing.result import DiffResult, DiffTable, Outcome
from parity.diffing.rows import plan_rows
from parity.diffing.selection import choose
from parity.diffing.source import (
    Array,
    ArraySource,
    CaptureSource,
    ModelSource,
    TensorSource,
    turned_axes,
)
from parity.diffing.table import Measured, build_table
from parity.store import Capture, open_capture
from parity.tensors import TapPlan, TapRecord
from parity.tolerance import Tolerance, preset

__all__ = ["Side", "diff", "rename_rules"]

FEW = 3  # names in a sentence

Side = str | Path | Capture | Mapping[str, Any]
"""A capture file, an open capture, or named arrays or tensors."""


@contextmanager
def _collection_paused() -> Iterator[None]:
    """No search for garbage: records are made by the ten thousand, and none of them is any."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@_collection_paused()
def diff(
    reference: Side,
    candidate: Side,
    *,
    tolerance: Tolerance | str = "fp32",
    renames: str | Sequence[str] | Mapping[str, str] = (),
    layouts: Mapping[str, tuple[int, ...]] | None = None,
    mode: Mode = "exact",
    plan: TapPlan | None = None,
    allow_missing: Sequence[str] = (),
    output: str = "",
    threads: int | None = None,
    progress: Progress | None = None,
) -> DiffResult:
    """Compare a candidate with its reference, tensor by tensor.

    Args:
        reference: a capture file, an open capture, or named arrays or tensors of any shape.
        candidate: the same of the port.
        tolerance: rules to judge by, or the name of a preset.
        renames: ordered rules `candidate -> reference` over tap paths, or a mapping of such.
        layouts: by glob over tap paths, the permutation that brings a candidate's axes into the
            reference's order.
        mode: `exact` matches by name, `auto` by order, shape and content.
        plan: which tensors of both sides take part; all by default.
        allow_missing: globs over the taps that the candidate need not have, or over their
            ports (`lstm:output.1`).
        output: path of the tap that is the model's output, for the report's first sentence.
        threads: to compare with; by default as many as pay (see `parity.metrics`).
        progress: called with how many of how many tensors are done.

    Returns:
        One row a tensor, in the reference's execution order, and what they add up to.

    Raises:
        CaptureFileError: a file cannot be read.
        AlignmentError: the taps cannot be brought together without guessing.
        ConfigError: there is no such preset, or a rule cannot be read.
    """
    sources = _source(reference, "reference"), _source(candidate, "candidate")
    rules = preset(tolerance) if isinstance(tolerance, str) else tolerance
    chosen, left_out = choose(*sources, plan)
    alignment = align(
        [sources[0].records[i] for i in chosen[0]],
        [sources[1].records[i] for i in chosen[1]],
        renames=[Rename.parse(text) for text in rename_rules(renames)],
        layouts=[LayoutRule(pattern, tuple(axes)) for pattern, axes in (layouts or {}).items()],
        mode=mode,
        read_reference=_reader(sources[0]),
        read_candidate=_reader(sources[1]),
        turned=turned_axes(sources[1]),
    )
    rows = plan_rows(*sources, chosen, alignment)
    table, measured = build_table(
        rows, sources, rules, allow_missing, threads=threads, progress=progress
    )
    outcome, because = conclude(table, measured)
    notes = tuple(dict.fromkeys(note for source in sources for note in source.notes))
    if output and all(key.path != output for key in table.keys):
        left_out = (*left_out, f"no tap is called {output!r}, which is named as the output")
    if outcome is Outcome.HOLDS and notes:
        # What was recorded agrees; what was not reached may not.
        outcome, because = Outcome.INVALID, notes[0]
    telling = [source if isinstance(source, ModelSource) else None for source in sources]
    model = model_coverage(table, sources[0].records, telling[0].modules if telling[0] else {})
    remarks = [said for source in telling if source for said in source.remarks]
    remarks += _uncompared(model)
    return DiffResult(
        reference=sources[0].label,
        candidate=sources[1].label,
        table=table,
        outcome=outcome,
        because=because,
        notes=(*alignment.notes, *left_out, *notes, *remarks, *_noise_notes(table, measured)),
        tolerance=rules.name,
        facts={"reference": sources[0].facts, "candidate": sources[1].facts},
        output=output,
        floors=measured.noise.use,
        model=model,
    )


def _uncompared(model: ModelCoverage) -> list[str]:
    """Which modules were not compared, a sentence a reason."""
    reasons: dict[str, list[str]] = {}
    for path, reason in model.uncompared.items():
        reasons.setdefault(reason, []).append(path)
    said = []
    for reason, paths in reasons.items():
        more = f" and {len(paths) - FEW:,} more" if len(paths) > FEW else ""
        are = "modules are" if len(paths) > 1 else "module is"
        said.append(f"{len(paths):,} {are} not compared, {reason}: {', '.join(paths[:FEW])}{more}")
    return said


def _noise_notes(table: DiffTable, measured: Measured) -> list[str]:
    """What a reader should know of the noise floors, in sentences."""
    noise, found = measured.noise, []
    flipped = np.flatnonzero(noise.unstable & ~table.ok)
    if flipped.size:
        names = list(dict.fromkeys(table.keys[i].path for i in flipped.tolist()))
        more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
        found.append(
            f"{flipped.size:,} tensors that differ ({', '.join(names[:3])}{more}) hold decisions "
            "that rounding alone flips in the reference"
        )
    if noise.use.hint or noise.use.calibrated:
        found.append(f"noise floors: {noise.use.words}")
    return found


def rename_rules(renames: str | Sequence[str] | Mapping[str, str]) -> Sequence[str]:
    """Rename rules as text, however they were given."""
    if isinstance(renames, str):
        return (renames,)
    if isinstance(renames, Mapping):
        return [f"{candidate} -> {reference}" for candidate, reference in renames.items()]
    return renames


def _reader(source: TensorSource) -> Callable[[TapRecord], Array]:
    """Reads the tensor of a record; made only when alignment asks, which is seldom."""

    @cache
    def positions() -> dict[int, int]:
        return {record.order: position for position, record in enumerate(source.records)}

    return lambda record: source.view(positions()[record.order])


def _source(side: Side, label: str) -> TensorSource:
    if isinstance(side, Mapping):
        return ArraySource(side, label)
    if isinstance(side, Capture):
        return CaptureSource(side, label)
    return CaptureSource(open_capture(side), str(side))
