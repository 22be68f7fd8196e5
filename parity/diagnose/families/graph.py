"""The graph: operations left out, others in their place, operands exchanged or ignored.

What a more telling family proposes as well (an activation or a normalisation left out) costs more
here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch.nn import functional

from parity.diagnose.arguments import (
    Binary,
    as_binary,
    binary_edit,
    operand_edit,
    places_of,
    rerun,
)
from parity.diagnose.hypothesis import Hypothesis, Site, Solve
from parity.diagnose.literals import scales_draw
from parity.diagnose.position_adds import is_bias
from parity.diagnose.program import Program, program_between
from parity.diagnose.view import View
from parity.diagnose.wording import (
    LAYOUT,
    distinct,
    each,
    fixed,
    main_input,
    residual_parts,
    title,
)
from parity.localize.execute import Edit, Operands
from parity.localize.tape import Node, Ref

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
NAME = "graph"

_KINDS: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "add": ("a + b", lambda a, b: a + b),
    "sub": ("a - b", lambda a, b: a - b),
    "mul": ("a * b", lambda a, b: a * b),
    "div": ("a / b", lambda a, b: a / b),
    "pow": ("a ** b", lambda a, b: a**b),
    "matmul": ("a @ b", lambda a, b: a @ b),
    "maximum": ("max(a, b)", torch.maximum),
    "minimum": ("min(a, b)", torch.minimum),
}
_INSTEAD: dict[str, tuple[str, ...]] = {
    "add": ("mul", "sub"), "sub": ("add",), "mul": ("add", "div"), "div": ("mul",),
    "maximum": ("minimum", "add"), "minimum": ("maximum",),
}  # fmt: skip
_EXCHANGED: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "sub": ("b - a", lambda a, b: b - a),
    "div": ("b / a", lambda a, b: b / a),
    "pow": ("b ** a", lambda a, b: b**a),
    "matmul": ("b @ a", lambda a, b: b @ a),
}
_COMPARISONS: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "lt": ("<", torch.lt), "le": ("<=", torch.le), "gt": (">", torch.gt), "ge": (">=", torch.ge),
    "eq": ("==", torch.eq), "ne": ("!=", torch.ne),
}  # fmt: skip
_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "log": torch.log, "log2": torch.log2, "log10": torch.log10, "log1p": torch.log1p,
    "floor": torch.floor, "ceil": torch.ceil, "round": torch.round, "trunc": torch.trunc,
    "exp": torch.exp, "exp2": torch.exp2, "expm1": torch.expm1, "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt, "square": torch.square, "abs": torch.abs, "neg": torch.neg,
    "cos": torch.cos, "sin": torch.sin, "reciprocal": torch.reciprocal,
}  # fmt: skip
_ALIKE = (
    ("log", "log2", "log10", "log1p"), ("floor", "ceil", "round", "trunc"),
    ("exp", "exp2", "expm1"), ("sqrt", "square", "abs", "rsqrt"), ("rsqrt", "reciprocal"),
    ("cos", "sin"), ("abs", "square"),
)  # fmt: skip


_FILLS = frozenset({"zeros_like", "ones_like", "full_like", "empty_like"})
_RECURRENT = frozenset({"lstm", "gru", "lstm_cell", "gru_cell", "rnn_tanh", "rnn_tanh_cell"})


def propose(view: View) -> Iterator[Hypothesis]:
    """Other graphs, one change each."""
    yield from each(view, _of_binary)
    yield from each(view, _omitted)
    yield from each(view, _read_before)
    yield from each(view, _distance)
    yield from each(view, _other_function)
    yield from each(view, _choice)
    yield from each(view, _softmax)
    yield from distinct(_calls_omitted(view))
    yield from _handed_on(view)


def _handed_on(view: View) -> Iterator[Hypothesis]:
    """A factor between a module's result and that of the module around it."""
    if view.nodes or not view.ours.is_floating_point():
        return

    def make(value: float) -> tuple[Edit, ...]:
        return (view.at_the_end(lambda x: x * value),)

    site = Site(view.segment.tap.key.path, "result")
    solve = Solve(make, -16.0, 16.0, reference=1.0, guesses=(0.5, 2.0, -1.0))
    text = "times {value:.4g}"
    yield Hypothesis(NAME, "added", "handed on as it is", text, site, solve=solve, cost=1.5)


