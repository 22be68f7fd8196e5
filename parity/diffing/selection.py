"""Which records of the two sides take part in a comparison."""

from __future__ import annotations

from collections.abc import Sequence

from parity.diffing.source import TensorSource
from parity.tensors import Role, TapPlan, TapRecord

__all__ = ["choose"]

# What a reference records of its context. A candidate that records none of it has lost nothing.
CONTEXT = (Role.INPUT, Role.PARAM, Role.STATE)


def choose(
    reference: TensorSource, candidate: TensorSource, plan: TapPlan | None
) -> tuple[tuple[Sequence[int], Sequence[int]], tuple[str, ...]]:
    """Positions of the records that take part, by side, and what was left out, in sentences."""
    ours, theirs = _wanted(reference.records, plan), _wanted(candidate.records, plan)
    known = {candidate.records[i].key.role for i in theirs}
    unknown = [role for role in CONTEXT if role not in known]
    kept = [i for i in ours if reference.records[i].key.role not in unknown]
    dropped = {reference.records[i].key.role for i in ours} & set(unknown)
    return (kept, theirs), tuple(
        f"the candidate records no {role} tensors, so the reference's are not compared"
        for role in CONTEXT
        if role in dropped and kept
    )


def _wanted(records: Sequence[TapRecord], plan: TapPlan | None) -> Sequence[int]:
    if plan is None:
        return range(len(records))
    paths: dict[tuple[str, Role], bool] = {}
    wanted = []
    for position, record in enumerate(records):
        key = record.key
        name = key.path, key.role
        if name not in paths:
            paths[name] = plan.wants_path(*name)
        if paths[name] and plan.wants_call(key.phase, key.call, record.step):
            wanted.append(position)
    return wanted
