"""What is in a capture, tap by tap."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from parity.store.capture import Capture
from parity.tensors import TensorSpec

__all__ = ["PortSummary", "port_summaries"]


@dataclass(frozen=True, slots=True)
class PortSummary:
    """All calls of one port of one tap.

    Attributes:
        path: of the tap.
        port: role and slot.
        calls: in each phase, phases in order of first appearance.
        specs: types and shapes, in order of first appearance.
        kept_bytes: size of the tensors that were kept.
        min: smallest finite element of all calls, NaN where unknown.
        max: largest finite element of all calls, NaN where unknown.
        nonfinite: NaN and infinite elements in all calls.
    """

    path: str
    port: str
    calls: dict[str, int]
    specs: tuple[TensorSpec, ...]
    kept_bytes: int
    min: float
    max: float
    nonfinite: int


def port_summaries(capture: Capture) -> tuple[PortSummary, ...]:
    """One summary a port, in order of first appearance."""
    members: dict[tuple[str, str], list[int]] = {}
    for position, record in enumerate(capture.records):
        members.setdefault((record.key.path, record.key.port), []).append(position)
    return tuple(
        _summary(capture, path, port, positions) for (path, port), positions in members.items()
    )


def _summary(capture: Capture, path: str, port: str, positions: list[int]) -> PortSummary:
    records = [capture.records[position] for position in positions]
    known = [record.statistics for record in records if record.statistics]
    return PortSummary(
        path=path,
        port=port,
        calls=dict(Counter(record.key.phase for record in records)),
        specs=tuple(dict.fromkeys(record.spec for record in records)),
        kept_bytes=int(capture.columns.nbytes[positions].sum()),
        min=float(np.fmin.reduce([found.min for found in known], initial=np.nan)),
        max=float(np.fmax.reduce([found.max for found in known], initial=np.nan)),
        nonfinite=sum(found.nan_count + found.inf_count for found in known),
    )