def _of_binary(view: View, node: Node) -> Iterator[Hypothesis]:
    binary = as_binary(node)
    if binary is None:
        yield from _comparison(view, node)
        return
    if binary.both is None or residual_parts(view, node) is not None:
        yield from _exchanged(view, binary, 1.8)
        return
    written = _KINDS[binary.kind][0]
    for kind in _INSTEAD.get(binary.kind, ()):
        text, compute = _KINDS[kind]
        yield _says(
            view,
            node,
            "function",
            says=(written, text),
            edits=(binary_edit(binary, compute),),
            cost=1.8,
        )
    yield from _exchanged(view, binary, 1.4)
    yield from _single_operand(view, binary)


def _exchanged(view: View, binary: Binary, cost: float) -> Iterator[Hypothesis]:
    found = _EXCHANGED.get(binary.kind)
    if found is None:
        return
    text, compute = found
    edit = binary_edit(binary, compute)
    yield _says(
        view, binary.node, "order", says=(_KINDS[binary.kind][0], text), edits=(edit,), cost=cost
    )


def _single_operand(view: View, binary: Binary) -> Iterator[Hypothesis]:
    """One operand alone, where it has the shape of the result."""
    node, both = binary.node, binary.both
    if both is None or binary.kind in ("matmul", "pow"):
        return
    result = next(iter((*node.outputs, *node.written)))
    for keep, value in enumerate(both):
        if view.shape(value) != view.shape(result) or not view.is_float(value):
            continue
        family, parameter, what, cost = _left_out(view, binary, both[1 - keep])
        if family == "":
            continue
        edit = binary_edit(binary, partial(_kept, keep))
        text = f"{'ab'[keep]} alone{what}"
        yield Hypothesis(
            family, parameter, _KINDS[binary.kind][0], text, view.site(node), (edit,), cost=cost
        )


def _kept(keep: int, left: Tensor, right: Tensor) -> Tensor:
    return (left, right)[keep].clone()


def _left_out(view: View, binary: Binary, value: int) -> tuple[str, str, str, float]:
    """What it is called when an operand is ignored; an empty family where another has it."""
    stored = view.is_parameter(value)
    if binary.kind == "add" and (stored or fixed(view, value)):
        wide = len(view.shape(value)) > 1 and math.prod(view.shape(value)[:-1]) > 1
        if wide and not is_bias(view, binary.node, value):
            return "positional", "applied", ", no position added", 1.2
        return "weights", "bias", ", no bias added", 1.2 if wide else 1.4
    if binary.kind == "add":
        return "", "", "", 0.0  # `conditioning` says it better
    if binary.kind == "mul" and stored:
        return NAME, "omitted", f", not times `{_last(view.name_of(value))}`", 1.9
    if binary.kind == "mul":
        return NAME, "omitted", ", not gated", 1.3
    return NAME, "omitted", "", 1.6


def _last(name: str) -> str:
    return name.rsplit(".", 1)[-1]


def _comparison(view: View, node: Node) -> Iterator[Hypothesis]:
    found = _COMPARISONS.get(node.name)
    if found is None or len(node.args) != 2 or not node.outputs:
        return
    for name in {
        "lt": ("le", "gt"),
        "le": ("lt", "ge"),
        "gt": ("ge", "lt"),
        "ge": ("gt", "le"),
    }.get(node.name, ()):
        text, compute = _COMPARISONS[name]
        edit = Edit(node.index, partial(_compared, compute))
        yield _says(
            view,
            node,
            "comparison",
            says=(f"a {found[0]} b", f"a {text} b"),
            edits=(edit,),
            cost=1.7,
        )


