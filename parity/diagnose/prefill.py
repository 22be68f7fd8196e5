"""Prompts that the candidate reads otherwise: other tokens, a pass that is not made, another order.

Such faults change lengths and positions, so nothing after them can be compared as it is. They are
looked for first, and the reference is run again as the candidate runs: with its tokens, without
the pass that it does not make. What follows is then compared with a reference of the same shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch.nn import functional

from parity.localize.candidate import Candidate
from parity.localize.execute import Edit, Operands
from parity.localize.forward import forward
from parity.localize.reference import Reference, match_again
from parity.localize.replay import known_taps
from parity.localize.segment import Segment
from parity.localize.tape import Node, Ref, Span, Tap, Tape, refs_of
from parity.localize.tracer import Operation, Place

__all__ = ["Prompt", "Restructured", "lost_calls", "restructure", "token_ids"]

Tensor = torch.Tensor

# How a sequence that has no pass of its own can enter another one instead.
_POOLS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda rows: rows.mean(1, keepdim=True),
    "last row": lambda rows: rows[:, -1:],
    "sum": lambda rows: rows.sum(1, keepdim=True),
    "first row": lambda rows: rows[:, :1],
}


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
    lookup = _lookup(tape, candidate)
    lost = lost_calls(tape, candidate)
    ids = lookup.ids if lookup is not None else None
    if ids is None and not lost:
        return None
    entries = _joins(tape, candidate, lost, lookup) or [""]
    found = [
        run
        for entry in entries
        if (run := _run(reference, candidate, _Change(tape, lost, lookup, entry))) is not None
    ]
    if not found:
        return None
    best = min(found, key=lambda one: _sortable(one.prompt.error))
    pooled = None if best.prompt.entry else _pooled(best, _Change(tape, lost, lookup, ""))
    if pooled is None:
        return best
    again = _run(reference, candidate, _Change(tape, lost, lookup, pooled))
    if again is None:
        return best
    return replace(again, prompt=replace(again.prompt, without=best.prompt.error))


def _sortable(error: float) -> float:
    return math.inf if math.isnan(error) else error


def _run(reference: Reference, candidate: Candidate, change: _Change) -> Restructured | None:
    """The reference under a change, held against the candidate; None if it cannot be run so."""
    try:
        return _judge(reference.trace(change), candidate, change)
    except (RuntimeError, IndexError, ValueError, AssertionError, TypeError):
        return None


def _pooled(found: Restructured, change: _Change) -> str | None:
    """The one of the pools that brings the reference nearer, added behind the embedding."""
    tap, lookup = found.prompt.tap, change.lookup
    if tap is None or lookup is None or change.stream is None:
        return None
    place = change.behind(lookup)
    behind = next((n for n in found.tape.nodes if _place(found.tape, n) == place), None)
    made = next((n for n in found.tape.nodes if _place(found.tape, n) == change.stream), None)
    if behind is None or made is None:
        return None
    segment = Segment(found.tape, found.candidate, tap, known_taps(found.tape, found.candidate))
    (rows,) = forward(found.tape, [Tap(tap.key, made.outputs[0], made.index + 1, -1, -1)])
    errors = {
        name: segment.error_with([Edit(behind.index, partial(_plus, pool(rows)))])
        for name, pool in _POOLS.items()
    }
    best = min(errors, key=lambda name: errors[name])
    return best if errors[best] < 0.8 * found.prompt.error else None


def _plus(addend: Tensor, operands: Operands) -> Tensor:
    made: Tensor = operands.default()
    return made + addend


def lost_calls(tape: Tape, candidate: Candidate) -> list[Span]:
    """Outermost calls of a phase in which the candidate makes none, though it makes them elsewhere."""
    present = {(key.path, key.phase) for key in (*candidate.rows, *candidate.mismatched)}
    paths = {path for path, _ in present}
    missing = {(key.path, key.phase) for key in candidate.missing} - present
    found: list[Span] = []
    for span in tape.spans:
        if (span.path, span.phase) not in missing or span.path not in paths:
            continue
        inside = any(outer.start <= span.start and span.stop <= outer.stop for outer in found)
        if not inside and span.phase and _is_carried(tape, span):
            found.append(span)
    return found


def _is_carried(tape: Tape, span: Span) -> bool:
    """Whether a call leaves something behind: it writes what is read after it."""
    return any(node.index < span.stop for node in _carried(tape, span))


def _carried(tape: Tape, span: Span) -> Iterator[Node]:
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


@dataclass(frozen=True, slots=True, eq=False)
class _Lookup:
    """An embedding of token ids.

    Attributes:
        node: the lookup.
        origin: the operation that made the ids.
        reference: the reference's ids.
        ids: the candidate's, where they are others in number.
        shape: of the tensor that `origin` makes.
    """

    node: Node
    origin: Node
    reference: tuple[int, ...]
    ids: tuple[int, ...] | None
    shape: tuple[int, ...]


def _lookup(tape: Tape, candidate: Candidate) -> _Lookup | None:
    for node in tape.nodes:
        if node.name != "embedding" or len(node.args) < 2 or not node.outputs:
            continue
        values = tape.values
        if not math.prod(values[node.outputs[0]].shape):
            continue
        origin = _origin(tape, node.args[0])
        if origin is None:
            continue
        made = origin.function(*origin.args, **origin.kwargs)
        ids = tuple(int(i) for i in made.flatten())
        theirs = _their_ids(tape, candidate, node)
        return _Lookup(node, origin, ids, theirs, tuple(made.shape))
    return None


def _origin(tape: Tape, ids: object) -> Node | None:
    """The operation without tensor inputs that ids come from."""
    while isinstance(ids, Ref):
        index = tape.values[ids.value].node
        if index < 0:
            return None
        node = tape.nodes[index]
        if not node.inputs:
            return node
        if len(node.inputs) > 1:
            return None
        ids = Ref(node.inputs[0])
    return None


def _their_ids(tape: Tape, candidate: Candidate, node: Node) -> tuple[int, ...] | None:
    """The candidate's ids, if the tensor that it looked up has another number of rows."""
    tap = next(
        (t for t in tape.taps_of.get(node.outputs[0], ()) if t.key in candidate.mismatched), None
    )
    table = node.args[1]
    if tap is None or not isinstance(table, Ref) or table.value not in tape.leaves:
        return None
    rows = candidate.alone(candidate.mismatched[tap.key])
    return token_ids(rows, tape.leaves[table.value].tensor)


