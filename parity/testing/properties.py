"""What a comparison adds to a test's properties, which JUnit XML shows."""

from __future__ import annotations

import math

import pytest

from parity.diffing import DiffResult, TapDiff

__all__ = ["note", "note_tap"]


def note(item: pytest.Item, result: DiffResult, name: str = "") -> None:
    """Outcome, first divergence, its error and floor, and how much was compared."""
    stem = f"parity.{name}." if name else "parity."
    first = result.first_divergence
    found: dict[str, object] = {
        "outcome": str(result.outcome),
        "compared": result.compared,
        "coverage": f"{result.coverage:.4f}",
    }
    if first is not None:
        found |= {
            "first_divergence": first.key.path,
            "rel_l2": _number(first, "rel_l2"),
            "floor": f"{first.floor:.3g}",
        }
    item.user_properties += [(f"{stem}{key}", value) for key, value in found.items()]


def note_tap(item: pytest.Item, row: TapDiff) -> None:
    """Verdict, error and floor of the worst tensor of a tap."""
    item.user_properties += [
        ("parity.verdict", str(row.verdict)),
        ("parity.rel_l2", _number(row, "rel_l2")),
        ("parity.floor", f"{row.floor:.3g}"),
    ]


def _number(row: TapDiff, metric: str) -> str:
    value = row.metrics.get(metric, math.nan)
    return "" if math.isnan(value) else f"{value:.3g}"
