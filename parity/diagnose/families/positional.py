"""Embeddings of positions and times: sines and cosines, tables, and where they are added.

Waves are recognised by cosines and sines of the same angles that are put together, or by a constant
that holds such; learned tables by rows taken one after another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch

from parity.diagnose.families.embedding import counts_up, moved
from parity.diagnose.hypothesis import Hypothesis, Site, Solve
from parity.diagnose.lookups import Lookup, lookups
from parity.diagnose.operands import Change, Place, changed, places
from parity.diagnose.position_adds import added_positions
from parity.diagnose.substitution import substituted
from parity.diagnose.view import View
from parity.diagnose.waves import Ladder, TableWave, Wave, table_wave, waves
from parity.localize.execute import Edit, Operands
from parity.localize.tape import LEAF, Node, Ref

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
Turn = Callable[[Tensor], Tensor]
NAME = "positional"
MOST_SHIFT = 4
SCALES = (1e3, 1e-3, 2 * math.pi, 0.5 / math.pi, 100.0, 0.01, 2.0, 0.5, math.pi, 10.0, 0.1)
# Late positions turn many times for a small change of the base, so that a search between round
# numbers finds nothing that is not near one of them.
THETAS = tuple(digit * 10.0**power for power in range(1, 7) for digit in (1, 2, 5))


def propose(view: View) -> Iterator[Hypothesis]:
    """Other waves, other rows of tables, other places of what is added."""
    for wave in waves(view):
        yield from _wave(view, wave)
    for lookup in lookups(view):
        if len(view.shape(lookup.table)) == 2 and counts_up(view.value(lookup.ids)):
            yield from _looked_up(view, lookup)
    seen: dict[int, TableWave | None] = {}
    for node in view.nodes:
        for place, value in places(node):
            if view.tape.values[value].node == LEAF and not node.written:
                if value not in seen:
                    seen[value] = table_wave(view, value)
                table = seen[value]
                if table is not None:
                    yield from _table(view, node, place, table)
        yield from _sliced(view, node)
    yield from added_positions(view)


def _wave(view: View, wave: Wave) -> Iterator[Hypothesis]:
    last = wave.joins[-1]
    site = view.site(last)
    if wave.layout == "several":
        edits = tuple(Edit(node.index, _exchanged) for node in wave.trigonometric)
        text = "sine and cosine exchanged"
        yield Hypothesis(NAME, "order", wave.order, text, site, edits, cost=1.0)
        yield from _turned(view, wave, site)
        return
    swapped = ", ".join(reversed(wave.order.split(", ")))
    other = "half" if wave.layout == "interleaved" else "interleaved"
    words = {"half": "one half each", "interleaved": "in turns"}
    pack = partial(_packed, view, wave)
    yield Hypothesis(NAME, "order", wave.order, swapped, site, pack(wave.layout, True), cost=1.0)
    reference = f"{wave.order} {words[wave.layout]}"
    text = f"{wave.order} {words[other]}"
    yield Hypothesis(NAME, "layout", reference, text, site, pack(other, False), cost=1.0)
    text = f"{swapped} {words[other]}"
    yield Hypothesis(NAME, "layout", reference, text, site, pack(other, True), cost=1.2)
    yield from _turned(view, wave, site)


def _exchanged(operands: Operands) -> Tensor:
    """The sine where the cosine was, and the reverse: a quarter of a turn on or back."""
    angles: Tensor = operands.args[0]
    cos, sin, result = angles.cos(), angles.sin(), operands.default()
    return sin if torch.equal(result, cos) else cos


def _packed(view: View, wave: Wave, layout: str, swap: bool) -> tuple[Edit, ...]:
    if len(wave.joins) == 2:
        return _written(wave, layout, swap)

    def apply(operands: Operands) -> Tensor:
        parts = list(operands.reads[::-1] if swap else operands.reads)
        made = (
            torch.stack(parts, -1).flatten(-2) if layout == "interleaved" else torch.cat(parts, -1)
        )
        return made.reshape(operands.default().shape)

    del view
    return (Edit(wave.joins[0].index, apply, wave.parts),)


def _written(wave: Wave, layout: str, swap: bool) -> tuple[Edit, ...]:
    """Two writes into one tensor: each writes the other function, the last sorts the channels."""
    edits = []
    functions = {"cos": torch.cos, "sin": torch.sin}
    if swap:
        for write, other in zip(wave.joins, wave.trigonometric[::-1], strict=True):
            change: Change = partial(_of_angles, functions[other.name])
            edits.append(changed(write, {("a", 2): change}, (wave.angles,)))
    if layout != wave.layout:
        edits.append(Edit(wave.joins[1].index, partial(_sorted, layout)))
    return tuple(edits)


def _of_angles(function: Turn, operand: Any, operands: Operands) -> Any:
    del operand
    return function(operands.reads[0])


def _sorted(layout: str, operands: Operands) -> Any:
    result = operands.default()
    target: Tensor = operands.args[0]
    if layout == "half":
        made = torch.cat((target[..., 0::2], target[..., 1::2]), -1)
    else:
        half = target.shape[-1] // 2
        made = torch.stack((target[..., :half], target[..., half:]), -1).flatten(-2)
    target.copy_(made)
    return result


def _turned(view: View, wave: Wave, site: Site) -> Iterator[Hypothesis]:
    """The same waves of other angles."""

    def turn(change: Turn) -> tuple[Edit, ...]:
        return tuple(substituted(node, (("a", 0),), change) for node in wave.trigonometric)

    solve = Solve(
        lambda value: turn(lambda a: a * value), 1e-4, 1e4, "log", reference=1.0, guesses=SCALES
    )
    text = "time times {value:.4g}"
    yield Hypothesis(NAME, "time_scale", "time as it is", text, site, solve=solve, cost=1.0)
    ladder = wave.ladder
    if ladder is None:
        return
    yield from _ladder(ladder, site, lambda ratio: turn(lambda a: a * ratio.to(a.dtype)))
    relative = ladder.relative
    step = _step(view.value(wave.angles))
    shift = Solve(
        lambda value: turn(lambda a: a + value * step * relative.to(a.dtype)),
        -MOST_SHIFT,
        MOST_SHIFT,
        "integer",
        reference=0.0,
    )
    text = "position + {value:.0f}"
    yield Hypothesis(NAME, "offset", "position", text, site, solve=shift, cost=0.7)
    edits = turn(lambda a: -a)
    yield Hypothesis(NAME, "order", "sine of the angle", "sine negated", site, edits, cost=1.8)


def _step(angles: Tensor) -> float:
    """By how much the fastest angle grows from one position to the next."""
    if angles.dim() >= 2 and angles.shape[-2] >= 3:
        first = angles.reshape(-1, *angles.shape[-2:])[0, :, 0].double()
        steps = first[1:] - first[:-1]
        if float((steps - steps[0]).abs().max()) <= 1e-4 * float(steps[0].abs()):
            return float(steps[0]) or 1.0
    return 1.0


def _ladder(
    ladder: Ladder, site: Site, edits: Callable[[Tensor], tuple[Edit, ...]]
) -> Iterator[Hypothesis]:
    shift = ladder.shift
    guesses = (*THETAS, ladder.theta**2, math.sqrt(ladder.theta))
    solve = Solve(
        lambda value: edits(ladder.ratio(value, shift)),
        2.0,
        1e8,
        "log",
        reference=ladder.theta,
        guesses=guesses,
    )
    reference = f"period base {ladder.theta:.6g}"
    text = "{value:.6g}"
    yield Hypothesis(NAME, "theta", reference, text, site, solve=solve, cost=1.05)
    words = {0: "exponent k / n", 1: "exponent k / (n - 1)"}
    other = edits(ladder.ratio(ladder.theta, 1 - shift))
    yield Hypothesis(NAME, "shift", words[shift], words[1 - shift], site, other, cost=0.95)


def _table(view: View, node: Node, place: Place, wave: TableWave) -> Iterator[Hypothesis]:
    site = view.site(node)

    def edits(**how: Any) -> tuple[Edit, ...]:
        return (substituted(node, (place,), lambda t: wave.table(**how).to(t.dtype)),)

    swapped = ", ".join(reversed(wave.order.split(", ")))
    other = "half" if wave.layout == "interleaved" else "interleaved"
    words = {"half": "one half each", "interleaved": "in turns"}
    yield Hypothesis(NAME, "order", wave.order, swapped, site, edits(order=swapped))
    reference = f"{wave.order} {words[wave.layout]}"
    text = f"{wave.order} {words[other]}"
    yield Hypothesis(NAME, "layout", reference, text, site, edits(layout=other))
    both = edits(layout=other, order=swapped)
    text = f"{swapped} {words[other]}"
    yield Hypothesis(NAME, "layout", reference, text, site, both, cost=1.2)
    yield from _ladder(wave.ladder, site, lambda ratio: edits(ratio=ratio))
    scale = Solve(lambda value: edits(ratio=value), 1e-4, 1e4, "log", reference=1.0, guesses=SCALES)
    text = "position times {value:.4g}"
    yield Hypothesis(NAME, "time_scale", "position as it is", text, site, solve=scale, cost=1.1)
    shift = Solve(
        lambda value: edits(shift=value), -MOST_SHIFT, MOST_SHIFT, "integer", reference=0.0
    )
    text = "table begins {value:.0f} later"
    yield Hypothesis(NAME, "offset", "table as it is", text, site, solve=shift, cost=0.7)


def _looked_up(view: View, lookup: Lookup) -> Iterator[Hypothesis]:
    site = view.site(lookup.node)
    shift = Solve(
        lambda value: (lookup.with_ids(partial(moved, by=round(value))),),
        -MOST_SHIFT,
        MOST_SHIFT,
        "integer",
        reference=0.0,
    )
    text = "position + {value:.0f}"
    yield Hypothesis(NAME, "offset", "position", text, site, solve=shift, cost=0.6)
    changes: dict[str, Callable[[Tensor, int], Tensor]] = {
        "first position everywhere": lambda ids, _: ids[..., :1].expand_as(ids),
        "counted from 0": lambda ids, _: ids - ids[..., :1],
        "counted backwards": lambda ids, _: ids.flip(-1),
        "position 0 everywhere": lambda ids, _: torch.zeros_like(ids),
    }
    for text, change in changes.items():
        edits = (lookup.with_ids(change),)
        yield Hypothesis(NAME, "offset", "position", text, site, edits, cost=1.5)


def _sliced(view: View, node: Node) -> Iterator[Hypothesis]:
    """Rows of a constant one after another: `table[:, start:stop]`."""
    if node.name != "getitem" or len(node.args) != 2 or not isinstance(node.args[0], Ref):
        return
    table = node.args[0].value
    if view.tape.values[table].node != LEAF or not view.is_float(table):
        return
    index = node.args[1] if isinstance(node.args[1], tuple) else (node.args[1],)
    axis = _moving_axis(index, view.shape(table))
    if axis is None:
        return
    extent = view.shape(table)[axis]

    def make(value: float) -> tuple[Edit, ...]:
        return (substituted(node, (("a", 1),), partial(_moved_slice, axis, extent, round(value))),)

    solve = Solve(make, -MOST_SHIFT, MOST_SHIFT, "integer", reference=0.0)
    text = "position + {value:.0f}"
    yield Hypothesis(NAME, "offset", "position", text, view.site(node), solve=solve, cost=0.6)


def _moving_axis(index: tuple[Any, ...], shape: tuple[int, ...]) -> int | None:
    """The only axis of which a part is taken, if rows of some width lie behind it."""
    if any(not isinstance(one, slice) for one in index) or len(index) > len(shape):
        return None
    parts = [
        axis
        for axis, one in enumerate(index)
        if len(range(*_bounds(one, shape[axis]))) < shape[axis] and one.step in (None, 1)
    ]
    return parts[0] if len(parts) == 1 and parts[0] < len(shape) - 1 else None


def _bounds(one: slice, extent: int) -> tuple[int, int, int]:
    whole = all(end is None or isinstance(end, int) for end in (one.start, one.stop, one.step))
    return one.indices(extent) if whole else (0, extent, 1)


def _moved_slice(axis: int, extent: int, by: int, index: Any) -> Any:
    items = list(index) if isinstance(index, tuple) else [index]
    start, stop, _ = items[axis].indices(extent)
    if start + by < 0 or stop + by > extent:
        raise IndexError("beyond the table")
    items[axis] = slice(start + by, stop + by)
    return tuple(items)
