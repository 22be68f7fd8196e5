"""What the rows of a comparison add up to."""

from __future__ import annotations

import numpy as np

from parity.diffing.result import DiffTable, Outcome
from parity.diffing.table import Measured
from parity.tensors import Role
from parity.tolerance import Verdict, inconclusive

__all__ = ["conclude"]

# With fewer taps, equal tensors under every name are no sign of a broken dump.
SAME_DUMP_TAPS = 3


def conclude(table: DiffTable, measured: Measured) -> tuple[Outcome, str]:
    """The outcome, and one sentence where the rows alone do not explain it.

    Nothing compared, constant tensors only, or one tensor under every name prove nothing, however
    well they agree: these are invalid, never a pass. A comparison that fails needs no such care.
    """
    matched = [a is not None and b is not None
               for a, b in zip(table.references, table.candidates, strict=True)]  # fmt: skip
    if not any(matched):
        return Outcome.INVALID, _nothing(table)
    if not table.ok.all():
        return Outcome.BROKEN, ""
    why = _proves_nothing(table, measured)
    return (Outcome.INVALID, why) if why else (Outcome.HOLDS, "")


def _proves_nothing(table: DiffTable, measured: Measured) -> str:
    """Why the agreement of everything shows nothing; empty where it does."""
    if undecided := sum(verdict is Verdict.UNDECIDED for verdict in table.verdicts):
        return (
            f"of {undecided:,} tensors too little was kept to compare them; their statistics "
            "agree, which proves nothing. Record them with tier `tensor`"
        )
    roles = {table.keys[i].role for i in np.flatnonzero(table.compared)}
    if roles <= {Role.PARAM}:
        only = "only parameters were" if roles else "no tensor could be"
        return f"{only} compared: did anything run while it was recorded?"
    if (why := inconclusive(measured.metrics)) and not measured.telling_digests:
        return why
    if _same_everywhere(table, measured):
        return "the candidate holds the same tensor under every name"
    return ""


def _nothing(table: DiffTable) -> str:
    ours = [key.path for key, spec in zip(table.keys, table.references, strict=True) if spec]
    theirs = [key.path for key, spec in zip(table.candidate_keys, table.candidates, strict=True)
              if spec and key]  # fmt: skip
    if not ours or not theirs:
        side = "reference" if not ours else "candidate"
        return f"the {side} has no tensors, or the selection leaves none"
    return (
        "no tap of the candidate has a name of the reference's. "
        f"Reference: {_some(ours)}. Candidate: {_some(theirs)}. "
        "Give rename rules ('candidate -> reference', as renames or --rename), or match by order, "
        "shape and content (mode='auto' or --auto)"
    )


def _some(paths: list[str], count: int = 3) -> str:
    names = list(dict.fromkeys(paths))
    more = f" and {len(names) - count:,} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more


def _same_everywhere(table: DiffTable, measured: Measured) -> bool:
    """Whether all measured taps, of several different names, hold one and the same tensor.

    Equal norm and extremes under one specification serve as the tensor's print.
    """
    positions = measured.positions.tolist()
    if len({table.keys[i].path for i in positions}) < SAME_DUMP_TAPS:
        return False
    found = measured.metrics
    columns = found.candidate_norm, found.candidate_min, found.candidate_max
    prints = zip(*(column.tolist() for column in columns), strict=True)
    return len({(table.candidates[i], *p) for i, p in zip(positions, prints, strict=True)}) == 1
