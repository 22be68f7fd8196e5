"""Lookups of table rows by integers, and which rows a tensor of the candidate shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from parity.diagnose.operands import Place, changed, operand_at, places
from parity.diagnose.view import View
from parity.diagnose.wording import fixed
from parity.localize.execute import Edit, Operands
from parity.localize.tape import LEAF, Node, Ref

__all__ = ["Lookup", "lookups", "rows_shown"]

Tensor = torch.Tensor
MOST_ROWS = 1024
MOST_WORK = 100_000_000


@dataclass(frozen=True, slots=True)
class Lookup:
    """An operation that takes rows of a table.

    Attributes:
        node: the operation.
        table: the rows `(n, d)`, or with further axes behind.
        ids: which rows.
        place: where the ids stand among the operation's arguments.
    """

    node: Node
    table: int
    ids: int
    place: Place

    def with_ids(self, change: Callable[[Tensor, int], Tensor]) -> Edit:
        """The change that looks up `change(ids, number of rows)`."""
        table_place = self._table_place

        def ids_of(ids: Tensor, operands: Operands) -> Tensor:
            return change(ids, operand_at(operands, table_place).shape[0])

        return changed(self.node, {self.place: ids_of})

    @property
    def _table_place(self) -> Place:
        return next(place for place, value in places(self.node) if value == self.table)


def lookups(view: View) -> Iterator[Lookup]:
    """The lookups of a segment: `embedding`, `index_select` along the rows, `table[ids]`."""
    for node in view.nodes:
        found = _lookup(view, node)
        if found is None:
            continue
        whole = not view.is_float(found.ids) and view.is_float(found.table)
        integer = view.tape.values[found.ids].dtype is not torch.bool
        there = view.has(found.ids) and 0 not in view.shape(found.ids)
        rows = len(view.shape(found.table)) >= 2 and len(node.outputs) == 1
        if whole and integer and rows and there:
            yield found


def _lookup(view: View, node: Node) -> Lookup | None:
    if node.name == "embedding":
        ids, table = view.tensor_argument(node, 0, "input"), view.tensor_argument(node, 1, "weight")
        place: Place = ("a", 0) if node.args else ("k", "input")
    elif node.name == "index_select" and view.argument(node, 1, "dim") == 0:
        table, ids = view.tensor_argument(node, 0, "input"), view.tensor_argument(node, 2, "index")
        place = ("a", 2) if len(node.args) > 2 else ("k", "index")
    elif node.name == "getitem" and len(node.args) == 2 and isinstance(node.args[1], Ref):
        table, ids, place = view.tensor_argument(node, 0, "self"), node.args[1].value, ("a", 1)
    else:
        return None
    if table is None or ids is None or not view.has(table):
        return None
    if view.tape.values[table].node != LEAF and not fixed(view, table):
        return None  # rows of what is computed, not of what is stored
    return Lookup(node, table, ids, place)


def rows_shown(table: Tensor, rows: Tensor) -> Tensor | None:
    """Which row of `table` `(n, d)` each of `rows` `(m, d)` is; -1 for rows of zeros.

    Returns:
        `(m,)` integers, or None if a row is none of the table's.
    """
    if rows.shape[0] > MOST_ROWS or not table.shape[0] or rows.shape[-1] != table.shape[-1]:
        return None
    width = table.shape[-1]
    columns = torch.arange(0, width, max(1, width // 16))
    if table.shape[0] * rows.shape[0] * len(columns) > MOST_WORK:
        return None
    few, sought = table[:, columns].float(), rows[:, columns].float()
    near = torch.cdist(sought, few).argmin(-1)
    size = table.float().norm(dim=-1).mean()
    empty = rows.float().norm(dim=-1) <= 1e-6 * size
    left = (table[near].float() - rows.float()).norm(dim=-1)
    known = left <= 1e-3 * table[near].float().norm(dim=-1) + 1e-6 * size
    if not bool((known | empty).all()):
        return None
    return torch.where(empty & ~known, torch.full_like(near, -1), near)
