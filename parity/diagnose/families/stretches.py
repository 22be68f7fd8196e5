"""Several operations in a row left out, which one by one would change the shape or mean nothing.

A shift by padding and reshaping, lengths that are halved twice, a scale and an offset: what comes
out has the shape of what went in, and a port hands it on as it was.
"""

from __future__ import annotations

from collections.abc import Iterator

from parity.diagnose.arguments import as_binary
from parity.diagnose.hypothesis import Hypothesis
from parity.diagnose.view import View
from parity.diagnose.wording import LAYOUT, distinct, fixed
from parity.localize.execute import Edit
from parity.localize.tape import LEAF, Node

__all__ = ["NAME", "propose"]

NAME = "graph"
_LONGEST = 8  # operations
_MOVES = LAYOUT | {"pad", "cat", "roll", "flip"}


def propose(view: View) -> Iterator[Hypothesis]:
    """The start of a stretch in the place of its end."""
    yield from distinct(_stretches(view))


def _stretches(view: View) -> Iterator[Hypothesis]:
    for node in view.nodes:
        if len(node.outputs) != 1 or node.written:
            continue
        start, names = _start(view, node)
        if start is None:
            continue
        edit = Edit(node.index, lambda operands: operands.reads[0].clone(), (start,))
        text = f"{', '.join(reversed(names))}"
        yield Hypothesis(NAME, "omitted", text, "left out", view.site(node), (edit,), cost=1.7)


def _start(view: View, node: Node) -> tuple[int | None, list[str]]:
    """The furthest tensor back that has the shape and type of a result, and what lies between."""
    result, names = node.outputs[0], [node.name]
    found: tuple[int | None, list[str]] = (None, names)
    value = _moving(view, node)
    for _ in range(_LONGEST):
        if value is None:
            break
        same = view.shape(value) == view.shape(result)
        same = same and view.tape.values[value].dtype == view.tape.values[result].dtype
        if same and len(names) > 1:
            found = (value, list(names))
        before = view.tape.values[value].node
        inside = before != LEAF and view.inside(before)
        if not inside or not _simple(view, view.tape.nodes[before]):
            break
        names.append(view.tape.nodes[before].name)
        value = _moving(view, view.tape.nodes[before])
    return found if _simple(view, node) else (None, names)


def _simple(view: View, node: Node) -> bool:
    """Whether an operation only moves numbers, or computes with fixed ones or whole ones."""
    if len(node.outputs) != 1 or node.written:
        return False
    whole = not view.is_float(node.outputs[0])
    return node.name in _MOVES or as_binary(node) is not None or whole


def _moving(view: View, node: Node) -> int | None:
    """The one input of an operation that is not fixed."""
    moving = [value for value in dict.fromkeys(node.inputs) if not fixed(view, value)]
    return moving[0] if len(moving) == 1 else None