def token_ids(rows: Tensor, table: Tensor) -> tuple[int, ...] | None:
    """The ids whose rows of `table` `(n, d)` are `rows` `(..., d)`; None if some are in none."""
    if rows.shape[-1:] != table.shape[-1:] or not rows.numel():
        return None
    flat = rows.reshape(-1, rows.shape[-1]).float()
    distance = torch.cdist(flat, table.float())
    nearest = distance.min(1)
    if not bool((nearest.values <= 1e-2 * flat.norm(dim=1) + 1e-12).all()):
        return None
    return tuple(int(i) for i in nearest.indices)


def _joins(
    tape: Tape, candidate: Candidate, lost: Sequence[Span], lookup: _Lookup | None
) -> list[str]:
    """The orders in which what the lost calls read may stand beside the tokens, by its length."""
    rows = _stream(tape, lost[0]) if lost else None
    if rows is None or lookup is None:
        return []
    length, own = _their_length(tape, candidate, lookup), len(lookup.ids or lookup.reference)
    return ["after", "before"] if length == own + tape.values[rows].shape[1] else []


def _their_length(tape: Tape, candidate: Candidate, lookup: _Lookup) -> int:
    """Rows of the candidate's stream in the call that reads the tokens, as its taps show them."""
    phase = tape.spans[lookup.node.span].phase if lookup.node.span >= 0 else ""
    lengths: dict[int, int] = {}
    for key, row in candidate.mismatched.items():
        if key.phase == phase and row.candidate is not None and len(row.candidate.spec.shape) > 2:
            length = row.candidate.spec.shape[1]
            lengths[length] = lengths.get(length, 0) + 1
    return max(lengths, key=lambda n: lengths[n]) if lengths else len(lookup.reference)


def _stream(tape: Tape, span: Span) -> int | None:
    """The sequence that a call reads: its float argument with the most rows, `(batch, n, dim)`."""
    values = [
        v
        for v in refs_of((span.args, span.kwargs))
        if len(tape.values[v].shape) == 3
        and tape.values[v].dtype.is_floating_point
        and tape.values[v].node >= 0
        and math.prod(tape.values[v].shape)
    ]
    return max(values, key=lambda v: tape.values[v].shape[1], default=None)


