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
    states = {order: _state(result, order) for order in feeding}
    names = {order: _name(result, capture, order) for order in feeding}
    bad = [names[order] for order in feeding if states[order] == "differs"]
    unknown = [names[order] for order in feeding if states[order] == "unknown"]
    if bad:
        return "inherited", f"what feeds it differs already: {_some(bad)}"
    if unknown:
        return "uncertain", f"of what feeds it, this was not compared: {_some(unknown)}"
    return "introduced", f"all that feeds it agrees: {_some(list(names.values()))}"


def _state(result: DiffResult, order: int) -> str:
    """Whether a tensor of the reference `agrees`, `differs`, or is `unknown`, all its pieces."""
    table = result.table
    rows = np.flatnonzero(table.order == order)
    rows = rows[[table.references[i] is not None for i in rows.tolist()]]
    if any(not table.ok[i] and table.candidates[i] is not None for i in rows.tolist()):
        return "differs"
    return "agrees" if rows.size and table.compared[rows].all() else "unknown"


def _producers(row: TapDiff, capture: Capture) -> tuple[int, ...]:
    """The recorded tensors that fed a row, by their order."""
    record = capture.records[capture.position(row.key)]
    return record.producers


def _by_order(result: DiffResult, first: TapDiff) -> tuple[str, str]:
    """Without lineage, the order in which tensors were recorded is what there is."""
    table = result.table
    before = [i for i in np.flatnonzero(table.compared) if table.order[i] < first.order]
    if not before:
        return "uncertain", "nothing before it was compared, so it may come from the input"
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


def _name(result: DiffResult, capture: Capture | None, order: int) -> str:
    rows = np.flatnonzero(result.table.order == order)
    if rows.size:
        key = result.table.keys[int(rows[0])]
        return f"{key.path} ({key.port})"
    keys = (r.key for r in capture.records if r.order == order) if capture is not None else ()
    return next((f"{key.path} ({key.port})" for key in keys), f"tensor {order}")


def _some(names: Sequence[str]) -> str:
    different = list(dict.fromkeys(names))
    more = f" and {len(different) - FEW:,} more" if len(different) > FEW else ""
    return ", ".join(different[:FEW]) + more
