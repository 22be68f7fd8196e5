"""The lookup of token ids, and the ids that a candidate looked up."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from parity.localize.candidate import Candidate
from parity.localize.tape import Node, Ref, Tape

__all__ = ["Lookup", "find_lookup", "token_ids"]

Tensor = torch.Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Lookup:
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


def find_lookup(tape: Tape, candidate: Candidate) -> Lookup | None:
    """The first embedding of the run whose ids the program made itself."""
    for node in tape.nodes:
        if node.name != "embedding" or len(node.args) < 2 or not node.outputs:
            continue
        values = tape.values
        if not all(values[node.outputs[0]].shape):
            continue
        origin = _origin(tape, node.args[0])
        if origin is None:
            continue
        made = origin.function(*origin.args, **origin.kwargs)
        ids = tuple(int(i) for i in made.flatten())
        theirs = _their_ids(tape, candidate, node)
        return Lookup(node, origin, ids, theirs, tuple(made.shape))
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