def _compared(compute: Callable[[Any, Any], Any], operands: Operands) -> Any:
    return compute(*operands.args)


def _omitted(view: View, node: Node) -> Iterator[Hypothesis]:
    """An operation of one tensor that gives one of the same shape."""
    if len(node.outputs) != 1 or node.name in LAYOUT - {"transpose", "permute", "t"}:
        return
    if as_binary(node) is not None:
        return
    result, source = node.outputs[0], main_input(view, node)
    if source is None or view.shape(source) != view.shape(result) or not view.is_float(result):
        return
    edit = Edit(node.index, lambda operands: operands.reads[0].clone(), (source,))
    if node.name in _FILLS:
        yield _filled_otherwise(view, node, source, edit)
        return
    if scales_draw(view, result):
        text = f"{node.name} left out, variance and deviation taken for one another"
        site = view.site(node)
        yield Hypothesis("sampling", "scale", node.name, text, site, (edit,), cost=1.0)
        return
    yield _says(view, node, "omitted", says=(node.name, "left out"), edits=(edit,), cost=1.6)


def _filled_otherwise(view: View, node: Node, source: int, edit: Edit) -> Hypothesis:
    """The tensor itself, where the reference fills another of its shape."""
    state = any(
        reader.name in _RECURRENT and node.outputs[0] in reader.inputs[1:]
        for reader in view.consumers(node.outputs[0])
    )
    family, parameter = ("recurrent", "state") if state else (NAME, "source")
    text = f"{title(view, source)} itself"
    return Hypothesis(family, parameter, node.name, text, view.site(node), (edit,), cost=1.4)


def _read_before(view: View, node: Node) -> Iterator[Hypothesis]:
    """A bounded tensor that several operations read, of which one reads it before that."""
    if node.name not in ("clamp", "clip", "clamp_min", "clamp_max") or len(node.outputs) != 1:
        return
    result, source = node.outputs[0], main_input(view, node)
    readers = view.consumers(result)
    if source is None or len(readers) < 2:
        return
    for reader in readers:
        edit = operand_edit(reader, places_of(reader, result), lambda _, new: new, (source,))
        yield _says(
            view, reader, "order", says=("reads what is clamped", "reads it before it is clamped"),
            edits=(edit,), cost=1.3,
        )  # fmt: skip


def _distance(view: View, node: Node) -> Iterator[Hypothesis]:
    """Another measure of what is near."""
    if node.name != "cdist" or len(node.inputs) < 2:
        return
    site = view.site(node)
    for text, compute, cost in _DISTANCES:
        edit = Edit(node.index, partial(_of_two, compute))
        yield Hypothesis(NAME, "function", "distance", text, site, (edit,), cost=cost)


def _of_two(compute: Callable[[Tensor, Tensor], Tensor], operands: Operands) -> Tensor:
    return compute(operands.args[0], operands.args[1])


_DISTANCES: tuple[tuple[str, Callable[[Tensor, Tensor], Tensor], float], ...] = (
    ("minus the product, no norms", lambda a, b: -(a @ b.mT), 1.2),
    ("minus the cosine", lambda a, b: -(a @ functional.normalize(b, dim=-1).mT), 1.2),
    ("the product", lambda a, b: a @ b.mT, 1.5),
    ("sum of magnitudes", lambda a, b: torch.cdist(a, b, p=1.0), 1.5),
    ("largest magnitude", lambda a, b: torch.cdist(a, b, p=math.inf), 1.7),
)


