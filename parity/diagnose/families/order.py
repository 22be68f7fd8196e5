"""Order of stages: what the reference does after an operation, done before it.

Two stages that follow one another are exchanged as a whole, each however many operations it has.
Where the candidate dumped the first one's result, that is the result of both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import torch

from parity.diagnose.arguments import binary_edit, operand_edit, places_of
from parity.diagnose.hypothesis import Hypothesis, Site
from parity.diagnose.program import Program, program_between
from parity.diagnose.view import View
from parity.diagnose.wording import LAYOUT, distinct, main_input, residual_parts, title
from parity.localize.execute import Edit, Operands
from parity.localize.tape import LEAF, Node, Ref, refs_of

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
NAME = "graph"
MOST_LATER = 30  # operations after a stage in which the next one may end
MOST_STAGES = 2  # following stages that one is exchanged with
_NORMALISES = frozenset({
    "layer_norm", "rms_norm", "group_norm", "batch_norm", "instance_norm", "rsqrt", "std", "var",
    "normalize",
})  # fmt: skip
_CURVES = frozenset({
    "silu", "gelu", "relu", "elu", "mish", "tanh", "sigmoid", "leaky_relu", "softplus", "selu",
    "celu", "hardswish", "softsign", "relu6",
})  # fmt: skip
_FAILURES = (RuntimeError, IndexError, KeyError, TypeError, ValueError, AttributeError)


class Stage(NamedTuple):
    """A stretch with one tensor in and one out: as a function, and what it is called."""

    source: int
    result: int
    program: Program
    path: str
    name: str


def propose(view: View) -> Iterator[Hypothesis]:
    """Neighbouring stages exchanged, and norms moved to the other end of a residual branch."""
    yield from distinct(_guarded(view, _exchanges))
    yield from distinct(_guarded(view, _norm_positions))
    yield from distinct(_guarded(view, _behind))


def _guarded(view: View, find: Callable[[View], Iterator[Hypothesis]]) -> Iterator[Hypothesis]:
    try:
        yield from list(find(view))
    except _FAILURES:
        return


def _exchanges(view: View) -> Iterator[Hypothesis]:
    for first in _stages(view):
        turns, inner = _through_layout(view, first.result)
        for second in _next_stages(view, inner, first):
            yield from _exchange(view, first, second, turns)


def _stages(view: View) -> Iterator[Stage]:
    """Calls, and single operations outside calls of one operation."""
    done: set[int] = set()
    for region in view.modules:
        program = program_between(view, region.source, region.result)
        if program is not None and not view.tape.nodes[region.node].written:
            done.add(region.result)
            name = title(view, region.result)
            yield Stage(region.source, region.result, program, region.path, name)
    for node in view.nodes:
        if node.name in LAYOUT or len(node.outputs) != 1 or node.outputs[0] in done:
            continue
        source = main_input(view, node)
        if source is None or not view.is_float(node.outputs[0]) or node.written:
            continue
        program = program_between(view, source, node.outputs[0])
        if program is not None:
            yield Stage(source, node.outputs[0], program, view.path(node), node.name)


def _through_layout(view: View, value: int) -> tuple[list[tuple[int, int]], int]:
    """Axes that are exchanged right after a value, and the value after that."""
    turns: list[tuple[int, int]] = []
    for _ in range(2):
        readers = view.tape.readers.get(value, ())
        if len(readers) != 1:
            break
        node = view.tape.nodes[readers[0]]
        axes = node.args[1:3]
        if node.name not in ("transpose", "swapaxes") or len(axes) != 2:
            break
        turns.append((int(axes[0]), int(axes[1])))
        value = node.outputs[0]
    return turns, value


def _next_stages(view: View, value: int, first: Stage) -> Iterator[Stage]:
    """Values after one that all of its further use goes through: ends of following stages."""
    tape = view.tape
    if not tape.readers.get(value):
        return
    start = tape.readers[value][0]
    derived, open_until, found = {value}, max(tape.readers[value]), 0
    for index in range(start, min(start + MOST_LATER, len(tape.nodes))):
        node = tape.nodes[index]
        if not derived.intersection(node.inputs):
            continue
        if node.written:
            return
        derived.update(node.outputs)
        if len(node.outputs) == 1 and open_until <= index and node.name not in LAYOUT:
            result = node.outputs[0]
            program = program_between(view, value, result)
            if program is not None and view.is_float(result):
                yield Stage(value, result, program, tape.path(node), title(view, result))
                found += 1
                if found == MOST_STAGES:
                    return
        later = [max(tape.readers[v]) for v in node.outputs if v in tape.readers]
        open_until = max([open_until, *later])
    del first


def _exchange(
    view: View, first: Stage, second: Stage, turns: list[tuple[int, int]]
) -> Iterator[Hypothesis]:
    """`second(first(x))` as `first(second(x))`."""
    shapes = [view.shape(v) for v in (first.source, first.result, second.source, second.result)]
    if shapes[0] != shapes[1] and shapes[2] != shapes[3]:
        return
    at, then = view.tape.values[first.result].node, view.tape.values[second.result].node
    if any(view.tape.values[v].node >= at for v in second.program.reads):
        return
    reads = (first.source, *second.program.reads, *first.program.reads)
    compute = partial(_both, first.program, second.program, tuple(turns))
    known = first.result in view.segment.known
    edits: tuple[Edit, ...]
    if known and second.result in view.segment.known and shapes[1] == shapes[3] and not turns:
        edits = (Edit(at, compute, reads), *_each_at_its_tap(view, first, second))
    elif known or shapes[0] == shapes[1] == shapes[2] == shapes[3]:
        edits = (
            Edit(at, compute, reads),
            Edit(then, lambda operands: operands.reads[0].clone(), (second.source,)),
        )
    else:
        edits = (Edit(then, compute, reads),)
    site = view.site(view.tape.nodes[at], "result")
    normed = _normalises(view, first) or _normalises(view, second)
    family, parameter = ("norm", "position") if normed else (NAME, "order")
    yield Hypothesis(
        family,
        parameter,
        f"{first.name}, then {second.name}",
        f"{second.name} first",
        Site(first.path, site.operation, site.source),
        edits,
        cost=1.4,
    )


def _each_at_its_tap(view: View, first: Stage, second: Stage) -> tuple[Edit, ...]:
    """The second stage on what the first was given; who read its result reads the first one's.

    Each is dumped under its own name, wherever it stands, and the calls around them give out the
    result of both.
    """
    tape = view.tape
    then = tape.values[second.result].node
    reads = (first.source, *second.program.reads)
    edits = [Edit(then, lambda o: second.program(o.reads[0], o.reads[1:]), reads)]
    for index in tape.readers.get(second.result, ()):
        node = tape.nodes[index]
        if not node.written:
            places = places_of(node, second.result)
            edits.append(operand_edit(node, places, _other, reads=(first.result,)))
    for tap in tape.taps_of.get(second.result, ()):
        if tap.key.path != second.path:
            number = tape.number_of[tap.key]
            edits.append(Edit(~number, lambda o: o.reads[0].clone(), (first.result,)))
    return tuple(edits)


def _other(_: Tensor, instead: Tensor) -> Tensor:
    return instead


def _both(
    first: Program, second: Program, turns: tuple[tuple[int, int], ...], operands: Operands
) -> Tensor:
    x, *others = operands.reads
    count = len(second.reads)
    for axes in turns:
        x = x.transpose(*axes)
    x = second(x, tuple(others[:count]))
    for axes in turns[::-1]:
        x = x.transpose(*axes)
    return first(x, tuple(others[count:]))


def _normalises(view: View, stage: Stage) -> bool:
    return any(view.tape.nodes[index].name in _NORMALISES for index in stage.program.nodes)


def _behind(view: View) -> Iterator[Hypothesis]:
    """A function before a call whose result is known, done behind it: all who read it see it.

    Where the candidate shows what the function gives, of the same shape, it is no such case.
    """
    tape = view.tape
    for cut in view.segment.slice.cuts:
        found = _function_before(view, cut.value)
        if found is None:
            continue
        call, function = found
        compute = partial(_once_more, function)
        readers = [tape.nodes[i] for i in tape.readers.get(cut.value, ())]
        if any(node.written for node in readers):
            continue
        edits = [operand_edit(n, places_of(n, cut.value), compute) for n in readers]
        edits.append(Edit(function.index, lambda o: o.reads[0].clone(), function.inputs[:1]))
        names = (function.name, title(view, cut.value))
        yield Hypothesis(
            NAME, "order", f"{names[0]}, then {names[1]}", f"{names[1]} first",
            Site(tape.path(function) or call, "result", function.source), tuple(edits), cost=1.35,
        )  # fmt: skip


def _function_before(view: View, value: int) -> tuple[str, Node] | None:
    """The call that gives a value, and the function whose result it alone is given."""
    tape = view.tape
    span = next((s for s in tape.spans if Ref(value) == s.result), None)
    if span is None or span.module is None:
        return None
    given = [v for v in dict.fromkeys(refs_of((span.args, span.kwargs))) if view.is_float(v)]
    if len(given) != 1 or tape.values[given[0]].node == LEAF or given[0] in view.segment.known:
        return None
    node = tape.nodes[tape.values[given[0]].node]
    inside = all(span.start <= i < span.stop for i in tape.readers.get(given[0], ()))
    alone = node.name in _CURVES and len(node.inputs) == 1 and not node.written
    return (
        (span.path, node) if inside and alone and node.args[:1] == (Ref(node.inputs[0]),) else None
    )


def _once_more(function: Node, x: Tensor) -> Tensor:
    made: Tensor = function.function(x, *function.args[1:], **function.kwargs)
    return made


def _norm_positions(view: View) -> Iterator[Hypothesis]:
    """`x + f(norm(x))` as `norm(x + f(x))`."""
    for stage in _stages(view):
        if not _normalises(view, stage) or view.shape(stage.source) != view.shape(stage.result):
            continue
        total = _sum_around(view, stage)
        if total is None:
            continue
        node, branch = total
        readers = [view.tape.nodes[i] for i in view.tape.readers.get(stage.result, ())]
        edits = [
            operand_edit(n, places_of(n, stage.result), lambda _, x: x, reads=(stage.source,))
            for n in readers
        ]
        parts = residual_parts(view, node)
        if parts is None:
            continue
        norm = stage.program
        edits.append(
            binary_edit(parts[0], lambda a, b, *r, norm=norm: norm(a + b, r), reads=norm.reads)
        )
        if stage.result in view.segment.known:
            ahead = _ahead(view, stage, branch)
            if ahead is None:
                continue
            edits.append(ahead)
        site = Site(stage.path, "result", view.tape.nodes[norm.nodes[-1]].source)
        yield Hypothesis(
            "norm", "position", "x + f(norm(x))", "norm(x + f(x))", site, tuple(edits), cost=1.2
        )


def _sum_around(view: View, stage: Stage) -> tuple[Node, int] | None:
    """The sum that adds a branch to what the norm before the branch read, and the branch."""
    for index in view.tape.readers.get(stage.source, ()):
        node = view.tape.nodes[index]
        parts = residual_parts(view, node)
        if parts is None or parts[0].both is None:
            continue
        _, skip, branch = parts
        if parts[0].both[skip] == stage.source and node.index > view.tape.values[stage.result].node:
            return node, parts[0].both[branch]
    return None


def _ahead(view: View, stage: Stage, branch: int) -> Edit | None:
    """The norm of the sum, in the place of the norm that the reference has earlier."""
    at = view.tape.values[stage.result].node
    inner = program_between(view, stage.result, branch, most=60)
    if at == LEAF or inner is None:
        return None
    norm = stage.program
    if any(view.tape.values[v].node >= at for v in inner.reads):
        return None

    def apply(operands: Operands) -> Tensor:
        x, *others = operands.reads
        count = len(inner.reads)
        return norm(x + inner(x, tuple(others[:count])), tuple(others[count:]))

    return Edit(at, apply, (stage.source, *inner.reads, *norm.reads))
