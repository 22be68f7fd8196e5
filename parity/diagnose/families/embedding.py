"""Embeddings: a scale lost or added, shifted rows, a padding row, other ids altogether.

Where the candidate's tensor shows its rows, the ids that it looked up are read off it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch

from parity.diagnose.arguments import as_binary
from parity.diagnose.hypothesis import Hypothesis, Solve
from parity.diagnose.lookups import Lookup, lookups, rows_shown
from parity.diagnose.operands import operand_at
from parity.diagnose.view import View
from parity.diagnose.wording import fixed
from parity.localize.execute import Edit, Operands
from parity.localize.tape import Node, Ref

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
NAME = "embedding"
MOST_SHIFT = 4


def propose(view: View) -> Iterator[Hypothesis]:
    """Other ids and other scales at every lookup of ids; positions are another family's."""
    for lookup in lookups(view):
        ids = view.value(lookup.ids)
        if len(view.shape(lookup.table)) != 2:
            continue
        yield from _scale(view, lookup)
        if counts_up(ids):
            continue
        yield from _shown(view, lookup, ids)
        yield from _shifted(view, lookup)
        yield from _padding(view, lookup, ids)
        yield from _sequence(view, lookup, ids)


def counts_up(ids: Tensor) -> bool:
    """Whether ids are positions: each one more than that before it."""
    flat = ids.reshape(-1, ids.shape[-1]) if ids.dim() else ids.reshape(1, 1)
    if flat.shape[-1] < 3:
        return False
    return bool((flat[:, 1:] - flat[:, :-1] == 1).all())


def _scale(view: View, lookup: Lookup) -> Iterator[Hypothesis]:
    own = list(_own_scale(view, lookup))
    if own:  # whatever else the rows are multiplied by is another value of that factor
        yield from own
        return
    width = view.shape(lookup.table)[-1]
    site = view.site(lookup.node)
    root = math.sqrt(max(width, 1))

    def make(value: float) -> tuple[Edit, ...]:
        return (view.after(lookup.node, partial(torch.mul, other=value)),)

    for value, text in ((root, "times sqrt(d)"), (1 / root, "divided by sqrt(d)")):
        solve = Solve(make, value, value, reference=1.0)
        yield Hypothesis(NAME, "scale", "rows as they are", text, site, solve=solve, cost=0.5)
    solve = Solve(make, 1e-3, 1e3, "log", reference=1.0, guesses=(1.0,))
    text = "times {value:.4g}"
    yield Hypothesis(NAME, "scale", "rows as they are", text, site, solve=solve, cost=1.1)


def _own_scale(view: View, lookup: Lookup) -> Iterator[Hypothesis]:
    """The reference's own factor left out, or another in its place."""
    source = lookup.node.outputs[0]
    for node in view.consumers(source):
        factor = _factor(view, node, source)
        if factor is None:
            continue

        def make(value: float, source: int = source, index: int = node.index) -> tuple[Edit, ...]:
            return (Edit(index, lambda operands: operands.reads[0] * value, (source,)),)

        site = view.site(node)
        once = Solve(make, 1.0, 1.0, reference=factor)
        reference = f"rows times {factor:.4g}"
        yield Hypothesis(NAME, "scale", reference, "not scaled", site, solve=once, cost=0.5)
        solve = Solve(make, 1e-3, 1e3, "log", reference=factor, guesses=(factor**2, 1 / factor))
        text = "times {value:.4g}"
        yield Hypothesis(NAME, "scale", reference, text, site, solve=solve, cost=1.0)


def _factor(view: View, node: Node, source: int) -> float | None:
    """What rows are multiplied by, a number or a constant tensor of one element."""
    binary = as_binary(node)
    if binary is None or binary.kind not in ("mul", "div") or not node.outputs:
        return None
    if not isinstance(binary.left, Ref) or binary.left.value != source:
        return None
    other = binary.right
    if isinstance(other, Ref):
        if math.prod(view.shape(other.value)) != 1 or not fixed(view, other.value):
            return None
        other = float(view.value(other.value).reshape(()))
    if isinstance(other, bool) or not isinstance(other, int | float) or other in (0, 1):
        return None
    return float(other) if binary.kind == "mul" else 1 / other


def _shifted(view: View, lookup: Lookup) -> Iterator[Hypothesis]:
    site = view.site(lookup.node)
    for text, change, cost in (
        ("row id + {value:.0f}", moved, 0.6),
        ("row id + {value:.0f}, going round", _gone_round, 0.7),
    ):
        make = partial(_shift, lookup, change)
        solve = Solve(make, -MOST_SHIFT, MOST_SHIFT, "integer", reference=0.0)
        yield Hypothesis(NAME, "offset", "row id", text, site, solve=solve, cost=cost)


def _shift(lookup: Lookup, change: Callable[..., Tensor], value: float) -> tuple[Edit, ...]:
    return (lookup.with_ids(partial(change, by=round(value))),)


def _gone_round(ids: Tensor, rows: int, *, by: int) -> Tensor:
    """Ids of other rows, as if the table had been rolled."""
    return (ids + by) % rows


def moved(ids: Tensor, rows: int, *, by: int) -> Tensor:
    """Ids of other rows; those past the end are the last.

    Raises:
        IndexError: there is no such row before the first.
    """
    found = ids + by
    if bool((found < 0).any()):
        raise IndexError("before the first row")
    return found.clamp_max(rows - 1)