def _calls_omitted(view: View) -> Iterator[Hypothesis]:
    """A call of several operations left out or made twice."""
    for region in view.modules:
        node = view.tape.nodes[region.node]
        if view.shape(region.source) != view.shape(region.result) or node.written:
            continue
        site = view.site(node, "result")
        edit = Edit(node.index, lambda operands: operands.reads[0].clone(), (region.source,))
        yield Hypothesis(NAME, "omitted", "the call", "left out", site, (edit,), cost=1.5)
        program = program_between(view, region.source, region.result)
        if program is None:
            continue
        twice = Edit(node.index, partial(_again, program), program.reads)
        yield Hypothesis(NAME, "added", "called once", "applied twice", site, (twice,), cost=1.8)


def _again(program: Program, operands: Operands) -> Tensor:
    return program(operands.default(), operands.reads)


def _branch(keep: int, operands: Operands) -> Any:
    return operands.args[keep].clone()


def _other_function(view: View, node: Node) -> Iterator[Hypothesis]:
    if node.name.rstrip("_") not in _FUNCTIONS or not isinstance(node.args[:1][0], Ref):
        return
    own = node.name.rstrip("_")
    names = dict.fromkeys(name for some in _ALIKE if own in some for name in some if name != own)
    for name in names:
        edit = rerun(node, partial(_applied, _FUNCTIONS[name]))
        family, parameter = ("audio", "log") if "log" in own else (NAME, "function")
        site = view.site(node)
        yield Hypothesis(family, parameter, own, name, site, (edit,), cost=1.6)


def _softmax(view: View, node: Node) -> Iterator[Hypothesis]:
    """Probabilities for their logarithms, and the reverse; over another axis."""
    names = ("softmax", "log_softmax")
    if node.name not in names or not node.outputs:
        return
    axis = view.argument(node, 1, "dim", -1)
    rank = len(view.shape(node.outputs[0]))
    if not isinstance(axis, int):
        return
    other = names[1 - names.index(node.name)]
    edit = Edit(node.index, partial(_over_axis, other, axis))
    site = view.site(node)
    yield Hypothesis("activation", "function", node.name, other, site, (edit,), cost=1.3)
    for one in range(rank):
        if one != axis % rank and view.shape(node.outputs[0])[one] > 1:
            edit = Edit(node.index, partial(_over_axis, node.name, one))
            said = (f"{node.name} over axis {axis}", f"over axis {one - rank if axis < 0 else one}")
            yield Hypothesis(NAME, "axis", *said, site, (edit,), cost=1.5)


def _over_axis(name: str, axis: int, operands: Operands) -> Tensor:
    made: Tensor = getattr(torch, name)(operands.args[0], axis)
    return made


def _applied(function: Callable[[Tensor], Tensor], operands: Operands) -> Tensor:
    return function(operands.args[0])


def _choice(view: View, node: Node) -> Iterator[Hypothesis]:
    """`where` with its branches exchanged, or one of them alone."""
    if node.name != "where" or len(node.args) != 3 or not node.outputs:
        return
    swapped = Edit(node.index, lambda o: torch.where(o.args[0], o.args[2], o.args[1]))
    yield _says(
        view,
        node,
        "order",
        says=("a where c, else b", "b where c, else a"),
        edits=(swapped,),
        cost=1.6,
    )
    for keep in (1, 2):
        given = node.args[keep]
        if isinstance(given, Ref) and view.shape(given.value) == view.shape(node.outputs[0]):
            edit = Edit(node.index, partial(_branch, keep))
            text = f"{' ab'[keep]} alone"
            yield _says(
                view, node, "omitted", says=("a where c, else b", text), edits=(edit,), cost=1.5
            )


def _says(
    view: View,
    node: Node,
    parameter: str,
    *,
    says: tuple[str, str],
    edits: tuple[Edit, ...],
    cost: float,
) -> Hypothesis:
    """A change of an operation: what the reference does, what the candidate would do."""
    reference, candidate = says
    return Hypothesis(NAME, parameter, reference, candidate, view.site(node), edits, cost=cost)
