"""Taps at which a candidate differs only because it computes the same by other steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from parity.diagnose.ground import Ground, Origin
from parity.localize.segment import Segment
from parity.localize.slices import slice_of
from parity.localize.tape import Tap

__all__ = ["equivalents"]

_LOOK_AHEAD = 80  # taps
_STAGES = 4  # taps behind an origin within which what differs may come together again


def equivalents(ground: Ground, origins: Sequence[Origin]) -> set[str]:
    """Taps that differ and whose readers are right without them.

    Rows of queries and keys permuted alike, a norm's weight folded into the next layer: the
    candidate then computes the same. Empty where nothing is like that. A tap that hardly counts,
    such as a branch that is scaled by next to nothing, is not: what is wrong there stays wrong.
    """
    paths = {origin.segment.tap.key.path for origin in origins}
    for origin in origins:
        found = _by_other_steps(ground, origin, paths)
        if found:
            return found
    return set()


def _by_other_steps(ground: Ground, origin: Origin, paths: set[str]) -> set[str]:
    """The taps from an origin on that differ until, some way behind it, nothing does."""
    tap, passed = origin.segment.tap, set(paths)
    for segment in (origin.segment, *[None] * _STAGES):
        reader = segment.tap if segment is not None else _reader(ground, tap)
        if reader is None:
            break
        own = reader.key.path
        skipped = passed - {own}
        through = ground.segment(reader, without=skipped)
        inside = [one for one in _passed(ground, through) if one.key.path in skipped]
        if inside and through.error <= through.floor:
            return {one.key.path for one in inside if _counts(ground, reader, skipped, one)}
        passed.add(own)
        tap = reader
    return set()


def _counts(ground: Ground, reader: Tap, skipped: set[str], one: Tap) -> bool:
    """Whether the candidate's tensor at one tap, with the reference's at the others, is wrong."""
    alone = ground.segment(reader, without=skipped, but={one.value})
    return not alone.error <= alone.floor


def _passed(ground: Ground, segment: Segment) -> Iterator[Tap]:
    """The taps that the candidate has within a segment, which it was not told to take."""
    for index in segment.nodes:
        for value in ground.tape.nodes[index].outputs:
            yield from ground.cuts.get(value, ())


def _reader(ground: Ground, tap: Tap) -> Tap | None:
    """The first tap behind another one, in the same call, that is computed from it."""
    tape = ground.tape
    place = tape.number_of[tap.key]
    for other in tape.taps[place + 1 : place + _LOOK_AHEAD]:
        same_call = (other.key.phase, other.key.call) == (tap.key.phase, tap.key.call)
        if not same_call or other.value == tap.value or other.key not in ground.candidate:
            continue
        if any(cut.value == tap.value for cut in slice_of(tape, other, ground.cuts).cuts):
            return other
    return None
