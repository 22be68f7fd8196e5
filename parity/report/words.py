"""A result in plain words: the sentences every report opens with."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from parity.diffing import DiffResult, Outcome, TapDiff
from parity.tolerance import Verdict

__all__ = [
    "NAMES",
    "counts_line",
    "describe",
    "first_line",
    "headline",
    "place",
    "printable",
    "share_line",
    "side",
    "worst_element",
]

NAMES = {
    Verdict.IDENTICAL: "identical",
    Verdict.WITHIN_NOISE: "within noise",
    Verdict.DRIFT: "drift",
    Verdict.DIVERGENT: "divergent",
    Verdict.NONFINITE: "NaN or infinite on one side",
    Verdict.SHAPE: "of another shape",
    Verdict.DTYPE: "of another type",
    Verdict.MISSING: "missing in the candidate",
    Verdict.EXTRA: "only in the candidate",
}


def printable(text: str) -> str:
    """`text` with every control character replaced: names come from other people's files."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def headline(result: DiffResult) -> str:
    """The outcome in one or two sentences."""
    return printable(_headline(result))


def _headline(result: DiffResult) -> str:
    if result.outcome is Outcome.INVALID:
        return f"Nothing can be concluded: {result.because}"
    taps = len({key.path for key in result.table.keys})
    if result.outcome is Outcome.HOLDS:
        return (
            f"Parity holds: {result.compared:,} tensors at {taps:,} taps agree.{_largest(result)}"
        )
    failing = int((~result.table.ok).sum())
    missing = result.counts.get(Verdict.MISSING, 0)
    differ = f"{failing - missing:,} of {result.compared:,} compared tensors are not accepted"
    lost = f", {missing:,} are missing" if missing else ""
    return f"Parity does not hold: {differ}{lost}.{_at_the_output(result)}"


def _largest(result: DiffResult) -> str:
    worst = result.worst(1)
    if not worst or not worst[0].metrics["rel_l2"] > 0:
        return " All are bit-identical." if worst else ""
    return (
        f" The largest relative error is {worst[0].metrics['rel_l2']:.1e}, at {worst[0].key.path}."
    )


def _at_the_output(result: DiffResult) -> str:
    last = result.at_the_output
    if last is None:
        return ""
    if last.ok:
        return f" At the output, {last.key.path} is accepted."
    return f" At the output, {last.key.path} is off by {describe(last)}."


def first_line(result: DiffResult) -> str:
    """Where the candidate first leaves the reference, in one line; empty where it never does."""
    first = result.first_divergence
    if first is None:
        return ""
    return printable(f"{first.key.path} ({place(first)}): {first.reason}")


def side(result: DiffResult, which: str) -> str:
    """Who ran, and where its tensors lie: `pocket-tts 4.0.1, torch, float32: reference.h5`."""
    label = result.reference if which == "reference" else result.candidate
    path = Path(label)
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        label = str(path.relative_to(Path.cwd()))
    facts = result.facts.get(which, {})
    known = [str(facts[name]) for name in ("implementation", "framework", "precision")
             if facts.get(name)]  # fmt: skip
    return printable(f"{', '.join(known)}: {label}" if known else label)


def worst_element(row: TapDiff) -> str:
    """The largest difference and where it is: `largest difference 1.2e-03 at [0, 5, 7]`."""
    at, spec = row.metrics.get("argmax", -1.0), row.reference
    if spec is None or row.piece or not at >= 0:
        return ""
    index = ", ".join(str(int(i)) for i in np.unravel_index(int(at), spec.shape or (1,)))
    return f"largest difference {row.metrics['max_abs']:.1e} at [{index}]"


def place(row: TapDiff) -> str:
    """Role, phase, call and step of a row: `output, generate, call 3, step 3`."""
    parts = [row.key.port]
    if row.key.phase:
        parts.append(row.key.phase)
    parts.append(f"call {row.key.call}")
    if row.step >= 0:
        parts.append(f"step {row.step}")
    if row.piece:
        parts.append(row.piece)
    return printable(", ".join(parts))


def describe(row: TapDiff) -> str:
    """The size of one row's error: `a relative error of 7.3e-04 (cosine 0.9999997)`."""
    error = row.metrics.get("rel_l2", math.nan)
    if math.isnan(error):
        return NAMES[row.verdict]
    return f"a relative error of {error:.1e} (cosine {row.metrics['cosine']:.7f})"


def counts_line(result: DiffResult) -> str:
    """How many tensors have each verdict: `9,812 identical, 500 within noise`."""
    counts = result.counts
    return ", ".join(f"{counts[v]:,} {NAMES.get(v, str(v))}" for v in Verdict if v in counts)


def share_line(result: DiffResult) -> str:
    """What share of the reference's tensors was compared."""
    return f"{result.coverage:.0%} of the reference's tensors compared"
