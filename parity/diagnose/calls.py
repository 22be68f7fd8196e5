"""Calls that one side makes more often: at the beginning of a phase, or at its end."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

import torch

from parity.localize.candidate import Candidate
from parity.localize.local_errors import known_taps, relative_error
from parity.localize.segment import Segment
from parity.localize.tape import Tap, Tape
from parity.localize.whole_run import forward
from parity.tensors import Role

__all__ = ["Ending", "Shift", "endings", "shifts"]

_LOOKED_AT = 5  # calls
_MOST = 8  # calls more or fewer
_ALIKE = 1e-3


@dataclass(frozen=True, slots=True)
class Shift:
    """The candidate's calls of a phase stand elsewhere in the count.

    Attributes:
        phase: the phase.
        by: how many further calls the candidate makes first; negative if it lacks some.
        tap: the first tap of the phase.
        error: relative L2 of that tap with the calls moved, on the candidate's own inputs.
        before: the same call by call.
        reference: number of calls of the reference.
        candidate: of the candidate.
    """

    phase: str
    by: int
    tap: Tap
    error: float
    before: float
    reference: int
    candidate: int


@dataclass(frozen=True, slots=True)
class Ending:
    """A loop that ends at another step although the same was decided at every step until then.

    Attributes:
        phase: the phase.
        tap: the flag, one number a step.
        reference: steps of the reference.
        candidate: steps of the candidate.
        flagged: first step at which the flag was set, or -1.
    """

    phase: str
    tap: Tap
    reference: int
    candidate: int
    flagged: int


def shifts(tape: Tape, candidate: Candidate) -> Iterator[Shift]:
    """Phases in which the candidate's n-th call is another of the reference's."""
    theirs = _their_counts(candidate)
    for phase in dict.fromkeys(span.phase for span in tape.spans if span.phase):
        taps = _first_taps(tape, candidate, phase)
        if not taps:
            continue
        count = theirs.get((taps[0].key.path, phase), 0)
        if count in (0, len(taps)):
            continue
        found = _shift(tape, candidate, taps, count)
        if found is not None:
            yield found


def _their_counts(candidate: Candidate) -> dict[tuple[str, str], int]:
    names: dict[str, str] = {}
    for rows in candidate.rows.values():
        for row in rows:
            if row.reference is not None and row.candidate is not None:
                names[row.candidate.key.path] = row.reference.key.path
    counts: dict[tuple[str, str], int] = {}
    for record in candidate.source.records:
        place = (names.get(record.key.path, record.key.path), record.key.phase)
        counts[place] = max(counts.get(place, 0), record.key.call + 1)
    return counts


def _first_taps(tape: Tape, candidate: Candidate, phase: str) -> list[Tap]:
    """The calls of the first tap of a phase that the candidate has too and that holds numbers."""
    for tap in tape.taps:
        value = tape.values[tap.value]
        fits = tap.key.phase == phase and tap.key.role is Role.OUTPUT and tap.key in candidate
        if fits and value.dtype.is_floating_point and math.prod(value.shape) > 1:
            port = tap.key.port
            return [
                t for t in tape.taps if (t.key.path, t.key.port, t.key.phase)
                == (tap.key.path, port, phase)
            ]  # fmt: skip
    return []


def _shift(tape: Tape, candidate: Candidate, taps: list[Tap], count: int) -> Shift | None:
    cuts = known_taps(tape, candidate)
    ours = [Segment(tape, candidate, t, cuts).ours for t in taps[:_LOOKED_AT] if t.key in candidate]
    places = {record.key: place for place, record in enumerate(candidate.source.records)}
    row = candidate.rows[taps[0].key][0]
    assert row.candidate is not None  # noqa: S101 - rows of known tensors have both sides
    path = row.candidate.key

    def error(by: int) -> float:
        errors = []
        for number, tensor in enumerate(ours):
            place = places.get(path._replace(call=number + by))
            if place is not None:
                errors.append(relative_error(candidate.at(place), tensor)[0])
        return median(errors) if errors else math.inf

    plain = error(0)
    span = range(-_MOST, _MOST + 1)
    best = min((by for by in span if by), key=error)
    if not error(best) <= min(_ALIKE, 0.01 * plain):
        return None
    first = taps[0]
    return Shift(first.key.phase, best, first, error(best), plain, len(taps), count)


def endings(tape: Tape, candidate: Candidate) -> Iterator[Ending]:
    """Phases whose number of steps differs though the flag at each common step is the same."""
    flags: dict[tuple[str, str, str], list[Tap]] = {}
    for tap in tape.taps:
        value = tape.values[tap.value]
        if value.dtype is torch.bool and math.prod(value.shape) == 1 and tap.key.phase:
            flags.setdefault((tap.key.path, tap.key.port, tap.key.phase), []).append(tap)
    for (path, _, phase), taps in flags.items():
        theirs = _their_counts(candidate).get((path, phase), 0)
        if theirs in (0, len(taps)):
            continue
        ours = _values(tape, taps)
        both = min(theirs, len(taps))
        known = [candidate.tensor(t.key) for t in taps[:both] if t.key in candidate]
        if len(known) < both or ours is None:
            continue
        if [bool(t.flatten()[0]) for t in known] == ours[:both]:
            flagged = next((i for i, flag in enumerate(ours) if flag), -1)
            yield Ending(phase, taps[0], len(taps), theirs, flagged)


def _values(tape: Tape, taps: list[Tap]) -> list[bool] | None:
    """What the reference's own run decided at each step."""
    return [bool(t.flatten()[0]) for t in forward(tape, taps)]
