"""Reads what a page shows out of the two captures: few tensors, chosen so that they tell most."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from parity.diagnose import Diagnosis
from parity.diffing import DiffResult
from parity.errors import ParityError
from parity.report.page.evidence import Array, Evidence, Sound, TensorPair
from parity.store import Capture, open_capture
from parity.tensors import Role, TapKey

__all__ = ["gather", "telling_rows"]

TENSORS = 16
# A tensor of more elements is not pictured: a page opens in a second, and so shall its making.
MOST_ELEMENTS = 1 << 23
# The picture and the table come from one tensor, so their errors agree to rounding.
SAME = 1e-3
FEW = 16  # elements
_NUMBER = re.compile(r"\d+")


def gather(
    result: DiffResult,
    reference: str | Path,
    candidate: str | Path,
    *,
    diagnosis: Diagnosis | None = None,
    sounds: Iterable[tuple[str, int]] = (),
    tensors: int = TENSORS,
) -> Evidence:
    """Take the most telling tensors, the sounds and the environments from two captures.

    Args:
        result: the comparison of the two.
        reference: the reference's capture file.
        candidate: the candidate's.
        diagnosis: why they differ; the taps it names are among the tensors.
        sounds: taps that hold a waveform, each with its sample rate in hertz.
        tensors: how many tensors at most.

    Raises:
        CaptureFileError: a file cannot be read.
    """
    with ExitStack() as stack:
        sides = [stack.enter_context(open_capture(path)) for path in (reference, candidate)]
        return Evidence(
            tensors=tuple(_pairs(result, sides[0], sides[1], diagnosis, tensors)),
            sounds=tuple(_sounds(result, sides[0], sides[1], sounds)),
            environments={
                "reference": sides[0].environment,
                "candidate": sides[1].environment,
            },
            edges=_edges(sides[0]),
        )


def telling_rows(result: DiffResult, diagnosis: Diagnosis | None) -> list[int]:
    """Rows by how much their tensors tell, no tap and port twice.

    The first divergence, then the taps that the diagnosis names, the output, and what lies
    furthest above its noise floor, of layers that differ in their number only the worst.
    """
    table = result.table
    failing = np.flatnonzero(~table.ok & table.compared).tolist()
    named = _named_taps(diagnosis)
    first_of: dict[str, int] = {}
    for row in failing:
        first_of.setdefault(table.keys[row].path, row)
    output = [r for r in np.flatnonzero(table.compared)[::-1].tolist()
              if table.keys[r].path == result.output][:1]  # fmt: skip
    told = [*failing[:1], *(first_of[tap] for tap in named if tap in first_of), *output]
    chosen = dict.fromkeys(told)
    kinds: set[tuple[str, str]] = set()
    for row in _by_excess(result):
        key = table.keys[row]
        kind = (_NUMBER.sub("*", key.path), key.port)
        if kind not in kinds:
            kinds.add(kind)
            chosen.setdefault(row)
    return _first_of_each_tap(result, chosen)


def _first_of_each_tap(result: DiffResult, rows: Iterable[int]) -> list[int]:
    chosen: dict[tuple[str, str], int] = {}
    for row in rows:
        key = result.table.keys[row]
        chosen.setdefault((key.path, key.port), row)
    return list(chosen.values())


def _named_taps(diagnosis: Diagnosis | None) -> list[str]:
    if diagnosis is None:
        return []
    found = [finding.site.tap for finding in diagnosis.findings]
    return list(dict.fromkeys([*found, *(rest.tap for rest in diagnosis.unexplained)]))


def _by_excess(result: DiffResult) -> list[int]:
    """Compared rows, those furthest above their floor first; NaN counts as furthest.

    Tensors of few elements make no picture.
    """
    table = result.table
    rows = np.flatnonzero(table.compared & (table.metrics["compared"] >= FEW))
    excess = table.metrics["rel_l2"][rows] / np.maximum(table.floor[rows], np.finfo(float).tiny)
    excess = np.where(np.isnan(excess), np.inf, excess)
    ranked: list[int] = rows[np.argsort(-excess, kind="stable")].tolist()
    return ranked


def _pairs(
    result: DiffResult, ours: Capture, theirs: Capture, diagnosis: Diagnosis | None, most: int
) -> Iterator[TensorPair]:
    found = 0
    for row in telling_rows(result, diagnosis):
        if found >= most:
            return
        pair = _pair(result, row, ours, theirs)
        if pair is not None:
            found += 1
            yield pair


def _pair(result: DiffResult, row: int, ours: Capture, theirs: Capture) -> TensorPair | None:
    """The tensors of a row; None where the row compared something else than two whole tensors."""
    table, other = result.table, result.table.candidate_keys[row]
    if table.pieces[row] or other is None:
        return None
    left, right = _tensor(ours, table.keys[row]), _tensor(theirs, other)
    if left is None or right is None or left.shape != right.shape or not left.size:
        return None
    same = _agrees(left, right, float(table.metrics["rel_l2"][row]))
    return TensorPair(row, left, right) if same else None


def _tensor(capture: Capture, key: TapKey) -> Array | None:
    try:
        view = capture.view(key)
    except ParityError:
        return None  # only its statistics were kept
    return view.copy() if view.size <= MOST_ELEMENTS else None


def _agrees(left: Array, right: Array, rel_l2: float) -> bool:
    """Whether the two are what the table compared, or at least cannot be told not to be."""
    ours, theirs = _numbers(left), _numbers(right)
    if not np.isfinite(rel_l2) or not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        return True
    norm = float(np.linalg.norm(ours.ravel()))
    error = float(np.linalg.norm((theirs - ours).ravel()))
    return norm == 0 or abs(error / norm - rel_l2) <= SAME * max(rel_l2, 1e-9)


def _numbers(array: Array) -> Array:
    return array if array.dtype.kind == "c" else array.astype(np.float64)


def _sounds(
    result: DiffResult, ours: Capture, theirs: Capture, wanted: Iterable[tuple[str, int]]
) -> Iterator[Sound]:
    names = {
        key.path: other.path
        for key, other in zip(result.table.keys, result.table.candidate_keys, strict=True)
        if other is not None
    }
    for tap, rate in wanted:
        left, right = _signal(ours, tap), _signal(theirs, names.get(tap, tap))
        if left is not None and right is not None:
            yield Sound(tap, left, right, rate)


def _edges(reference: Capture) -> tuple[tuple[str, str], ...]:
    """Which taps fed which, once each, in execution order."""
    paths = {record.order: record.key.path for record in reference.records}
    return tuple(
        dict.fromkeys(
            (paths[order], record.key.path)
            for record in reference.records
            for order in record.producers
            if order in paths
        )
    )


def _signal(capture: Capture, tap: str) -> Array | None:
    """The last tensor of a tap as samples of shape `(n,)`; of several channels their mean."""
    rows: list[Any] = [
        r for r in capture.records if r.key.path == tap and r.key.role is not Role.INPUT
    ]
    tensor = _tensor(capture, rows[-1].key) if rows else None
    if tensor is None or not tensor.ndim or not tensor.size:
        return None
    samples: Array = tensor.astype(np.float64).reshape(-1, tensor.shape[-1]).mean(axis=0)
    return samples
