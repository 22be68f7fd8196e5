"""The rows of a comparison as columns of small numbers, for the page's script."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from parity.diffing import DiffResult
from parity.report.page.packing import digits
from parity.report.words import NAMES, printable
from parity.tolerance import Verdict

__all__ = ["METRICS", "columns"]

METRICS = ("rel_l2", "max_abs", "one_minus_cosine", "one_minus_pearson", "snr_db", "max_ulp")
_VERDICTS = tuple(Verdict)


def columns(result: DiffResult, origins: Sequence[int]) -> dict[str, Any]:
    """One list a column, one entry a row; texts are places in lists of distinct texts.

    Args:
        result: the comparison.
        origins: a code a row, from `parity.report.page.origins`.
    """
    table = result.table
    rows: dict[str, Any] = {
        "tap": _coded(printable(key.path) for key in table.keys),
        "port": _coded(printable(key.port) for key in table.keys),
        "phase": _coded(printable(key.phase) for key in table.keys),
        "call": [key.call for key in table.keys],
        "step": table.step.tolist(),
        "verdict": [_VERDICTS.index(verdict) for verdict in table.verdicts],
        "ok": [int(ok) for ok in table.ok.tolist()],
        "compared": [int(compared) for compared in table.compared.tolist()],
        "origin": list(origins),
        "reason": _coded(printable(text) for text in table.reasons),
        "source": _coded(printable(text) for text in table.sources),
        "piece": _coded(printable(text) for text in table.pieces),
        "reference": _coded(str(spec) if spec else "" for spec in table.references),
        "candidate": _coded(str(spec) if spec else "" for spec in table.candidates),
        "floor": digits(table.floor, 3),
    }
    rows |= {name: digits(table.metrics[name]) for name in METRICS}
    return {
        "count": len(result),
        "verdicts": [[str(verdict), NAMES[verdict]] for verdict in _VERDICTS],
        "columns": rows,
    }


def _coded(texts: Iterable[str]) -> dict[str, Any]:
    """Texts as their distinct values, and for each entry which of them it is."""
    codes: dict[str, int] = {}
    places = [codes.setdefault(text, len(codes)) for text in texts]
    return {"texts": list(codes), "codes": places}
