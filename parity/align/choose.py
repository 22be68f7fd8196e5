"""Chooses counterparts by order, shape and content, and says what else they could be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from parity.align.content import clear_winner
from parity.align.likeness import Item, Likeness
from parity.align.name_likeness import clearly_alike
from parity.align.sequence import best_path, longest_rise, through

__all__ = ["Found", "Task", "decide"]

FloatArray = np.ndarray[Any, np.dtype[np.float64]]
Agreement = Callable[[Item, Item], float]

# Contents that are this near, with nothing else within ten times the distance, belong together
# wherever they stand.
ANCHOR, LONELY = 2e-2, 10.0
# Where more than a fifth of those stand out of order, order is no evidence.
MIN_IN_ORDER = 0.8
MIN_ANCHORS = 4
# By how much the best matching must beat the next: more than two unrelated normalised tensors
# gain by chance, less than a bfloat16 port loses.
MARGIN = 0.2
# How fast certainty falls with a rival's nearness, how near one must be to count, and what
# certainty many rivals must leave.
SCALE = 0.25
NEARBY = 8 * SCALE
MIN_CERTAINTY = 0.5
# A settled pair outweighs everything else.
SETTLED = 1e3
ROUNDS = 3


@dataclass(slots=True, eq=False)
class Task:
    """The taps to match, what is settled so far, and what of that by names (the rows)."""

    reference: list[Item]
    candidate: list[Item]
    likeness: Likeness
    settled: dict[int, int] = field(default_factory=dict)
    named: set[int] = field(default_factory=set)
    ordered: bool = True

    def out_of_order(self) -> set[int]:
        """The rows of settled pairs that cannot be part of one order-preserving matching."""
        rows = sorted(self.settled)
        rise = longest_rise([self.settled[row] for row in rows])
        return set(rows) - {rows[place] for place in rise} if self.ordered else set(rows)


@dataclass(frozen=True, slots=True)
class Found:
    """Item `row` of the reference with item `column` of the candidate.

    `rows` and `columns` are what could stand in their place, `certainty` the share of the belief
    that is left when those have theirs.
    """

    row: int
    column: int
    certainty: float = 1.0
    rows: tuple[int, ...] = ()
    columns: tuple[int, ...] = ()

    @property
    def ambiguous(self) -> bool:
        """Whether something else could stand in either's place."""
        return bool(self.rows or self.columns)


def _anchor(task: Task) -> None:
    """Settle the pairs whose content is each other's and nobody else's.

    Taps of one side that hold the same values, such as a block and its last layer, count as one:
    which of them is which does not matter, and they are paired in order.
    """
    apart = np.where(np.isfinite(task.likeness.shape), task.likeness.apart, 1.0)
    twins = _twins(task.reference), _twins(task.candidate)
    for row, column in _mutual(-apart):
        here = apart[row, column]
        rows, columns = twins[0][row], twins[1][column]
        others = np.concatenate([np.delete(apart[row], columns), np.delete(apart[:, column], rows)])
        lonely = not others.size or others.min() > LONELY * max(here, 1e-6)
        varied = task.reference[row].fingerprint[1] > 0
        if here < ANCHOR and lonely and varied:
            task.settled.update(zip(rows, columns, strict=False))
    disorder = len(task.out_of_order())
    if len(task.settled) >= MIN_ANCHORS and disorder > (1 - MIN_IN_ORDER) * len(task.settled):
        task.ordered = False


def _twins(items: Sequence[Item]) -> list[list[int]]:
    """For each item, all that hold the same values in the same shapes, itself included."""
    groups: dict[object, list[int]] = {}
    keys = [(item.series.shapes, item.digest or item.fingerprint.tobytes()) for item in items]
    for index, key in enumerate(keys):
        groups.setdefault(key, []).append(index)
    return [groups[key] for key in keys]


def _mutual(score: FloatArray) -> list[tuple[int, int]]:
    """The pairs that are each other's best."""
    rows, columns = score.argmax(axis=0), score.argmax(axis=1)
    return [(row, column) for row, column in enumerate(columns.tolist()) if rows[column] == row]


def decide(task: Task, agreement: Agreement) -> list[Found]:
    """The matching; where it is ambiguous, values are read, then names, and it is sought again.

    Args:
        task: what to match; what reading settles is noted in it.
        agreement: reads two taps and says how well their values agree, as a correlation; NaN
            where that cannot be said.

    Returns:
        The pairs in order of the reference; some may still be ambiguous.
    """
    _anchor(task)
    found = _solve(task)
    for _ in range(ROUNDS):
        unclear = [one for one in found if one.ambiguous]
        settled = sum(_read(task, agreement, one) for one in unclear)
        if not settled:
            settled = sum(_by_name(task, one) for one in unclear)
        if not settled:
            break
        found = _solve(task)
    return found


def _solve(task: Task) -> list[Found]:
    apart = task.out_of_order()
    score = task.likeness.score
    for row, column in task.settled.items():
        worth = score[row, column] + SETTLED
        score[row], score[:, column] = -np.inf, -np.inf
        if row not in apart:
            score[row, column] = worth
    if task.ordered:
        pairs, total = best_path(score), through(score)
    else:
        pairs, total = [p for p in _mutual(score) if np.isfinite(score[p])], score
    found = [Found(row, task.settled[row]) for row in apart]
    found += [_with_rivals(task, total, row, column) for row, column in pairs]
    return sorted(found, key=lambda one: one.row)


def _with_rivals(task: Task, total: FloatArray, row: int, column: int) -> Found:
    """The pair with what could stand in either's place, except for what holds the same values."""
    best = total[row, column]
    rows = _others(task.reference, total[:, column], row)
    columns = _others(task.candidate, total[row], column)
    lead = best - np.array([*total[rows, column], *total[row, columns]])
    certainty = float(1 / (1 + np.exp(-lead / SCALE).sum()))
    margin = MARGIN if certainty >= MIN_CERTAINTY else NEARBY
    return Found(
        row,
        column,
        certainty,
        rows=tuple(r for r in rows if total[r, column] > best - margin),
        columns=tuple(c for c in columns if total[row, c] > best - margin),
    )


def _others(items: Sequence[Item], total: FloatArray, chosen: int) -> list[int]:
    """What else comes near `chosen`, the nearest first."""
    near = np.flatnonzero(total > total[chosen] - NEARBY)
    ranked = near[np.argsort(-total[near], kind="stable")].tolist()
    return [i for i in ranked if i != chosen and not items[i].same_content(items[chosen])]


def _read(task: Task, agreement: Agreement, one: Found) -> bool:
    """Whether reading values settles an ambiguous pair."""
    choices = _choices(one)
    scores = [agreement(task.reference[row], task.candidate[column]) for row, column in choices]
    best = clear_winner(scores)
    return best is not None and _settle(task, *choices[best])


def _by_name(task: Task, one: Found) -> bool:
    """Whether names settle an ambiguous pair: they say nothing by themselves, but may decide."""
    choices = _choices(one)
    best = clearly_alike(
        [
            (task.reference[row].series.name.path, task.candidate[column].series.name.path)
            for row, column in choices
        ]
    )
    if best is None or not _settle(task, *choices[best]):
        return False
    task.named.add(choices[best][0])
    return True


def _choices(one: Found) -> list[tuple[int, int]]:
    return [
        (one.row, one.column),
        *((row, one.column) for row in one.rows),
        *((one.row, column) for column in one.columns),
    ]


def _settle(task: Task, row: int, column: int) -> bool:
    if row in task.settled or column in task.settled.values():
        return False
    task.settled[row] = column
    return True