def _padding(view: View, lookup: Lookup, ids: Tensor) -> Iterator[Hypothesis]:
    """One id's row is zero, or is not where the reference's is."""
    named = (
        view.argument(lookup.node, 2, "padding_idx") if lookup.node.name == "embedding" else None
    )
    rows = view.shape(lookup.table)[0]
    candidates: list[int] = [named % rows] if isinstance(named, int) and rows else []
    candidates += [0, int(ids.reshape(-1)[-1]), int(ids.reshape(-1)[0]), rows - 1]
    there = set(ids.reshape(-1).tolist())
    for one in dict.fromkeys(candidates):
        if one not in there:
            continue
        edit = Edit(lookup.node.index, partial(_without, lookup, one))
        text = f"id {one} gives zeros"
        yield Hypothesis(
            NAME, "padding", f"id {one} has a row", text, view.site(lookup.node), (edit,), cost=1.2
        )


def _without(lookup: Lookup, one: int, operands: Operands) -> Tensor:
    rows: Tensor = operands.default()
    ids: Tensor = operand_at(operands, lookup.place)
    return rows * (ids != one).to(rows.dtype).unsqueeze(-1)


def _sequence(view: View, lookup: Lookup, ids: Tensor) -> Iterator[Hypothesis]:
    """The right ids in another order along their last axis."""
    if not ids.dim() or ids.shape[-1] < 2:
        return
    orders = {
        "each id one place later": lambda i, _: torch.cat((i[..., :1], i[..., :-1]), -1),
        "each id one place earlier": lambda i, _: torch.cat((i[..., 1:], i[..., -1:]), -1),
        "ids in reverse": lambda i, _: i.flip(-1),
    }
    for text, change in orders.items():
        edits = (lookup.with_ids(change),)
        site = view.site(lookup.node)
        yield Hypothesis("tokenization", "ids", "ids in order", text, site, edits, cost=1.6)
    if ids.dim() >= 2 and ids.shape[-2] == ids.shape[-1]:
        edits = (lookup.with_ids(lambda i, _: i.transpose(-1, -2)),)
        site = view.site(lookup.node)
        text = "ids transposed"
        yield Hypothesis("tokenization", "ids", "ids in order", text, site, edits, cost=1.6)


def _shown(view: View, lookup: Lookup, ids: Tensor) -> Iterator[Hypothesis]:
    """What the candidate's own tensor says it looked up."""
    for shown in _readings(view, lookup):
        before = ids.reshape(-1)
        if shown.shape != before.shape or torch.equal(shown, before):
            continue
        site = view.site(lookup.node)
        difference = set((shown - before).tolist())
        if len(difference) == 1 and -1 not in shown.tolist():
            by = difference.pop()
            solve = Solve(partial(_shift, lookup, moved), by, by, "integer", reference=0.0)
            # Named apart from what is tried blindly, with which it would be taken as one.
            text = f"row id + {by}"
            yield Hypothesis(NAME, "offset", "row id", text, site, solve=solve, cost=0.5)
            continue
        gone = {int(i) for i, s in zip(before.tolist(), shown.tolist(), strict=True) if s < 0}
        if gone and all(
            s < 0 or s == i for i, s in zip(before.tolist(), shown.tolist(), strict=True)
        ):
            continue  # a padding row
        edit = Edit(lookup.node.index, partial(_other_ids, lookup, before.tolist(), shown.tolist()))
        old, new = _listed(before.tolist()), _listed(shown.tolist())
        reference, candidate = f"ids {old}", f"ids {new}"
        yield Hypothesis("tokenization", "ids", reference, candidate, site, (edit,), cost=1.5)


def _readings(view: View, lookup: Lookup) -> Iterator[Tensor]:
    """Ids read off the candidate's tensor, as if what follows scaled the rows or added to them."""
    rows, ours, theirs = view.value(lookup.node.outputs[0]), view.ours, view.theirs
    table = view.value(lookup.table)
    if ours.numel() != rows.numel() or theirs.shape != ours.shape or not rows.numel():
        return
    if ours.shape[-1:] != rows.shape[-1:] or not bool(torch.isfinite(theirs).all()):
        return
    flat_rows = rows.reshape(-1, rows.shape[-1]).float()
    flat_ours, flat_theirs = ours.reshape(flat_rows.shape), theirs.reshape(flat_rows.shape).float()
    power = float((flat_rows * flat_rows).sum())
    if not power > 0:
        return
    scale = float((flat_ours.float() * flat_rows).sum()) / power
    candidates = []
    if abs(scale) > 1e-6:
        candidates.append(flat_theirs / scale)
    candidates.append(flat_theirs - flat_ours.float() + flat_rows)
    for rows_there in candidates:
        shown = rows_shown(table, rows_there)
        if shown is not None:
            yield shown


def _other_ids(
    lookup: Lookup, before: Sequence[int], after: Sequence[int], operands: Operands
) -> Tensor:
    """Rows of other ids, in calls with the same ids as the one they were read off."""
    result: Tensor = operands.default()
    ids: Tensor = operand_at(operands, lookup.place)
    if ids.reshape(-1).tolist() != list(before):
        return result
    new = torch.tensor(after, dtype=ids.dtype).reshape(ids.shape)
    made: Tensor = lookup.with_ids(lambda _, rows: new.clamp(0, rows - 1)).apply(operands)
    return made * (new >= 0).to(made.dtype).unsqueeze(-1)


def _listed(ids: Sequence[int]) -> str:
    shown = ", ".join(str(i) for i in ids[:6])
    return f"[{shown}{', ...' if len(ids) > 6 else ''}]"
