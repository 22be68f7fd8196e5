"""Prompts that the candidate reads otherwise: other tokens, a pass that is not made, another order.

Such faults change lengths and positions, so nothing after them can be compared as it is. They are
looked for first, and the reference is run again as the candidate runs: with its tokens, without
the pass that it does not make. What follows is then compared with a reference of the same shape.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch

from parity.diagnose.passes import lost_calls, place_of, stream_of
from parity.diagnose.prompt_change import POOLS, Change
from parity.diagnose.token_lookup import Lookup, find_lookup
from parity.localize.candidate import Candidate
from parity.localize.execute import Edit, Operands
from parity.localize.local_errors import known_taps
from parity.localize.reference import Reference, match_again
from parity.localize.segment import Segment
from parity.localize.tape import Span, Tap, Tape
from parity.localize.tracer import Place
from parity.localize.whole_run import forward

__all__ = ["Prompt", "Restructured", "restructure"]

Tensor = torch.Tensor


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the candidate does otherwise with its prompts.

    Attributes:
        tokens: token ids of the reference, and of the candidate where they are others.
        lost: paths of the calls that the candidate does not make, each with its phase.
        entry: how what those calls read enters instead: `mean`, ..., `added`; `after`, `before`;
            empty where it does not.
        rows: how many rows those calls read.
        error: relative L2 at the first tensor behind the change, under the change.
        without: the same with what those calls read left out.
        tap: that tensor.
        floor: its noise floor.
    """

    tokens: tuple[tuple[int, ...], tuple[int, ...] | None] = ((), None)
    lost: tuple[tuple[str, str], ...] = ()
    entry: str = ""
    rows: int = 0
    error: float = math.nan
    without: float = math.nan
    tap: Tap | None = None
    floor: float = math.nan


@dataclass(frozen=True, slots=True, eq=False)
class Restructured:
    """The reference run as the candidate runs.

    Attributes:
        tape: of that run.
        candidate: what the candidate has for it.
        prompt: what was changed.
    """

    tape: Tape
    candidate: Candidate
    prompt: Prompt


def restructure(reference: Reference, tape: Tape, candidate: Candidate) -> Restructured | None:
    """Run the reference with the candidate's tokens and passes; None if they are the same."""
    lookup = find_lookup(tape, candidate)
    lost = lost_calls(tape, candidate)
    ids = lookup.ids if lookup is not None else None
    if ids is None and not lost:
        return None
    entries = _joins(tape, candidate, lost, lookup) or [""]
    found = [
        run
        for entry in entries
        if (run := _run(reference, candidate, Change(tape, lost, lookup, entry))) is not None
    ]
    if not found:
        return None
    best = min(found, key=lambda one: _sortable(one.prompt.error))
    pooled = None if best.prompt.entry else _pooled(best, Change(tape, lost, lookup, ""))
    if pooled is None:
        return best
    again = _run(reference, candidate, Change(tape, lost, lookup, pooled))
    if again is None:
        return best
    return replace(again, prompt=replace(again.prompt, without=best.prompt.error))


def _sortable(error: float) -> float:
    return math.inf if math.isnan(error) else error


def _run(reference: Reference, candidate: Candidate, change: Change) -> Restructured | None:
    """The reference under a change, held against the candidate; None if it cannot be run so."""
    try:
        return _judge(reference.trace(change), candidate, change)
    except (RuntimeError, IndexError, ValueError, AssertionError, TypeError):
        return None


def _pooled(found: Restructured, change: Change) -> str | None:
    """The one of the pools that brings the reference nearer, added behind the embedding."""
    tap, lookup = found.prompt.tap, change.lookup
    if tap is None or lookup is None or change.stream is None:
        return None
    place = change.behind(lookup)
    behind = next((n for n in found.tape.nodes if place_of(found.tape, n) == place), None)
    made = next((n for n in found.tape.nodes if place_of(found.tape, n) == change.stream), None)
    if behind is None or made is None:
        return None
    segment = Segment(found.tape, found.candidate, tap, known_taps(found.tape, found.candidate))
    (rows,) = forward(found.tape, [Tap(tap.key, made.outputs[0], made.index + 1, -1, -1)])
    errors = {
        name: segment.error_with([Edit(behind.index, partial(_plus, pool(rows)))])
        for name, pool in POOLS.items()
    }
    best = min(errors, key=lambda name: errors[name])
    return best if errors[best] < 0.8 * found.prompt.error else None


def _plus(addend: Tensor, operands: Operands) -> Tensor:
    made: Tensor = operands.default()
    return made + addend


def _joins(
    tape: Tape, candidate: Candidate, lost: Sequence[Span], lookup: Lookup | None
) -> list[str]:
    """The orders in which what the lost calls read may stand beside the tokens, by its length."""
    rows = stream_of(tape, lost[0]) if lost else None
    if rows is None or lookup is None:
        return []
    length, own = _their_length(tape, candidate, lookup), len(lookup.ids or lookup.reference)
    return ["after", "before"] if length == own + tape.values[rows].shape[1] else []


def _their_length(tape: Tape, candidate: Candidate, lookup: Lookup) -> int:
    """Rows of the candidate's stream in the call that reads the tokens, as its taps show them."""
    phase = tape.spans[lookup.node.span].phase if lookup.node.span >= 0 else ""
    lengths: dict[int, int] = {}
    for key, row in candidate.mismatched.items():
        if key.phase == phase and row.candidate is not None and len(row.candidate.spec.shape) > 2:
            length = row.candidate.spec.shape[1]
            lengths[length] = lengths.get(length, 0) + 1
    return max(lengths, key=lambda n: lengths[n]) if lengths else len(lookup.reference)


def _judge(run: Tape, candidate: Candidate, change: Change) -> Restructured:
    """How near the changed run comes at the first tensor behind the tokens' embedding."""
    again = match_again(run, candidate)
    lookup, error, floor, tap = change.lookup, math.nan, math.nan, None
    if lookup is not None:
        found = _first_behind(run, again, place_of(change.tape, lookup.node))
        if found is not None:
            segment = Segment(run, again, found, known_taps(run, again))
            # The embedding itself is known, and would hide what was added to it.
            tap, error, floor = found, segment.error, segment.floor
    tokens = (lookup.reference, lookup.ids) if lookup is not None else ((), None)
    lost = tuple((span.path, span.phase) for span in change.lost)
    prompt = Prompt(tokens, lost, change.entry, change.rows, error, math.nan, tap, floor)
    return Restructured(run, again, prompt)


def _first_behind(run: Tape, candidate: Candidate, place: Place) -> Tap | None:
    start = next((n for n in run.nodes if place_of(run, n) == place), None)
    if start is None:
        return None
    own = {*start.outputs}
    for tap in run.taps:
        late = tap.at > start.index + 1 and tap.value not in own
        same_phase = tap.key.phase == place.phase
        if late and same_phase and tap.key in candidate and all(run.values[tap.value].shape):
            return tap
    return None
