"""Runs the reference with the candidate's tokens and passes: what is put in while it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch.nn import functional

from parity.diagnose.passes import carried, place_of, stream_of
from parity.diagnose.token_lookup import Lookup
from parity.localize.tape import Span, Tape
from parity.localize.tracer import Operation, Place

__all__ = ["POOLS", "Change"]

Tensor = torch.Tensor

# How a sequence that has no pass of its own can enter another one instead.
POOLS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda rows: rows.mean(1, keepdim=True),
    "last row": lambda rows: rows[:, -1:],
    "sum": lambda rows: rows.sum(1, keepdim=True),
    "first row": lambda rows: rows[:, :1],
}


@dataclass(eq=False)
class Change:
    """An intervention: the candidate's tokens, no trace of lost calls, their content elsewhere.

    Attributes:
        tape: the reference's own run.
        lost: the calls that the candidate does not make.
        lookup: of the tokens.
        entry: how what the lost calls read comes in: a name of `POOLS`, `after`, `before`, or
            empty for not at all.
        kept: what the first lost call read, once it is there.
    """

    tape: Tape
    lost: Sequence[Span]
    lookup: Lookup | None
    entry: str
    kept: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.skipped = {
            place_of(self.tape, node) for span in self.lost for node in carried(self.tape, span)
        }
        stream = stream_of(self.tape, self.lost[0]) if self.lost else None
        self.rows = self.tape.values[stream].shape[1] if stream is not None else 0
        made_by = None if stream is None else self.tape.nodes[self.tape.values[stream].node]
        self.stream = None if made_by is None else place_of(self.tape, made_by)

    def __call__(self, place: Place, operation: Operation) -> Operation | None:
        """What is run instead of an operation; None for the operation itself."""
        if place in self.skipped:
            return (_unchanged, operation[1][:1], {})
        if place == self.stream:
            return self._keep(operation)
        return None if self.lookup is None else self._at_lookup(self.lookup, place, operation)

    def _at_lookup(self, lookup: Lookup, place: Place, operation: Operation) -> Operation | None:
        if place == place_of(self.tape, lookup.origin):
            return self._tokens(lookup)
        if not self.kept:
            return None
        if place == place_of(self.tape, lookup.node) and self.entry in ("after", "before"):
            return self._joined(operation)
        # What the embedding gives is known; what is added to it comes in behind it.
        if self.entry in POOLS and place == self.behind(lookup):
            return self._added(operation, POOLS[self.entry])
        return None

    def behind(self, lookup: Lookup) -> Place | None:
        """The first operation that reads what the embedding gives."""
        readers = self.tape.readers.get(lookup.node.outputs[0], ())
        return place_of(self.tape, self.tape.nodes[readers[0]]) if readers else None

    def _keep(self, operation: Operation) -> Operation:
        function, args, kwargs = operation

        def kept(*args: object, **kwargs: object) -> Tensor:
            made: Tensor = function(*args, **kwargs)
            self.kept[:] = [made]
            return made

        return (kept, args, kwargs)

    def _tokens(self, lookup: Lookup) -> Operation | None:
        ids = list(lookup.ids or lookup.reference)
        if self.entry in ("after", "before"):
            ids += [0] * self.rows  # places for the rows that come in
        if tuple(ids) == lookup.reference:
            return None
        shape = (*lookup.shape[:-1], len(ids)) if lookup.shape else lookup.shape
        made = torch.tensor(ids).reshape(shape)
        return (made.clone, (), {})

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
