"""A result in plain words: the sentences every report opens with."""

from __future__ import annotations

import math

import numpy as np

from parity.diffing import DiffResult, Outcome, Share, TapDiff
from parity.diffing.near import near
from parity.tolerance import Verdict

__all__ = [
    "NAMES",
    "counts_line",
    "describe",
    "first_line",
    "headline",
    "model_line",
    "place",
    "printable",
    "share_line",
    "share_words",
    "side",
    "told",
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
    Verdict.UNDECIDED: "undecided",
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
    if result.outcome is Outcome.HOLDS:
        table = result.table
        taps = len({key.path for key, done in zip(table.keys, table.compared, strict=True) if done})
        agree = f"{_many(result.compared, 'tensor')} at {_many(taps, 'tap')}"
        return f"Parity holds: {agree} agree.{_largest(result)}"
    there = np.array([spec is not None for spec in result.table.candidates], bool)
    differ, lost = int((~result.table.ok & there).sum()), int((~result.table.ok & ~there).sum())
    found = []
    if differ:
        both = sum(spec is not None for spec in np.array(result.table.references, object)[there])
        found.append(_how_many(differ, both))
    if lost:
        are = "is" if lost == 1 else "are"
        found.append(f"{_many(lost, 'tensor')} of the reference {are} missing in the candidate")
    return f"Parity does not hold: {', and '.join(found)}.{_at_the_output(result)}"


def _how_many(differ: int, both: int) -> str:
    if both == 1:
        return "the one tensor on both sides differs too much"
    differs = "differs" if differ == 1 else "differ"
    return f"{differ:,} of {both:,} tensors on both sides {differs} too much"


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _largest(result: DiffResult) -> str:
    if set(result.counts) <= {Verdict.IDENTICAL, Verdict.MISSING, Verdict.EXTRA}:
        return " All are bit-identical."
    known = [row for row in result.worst(len(result)) if row.metrics["rel_l2"] >= 0][:1]
    return "".join(
        f" The largest relative error is {row.metrics['rel_l2']:.1e}, at {row.key.path}."
        for row in known
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
    label = near(result.reference if which == "reference" else result.candidate)
    facts = result.facts.get(which, {})
    known = [str(facts[name]) for name in ("implementation", "framework", "precision")
             if facts.get(name)]  # fmt: skip
    return printable(f"{', '.join(known)}: {label}" if known else label)


def worst_element(row: TapDiff) -> str:
    """The largest difference and where it is: `largest difference 1.2e-03 at [0, 5, 7]`."""
    at, spec = row.metrics.get("argmax", -1.0), row.reference
    # Of tensors that are not finite on one side, what the largest difference is is not known.
    if spec is None or row.piece or not at >= 0 or math.isnan(row.metrics["max_abs"]):
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
    """The size of one row's error: `a relative error of 7.3e-04 (1 − cosine 2.7e-07)`."""
    error = row.metrics.get("rel_l2", math.nan)
    if math.isnan(error):
        return NAMES[row.verdict]
    return f"a relative error of {error:.1e} (1 − cosine {row.metrics['one_minus_cosine']:.1e})"


def counts_line(result: DiffResult) -> str:
    """How many tensors have each verdict: `9,812 identical, 500 within noise`."""
    counts = result.counts
    return ", ".join(f"{counts[v]:,} {NAMES.get(v, str(v))}" for v in Verdict if v in counts)


def model_line(result: DiffResult) -> str:
    """How much of the reference's model was compared; empty where nobody counted."""
    if result.model is None:
        return ""
    shares = {
        "modules": result.model.modules,
        "parameters": result.model.parameters,
        "edges between taps": result.model.edges,
    }
    return ", ".join(share_words(share, what) for what, share in shares.items() if share.total)


def told(result: DiffResult) -> list[str]:
    """What is said besides the verdict: what of the model was compared, and the notes."""
    line = model_line(result)
    return [*([f"model compared: {line}"] if line else []), *map(printable, result.notes)]


def share_words(share: Share, what: str) -> str:
    """How much of what there is: `9 of 10 modules (90 %)`."""
    # Rounded down: all but one is not all.
    tenths = math.floor(share.value * 1000)
    return f"{share.compared:,} of {share.total:,} {what} ({tenths / 10:g} %)"


def share_line(result: DiffResult) -> str:
    """What share of the reference's tensors was compared."""
    return f"{result.coverage:.0%} of the reference's tensors compared"
