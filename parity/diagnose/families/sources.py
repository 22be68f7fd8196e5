"""Another tensor of equal shape read: the un-normed input, another hidden layer, an earlier call's.

Only operands that have a name are looked at, inputs of a segment and results of calls and sums,
and only tensors with a name stand in for them: what a port can confuse are variables, not terms.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from parity.diagnose.alternatives import alternatives
from parity.diagnose.arguments import as_binary, operand_edit, places_of
from parity.diagnose.hypothesis import Hypothesis
from parity.diagnose.program import ahead_of_time
from parity.diagnose.view import View
from parity.diagnose.wording import LAYOUT, distinct, residual_parts, title
from parity.localize.execute import Edit
from parity.localize.tape import LEAF, Node, refs_of

__all__ = ["NAME", "propose"]

NAME = "graph"
MOST = 160
_BATCHED = 2  # axes
CURVES_OF_ONE = frozenset({
    "silu", "gelu", "relu", "elu", "mish", "tanh", "sigmoid", "leaky_relu", "softplus", "silu_",
    "relu_", "selu", "celu", "hardswish", "softsign",
})  # fmt: skip
NORMS = frozenset({"layer_norm", "group_norm", "rms_norm", "batch_norm", "instance_norm"})
_ELEMENTWISE_LATER = 4


def propose(view: View) -> Iterator[Hypothesis]:
    """Other tensors in the place of operands, for one reader and for all of them."""
    named = _named(view)
    yield from islice(distinct(_all(view, named)), MOST)
    for value, name in named.items():
        yield from _first_for_all(view, value, name)


def _all(view: View, named: dict[int, str]) -> Iterator[Hypothesis]:
    for value, name in named.items():
        readers = [n for n in view.consumers(value) if _is_reader(view, n, value)]
        for node in readers:
            yield from _one(view, node, value, name)
        if len(readers) > 1:
            yield from _every(view, readers, value, name)
        for node in readers:
            yield from _later(view, node, value, name)


def _first_for_all(view: View, value: int, name: str) -> Iterator[Hypothesis]:
    """The first of a batch in the place of each, as a trace of one would have it."""
    shape, readers = view.shape(value), view.consumers(value)
    if len(shape) < _BATCHED or shape[0] < 2 or not readers or any(n.written for n in readers):
        return
    edits = tuple(
        operand_edit(n, places_of(n, value), lambda x: x[:1].expand_as(x)) for n in readers
    )
    text = "reads the first of the batch for all"
    site = view.site(readers[0])
    yield Hypothesis(NAME, "source", f"reads {name}", text, site, edits, cost=1.6)


def _named(view: View) -> dict[int, str]:
    """The operands that a port may take others for."""
    sums = [v for n in view.nodes if residual_parts(view, n) is not None for v in n.outputs]
    found = [cut.value for cut in view.segment.slice.cuts]
    found += [v for span in view.spans for v in refs_of(span.result)] + sums
    return {
        value: title(view, value)
        for value in dict.fromkeys(found)
        if view.is_float(value) and not view.is_parameter(value) and len(view.shape(value))
    }


def _is_reader(view: View, node: Node, value: int) -> bool:
    """Whether another operand may be tried; what a sum passes by is left to `residual`."""
    if node.written and node.written[0] == value:
        return False
    parts = residual_parts(view, node)
    if parts is None:
        return True
    binary, skip, _ = parts
    return binary.both is not None and binary.both[skip] != value


def _one(view: View, node: Node, value: int, name: str) -> Iterator[Hypothesis]:
    places = places_of(node, value)
    own = {v for v in node.inputs if v != value}
    terms = _terms(view, value)
    for other, text in alternatives(view).of(value, node):
        if other in own and as_binary(node) is not None:
            text = f"{text} twice"  # noqa: PLW2901 - the name says more here
        edit = operand_edit(node, places, lambda _, new: new, reads=(other,))
        family, parameter, what = _left_out(view, value, other)
        if family:
            yield Hypothesis(
                family, parameter, f"reads {name}", f"reads {text}: {what}", view.site(node),
                (edit,), cost=1.05,
            )  # fmt: skip
            continue
        cost = 1.1 if other in terms else 1.4
        yield _says(view, node, name, text, (edit,), cost=cost)


def _left_out(view: View, value: int, other: int) -> tuple[str, str, str]:
    """What it is called to read a tensor before an operation, which is left out for this reader.

    An empty family where it is no more than another tensor.
    """
    index = view.tape.values[value].node
    if index == LEAF or view.tape.nodes[index].inputs[:1] != (other,):
        return "", "", ""
    name = view.tape.nodes[index].name
    if name in CURVES_OF_ONE:
        return "activation", "function", "no activation"
    if name in NORMS:
        return "norm", "omitted", "not normalised"
    return "", "", ""


def _terms(view: View, value: int) -> tuple[int, ...]:
    """What a sum with a residual is a sum of, and what an operation works on."""
    index = view.tape.values[value].node
    if index == LEAF:
        return ()
    node = view.tape.nodes[index]
    return node.inputs if residual_parts(view, node) is not None else node.inputs[:1]


def _every(view: View, readers: list[Node], value: int, name: str) -> Iterator[Hypothesis]:
    first, terms = readers[0], _terms(view, value)
    for other, text in alternatives(view).of(value, first):
        edits = tuple(
            operand_edit(node, places_of(node, value), lambda _, new: new, reads=(other,))
            for node in readers
        )
        cost = 1.1 if other in terms else 1.4
        yield _says(view, first, f"{name}, everywhere", f"{text}, everywhere", edits, cost=cost)


def _later(view: View, node: Node, value: int, name: str) -> Iterator[Hypothesis]:
    """A value that the reference makes soon after, from what is there already: two siblings."""
    tape, span = view.tape, view.tape.values[value]
    if node.name in LAYOUT:
        return
    found = 0
    for index in range(node.index + 1, min(node.index + 12, len(tape.nodes))):
        for other in tape.nodes[index].outputs:
            known = tape.values[other]
            if known.shape != span.shape or known.dtype != span.dtype or value == other:
                continue
            program = ahead_of_time(view, other, node, most=_ELEMENTWISE_LATER)
            if program is None or node.index in program.nodes or value in program.reads:
                continue
            edit = operand_edit(
                node,
                places_of(node, value),
                lambda _, *reads, program=program: program(None, reads),
                reads=program.reads,
            )
            yield _says(view, node, name, f"{title(view, other)}, made later", (edit,), cost=1.5)
            found += 1
            if found == 2:
                return


def _says(
    view: View, node: Node, name: str, text: str, edits: tuple[Edit, ...], *, cost: float
) -> Hypothesis:
    site = view.site(node)
    return Hypothesis(NAME, "source", f"reads {name}", f"reads {text}", site, edits, cost=cost)
