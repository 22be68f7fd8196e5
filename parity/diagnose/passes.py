"""Calls that the candidate does not make, and what the reference's leave behind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from parity.localize.candidate import Candidate
from parity.localize.tape import Node, Span, Tape, refs_of
from parity.localize.tracer import Place

__all__ = ["carried", "lost_calls", "place_of", "stream_of"]


def lost_calls(tape: Tape, candidate: Candidate) -> list[Span]:
    """Outermost calls of a phase in which the candidate makes none, though it does elsewhere."""
    present = {(key.path, key.phase) for key in (*candidate.rows, *candidate.mismatched)}
    paths = {path for path, _ in present}
    missing = {(key.path, key.phase) for key in candidate.missing} - present
    shown: dict[str, list[Span]] = {}
    for span in tape.spans:
        if (span.path, span.phase) in present:
            shown.setdefault(span.phase, []).append(span)
    found: list[Span] = []
    for span in tape.spans:
        if (span.path, span.phase) not in missing or span.path not in paths:
            continue
        inside = any(outer.start <= span.start and span.stop <= outer.stop for outer in found)
        if inside or not span.phase or _shown_otherwise(span, shown.get(span.phase, ())):
            continue
        if _leaves_something(tape, span):
            found.append(span)
    return found


def _shown_otherwise(span: Span, shown: Iterable[Span]) -> bool:
    """Whether the candidate shows what lies in a call, or around it: then it only is no tap."""
    return any(
        (other.start <= span.start and span.stop <= other.stop)
        or (span.start <= other.start and other.stop <= span.stop)
        for other in shown
    )


def _leaves_something(tape: Tape, span: Span) -> bool:
    """Whether a call leaves something behind: it writes what is read after it."""
    return any(node.index < span.stop for node in carried(tape, span))


def carried(tape: Tape, span: Span) -> Iterator[Node]:
    """Writes into states: during a call or after it until the next, into what was there before.

    Only memory that is read again afterwards counts.
    """
    end = next((s.start for s in tape.spans if s.parent == span.parent and s.start >= span.stop),
               len(tape.nodes))  # fmt: skip
    for index in range(span.start, end):
        node = tape.nodes[index]
        groups = {tape.values[value].group for value in node.written}
        after = max(index + 1, span.stop)
        if any(
            tape.first_made[group] < span.start and tape.last_read.get(group, -1) >= after
            for group in groups
        ):
            yield node


def stream_of(tape: Tape, span: Span) -> int | None:
    """The sequence that a call reads: its float argument with the most rows, `(batch, n, dim)`."""
    values = [
        v
        for v in refs_of((span.args, span.kwargs))
        if len(tape.values[v].shape) == 3
        and tape.values[v].dtype.is_floating_point
        and tape.values[v].node >= 0
        and tape.values[v].group not in tape.writers  # a state, not what is read
        and all(tape.values[v].shape)
    ]
    return max(values, key=lambda v: tape.values[v].shape[1], default=None)


def place_of(tape: Tape, node: Node) -> Place:
    """Where an operation stands in its run."""
    if node.span < 0:
        return Place("", "", 0, node.name, node.occurrence)
    span = tape.spans[node.span]
    return Place(span.path, span.phase, span.call, node.name, node.occurrence)