@dataclass(eq=False)
class _Change:
    """The intervention: the candidate's tokens, no trace of the lost calls, their content elsewhere."""

    tape: Tape
    lost: Sequence[Span]
    lookup: _Lookup | None
    entry: str
    kept: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.skipped = {
            _place(self.tape, node) for span in self.lost for node in _carried(self.tape, span)
        }
        stream = _stream(self.tape, self.lost[0]) if self.lost else None
        self.rows = self.tape.values[stream].shape[1] if stream is not None else 0
        self.stream = _place(self.tape, self.tape.nodes[self.tape.values[stream].node]) \
            if stream is not None else None  # fmt: skip

    def __call__(self, place: Place, operation: Operation) -> Operation | None:
        """What is run instead of an operation; None for the operation itself."""
        if place in self.skipped:
            return (_unchanged, operation[1][:1], {})
        if place == self.stream:
            return self._keep(operation)
        lookup = self.lookup
        if lookup is not None and place == _place(self.tape, lookup.origin):
            return self._tokens(lookup, operation)
        if lookup is None or not self.kept:
            return None
        if place == _place(self.tape, lookup.node) and self.entry in ("after", "before"):
            return self._joined(operation)
        # What the embedding gives is known; what is added to it comes in behind it.
        if self.entry in _POOLS and place == self.behind(lookup):
            return self._added(operation, _POOLS[self.entry])
        return None

    def behind(self, lookup: _Lookup) -> Place | None:
        """The first operation that reads what the embedding gives."""
        readers = self.tape.readers.get(lookup.node.outputs[0], ())
        return _place(self.tape, self.tape.nodes[readers[0]]) if readers else None

    def _keep(self, operation: Operation) -> Operation:
        function, args, kwargs = operation

        def kept(*args: object, **kwargs: object) -> Tensor:
            made: Tensor = function(*args, **kwargs)
            self.kept[:] = [made]
            return made

        return (kept, args, kwargs)

    def _tokens(self, lookup: _Lookup, operation: Operation) -> Operation | None:
        ids = list(lookup.ids or lookup.reference)
        if self.entry in ("after", "before"):
            ids += [0] * self.rows  # places for the rows that come in
        if tuple(ids) == lookup.reference:
            return None
        shape = (*lookup.shape[:-1], len(ids)) if lookup.shape else lookup.shape
        made = torch.tensor(ids).reshape(shape)
        del operation
        return (lambda: made.clone(), (), {})

    def _added(self, operation: Operation, pool: Callable[[Tensor], Tensor]) -> Operation:
        function, args, kwargs = operation

        def added(rows: Tensor, *args: object, **kwargs: object) -> Tensor:
            made: Tensor = function(*args, **kwargs)
            return made + pool(rows)

        return (added, (self.kept[0], *args), kwargs)

    def _joined(self, operation: Operation) -> Operation:
        _, args, _ = operation
        first = self.entry == "before"

        def joined(ids: Tensor, table: Tensor, rows: Tensor) -> Tensor:
            own = functional.embedding(ids[..., : ids.shape[-1] - rows.shape[1]], table)
            return torch.cat([rows, own] if first else [own, rows], dim=1)

        return (joined, (args[0], args[1], self.kept[0]), {})


def _unchanged(value: Tensor) -> Tensor:
    return value


def _place(tape: Tape, node: Node) -> Place:
    if node.span < 0:
        return Place("", "", 0, node.name, node.occurrence)
    span = tape.spans[node.span]
    return Place(span.path, span.phase, span.call, node.name, node.occurrence)


def _judge(run: Tape, candidate: Candidate, change: _Change) -> Restructured:
    """How near the changed run comes at the first tensor behind the tokens' embedding."""
    again = match_again(run, candidate)
    lookup, error, floor, tap = change.lookup, math.nan, math.nan, None
    if lookup is not None:
        found = _first_behind(run, again, _place(change.tape, lookup.node))
        if found is not None:
            segment = Segment(run, again, found, known_taps(run, again))
            # The embedding itself is known, and would hide what was added to it.
            tap, error, floor = found, segment.error, segment.floor
    tokens = (lookup.reference, lookup.ids) if lookup is not None else ((), None)
    lost = tuple((span.path, span.phase) for span in change.lost)
    prompt = Prompt(tokens, lost, change.entry, change.rows, error, math.nan, tap, floor)
    return Restructured(run, again, prompt)


def _first_behind(run: Tape, candidate: Candidate, place: Place) -> Tap | None:
    start = next((n for n in run.nodes if _place(run, n) == place), None)
    if start is None:
        return None
    own = {*start.outputs}
    for tap in run.taps:
        late = tap.at > start.index + 1 and tap.value not in own
        same_phase = tap.key.phase == place.phase
        if late and same_phase and tap.key in candidate and math.prod(run.values[tap.value].shape):
            return tap
    return None
