"""What a failed assertion says."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from parity.diffing import DiffResult, TapDiff
from parity.report.numbers import size
from parity.report.words import (
    counts_line,
    first_line,
    headline,
    place,
    printable,
    share_line,
    side,
)
from parity.testing.likeness import likeness
from parity.testing.lineage import origin_words
from parity.testing.sides import Named, file_of, opened, tensors_at
from parity.testing.worst import WorstElement, worst_elements

if TYPE_CHECKING:
    from parity.diagnose import Diagnosis

__all__ = ["Explanation", "explain", "message"]

LABEL = 18
MORE = 4
# Numbers further apart than this have another sign or size, which a count of steps says badly.
MOST_ULP = 1e7


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """Everything that a failed assertion says.

    Attributes:
        result: the comparison.
        first: its first divergence; None where nothing can be concluded.
        origin: `introduced`, `inherited`, `uncertain` or `missing`.
        because: on what grounds, in a sentence.
        worst: the elements that differ most.
        elements: how many elements differ, and of how many; zeros where that is not known.
        causes: likely causes, in sentences, the surest first.
        commands: what to run to see more.
    """

    result: DiffResult
    first: TapDiff | None = None
    origin: str = ""
    because: str = ""
    worst: tuple[WorstElement, ...] = ()
    elements: tuple[int, int] = (0, 0)
    causes: tuple[str, ...] = ()
    commands: tuple[str, ...] = field(default=())


def explain(
    result: DiffResult,
    reference: Named,
    candidate: Named,
    *,
    row: TapDiff | None = None,
    layouts: Mapping[str, tuple[int, ...]] | None = None,
    diagnosis: Diagnosis | None = None,
    commands: tuple[str, ...] = (),
) -> Explanation:
    """Gather what there is to say about a comparison that does not hold.

    Args:
        result: the comparison.
        reference: the reference's side of it.
        candidate: the candidate's side of it.
        row: the row to explain; by default the first divergence.
        layouts: axis orders that were applied to the candidate's tensors.
        diagnosis: why they differ, where somebody has looked.
        commands: what to run to see more; by default what two capture files allow.
    """
    first = row or result.first_divergence
    more = commands or _commands(reference, candidate)
    if first is None:
        return Explanation(result, commands=more)
    with opened(reference) as capture:
        origin, because = origin_words(result, first, capture)
    pair = tensors_at(first, reference, candidate, layouts or {})
    causes = _proven(diagnosis)
    worst: tuple[WorstElement, ...] = ()
    count = (0, 0)
    if pair is not None:
        like = likeness(*pair)
        causes = causes or ((f"looks like {like}",) if like else ())
        if pair[0].shape == pair[1].shape:
            worst = tuple(worst_elements(*pair))
            count = _differing(*pair), pair[0].size
    return Explanation(result, first, origin, because, worst, count, causes, more)


def _differing(
    ours: np.ndarray[tuple[int, ...], np.dtype[np.generic]],
    theirs: np.ndarray[tuple[int, ...], np.dtype[np.generic]],
) -> int:
    agree = (ours == theirs) | ((ours != ours) & (theirs != theirs))  # noqa: PLR0124 - NaN
    return int(ours.size - np.count_nonzero(agree))


def _proven(diagnosis: Diagnosis | None) -> tuple[str, ...]:
    if diagnosis is None:
        return ()
    from parity.report.causes import causes  # noqa: PLC0415 - only where there is a diagnosis

    return tuple(cause.sentence for cause in causes(diagnosis)[:MORE])


def _commands(reference: Named, candidate: Named) -> tuple[str, ...]:
    files = file_of(reference), file_of(candidate)
    if files[0] is None or files[1] is None:
        return ("parity.diff(reference, candidate).to_frame()",)
    pair = " ".join(shlex.quote(str(file)) for file in files)
    return (f"parity diff {pair} --html report.html",)


def message(explanation: Explanation, *, title: str = "", head: str = "") -> str:
    """The whole message, ending without a newline.

    Args:
        explanation: what is said.
        title: what was compared, in a few words.
        head: the first sentence; by default the outcome of the comparison.
    """
    result, first = explanation.result, explanation.first
    said = head or headline(result)
    lines = [f"{title}: {said}" if title else said]
    body = [*(_about(explanation, first) if first is not None else ()), *_rest(explanation)]
    if body:
        lines += ["", *(line for label, text in body for line in _entry(label, text))]
    return printable("\n".join(lines))


def _about(explanation: Explanation, first: TapDiff) -> Iterator[tuple[str, str]]:
    source = f", {first.source}" if first.source else ""
    earlier = explanation.result.first_divergence
    is_first = earlier is not None and first.key == earlier.key
    label = "first divergence" if is_first else "differs at"
    yield label, f"{first.key.path} ({place(first)}{source})"
    if not is_first and (line := first_line(explanation.result)):
        yield "first divergence", line
    yield explanation.origin, explanation.because
    yield "refused", first.reason
    if first.metrics:
        yield "metrics", _metrics(first)
    if first.reference and first.candidate and first.reference != first.candidate:
        yield "types", f"reference {first.reference}, candidate {first.candidate}"
    yield from _elements(explanation)


def _metrics(row: TapDiff) -> str:
    found = row.metrics
    error, kind = found["rel_l2"], "calibrated" if row.calibrated else "by element type"
    times = f", {_times(error / row.floor)} times" if row.floor > 0 and math.isfinite(error) else ""
    parts = [
        f"rel_l2 {size(error)}{times} the noise floor {size(row.floor)} ({kind})"
        if times
        else f"rel_l2 {size(error)}, noise floor {size(row.floor)}",
        f"1 − cosine {_angle(found['one_minus_cosine'])}",
        f"max |Δ| {size(found['max_abs'])}",
    ]
    if found["max_ulp"] < MOST_ULP:
        parts.append(f"{found['max_ulp']:,.0f} ULP")
    return "; ".join(parts)


def _angle(value: float) -> str:
    """What is left of it after rounding in float64 says nothing."""
    return "below 1e-14" if 0 < value < 1e-14 else size(value)


def _times(ratio: float) -> str:
    return f"{ratio:,.0f}" if 10 <= ratio < 1e6 else f"{ratio:.2g}"


def _elements(explanation: Explanation) -> Iterator[tuple[str, str]]:
    if not explanation.worst:
        return
    differing, total = explanation.elements
    rows = [
        (
            f"[{', '.join(map(str, worst.index))}]",
            _cell(worst.reference, ".9g"),
            _cell(worst.candidate, ".9g"),
            _cell(worst.difference, "+.3g"),
        )
        for worst in explanation.worst
    ]
    widths = [
        max(len(cell) for cell in column)
        for column in zip(*rows, ("", "reference", "candidate", "difference"), strict=True)
    ]
    table = [("", "reference", "candidate", "difference"), *rows]
    yield "worst elements", f"of {differing:,} that differ among {total:,}"
    for row in table:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        yield "", "  ".join(cells)


def _cell(value: complex, form: str) -> str:
    """A number of the table; whole ones with all their digits."""
    return f"{value:{'+' if '+' in form else ''}}" if isinstance(value, int) else f"{value:{form}}"


def _rest(explanation: Explanation) -> Iterator[tuple[str, str]]:
    result = explanation.result
    for cause in explanation.causes:
        yield "likely cause", cause
    yield "in all", f"{counts_line(result) or 'no verdict'}; {share_line(result)}"
    yield "judged by", f"tolerance {result.tolerance}; noise floors {result.floors.words}"
    for which in ("reference", "candidate"):
        # Tensors in memory have no name but that.
        if (said := side(result, which)) != which:
            yield which, said
    for command in explanation.commands:
        yield "look further", command


def _entry(label: str, text: str) -> Iterator[str]:
    for i, line in enumerate(text.split("\n")):
        yield f"  {label if i == 0 else '':<{LABEL}} {line}".rstrip()
