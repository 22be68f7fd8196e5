"""Whether an error enters at a tap or comes from above, as far as a capture's lineage tells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from parity.diffing import DiffResult, TapDiff
from parity.report.words import place
from parity.store import Capture

__all__ = ["origin_words"]

FEW = 3


def origin_words(result: DiffResult, first: TapDiff, capture: Capture | None) -> tuple[str, str]:
    """One word, and a sentence that says on what grounds.

    A capture says which recorded tensors fed which: where all of these agree, the error enters.
    What was computed between two recorded tensors belongs to the later one.

    Args:
        result: the comparison.
        first: its first divergence.
        capture: the reference's; None where it is not a capture.
    """
    if first.candidate is None:
        return "missing", "the candidate has no such tensor"
    feeding = _producers(first, capture) if capture is not None else ()
    if not feeding:
        return _by_order(result, first)
    rows = {int(order): i for i, order in enumerate(result.table.order)}
    names = [_name(result, rows.get(order), capture, order) for order in feeding]
    bad = [
        name
        for name, order in zip(names, feeding, strict=True)
        if order in rows and result.table.compared[rows[order]] and not result.table.ok[rows[order]]
    ]
    unknown = [
        name
        for name, order in zip(names, feeding, strict=True)
        if order not in rows or not result.table.compared[rows[order]]
    ]
    if bad:
        return "inherited", f"what feeds it differs already: {_some(bad)}"
    if unknown:
        return "uncertain", f"of what feeds it, this was not compared: {_some(unknown)}"
    return "introduced", f"all that feeds it agrees: {_some(names)}"


def _producers(row: TapDiff, capture: Capture) -> tuple[int, ...]:
    """The recorded tensors that fed a row, by their order."""
    record = capture.records[capture.position(row.key)]
    return record.producers


def _by_order(result: DiffResult, first: TapDiff) -> tuple[str, str]:
    """Without lineage, the order in which tensors were recorded is what there is."""
    table = result.table
    before = [i for i in np.flatnonzero(table.compared) if table.order[i] < first.order]
    if not before:
        return "introduced", "nothing before it was compared"
    if bad := [i for i in before if not table.ok[i]]:
        earlier = table.row(int(bad[0]))
        which = f"{earlier.key.path} ({place(earlier)})"
        return "uncertain", f"{which} differs before it; what feeds it was not recorded"
    last = table.row(int(before[-1]))
    agree = (
        "one tensor before it agrees" if len(before) == 1 else f"{len(before):,} before it agree"
    )
    return "introduced", (
        f"here or after {last.key.path} ({place(last)}): {agree}; what feeds it was not recorded"
    )


def _name(result: DiffResult, row: int | None, capture: Capture | None, order: int) -> str:
    if row is not None:
        return result.table.keys[row].path
    records = capture.records if capture is not None else ()
    return next((r.key.path for r in records if r.order == order), f"tensor {order}")


def _some(names: Sequence[str]) -> str:
    different = list(dict.fromkeys(names))
    more = f" and {len(different) - FEW:,} more" if len(different) > FEW else ""
    return ", ".join(different[:FEW]) + more
