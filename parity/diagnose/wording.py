"""What values of the reference are called, and what surrounds an operation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from weakref import WeakKeyDictionary

from parity.diagnose.arguments import Binary, as_binary
from parity.diagnose.hypothesis import Hypothesis, pattern_of
from parity.diagnose.view import View
from parity.localize.tape import LEAF, Node, Tape, refs_of

__all__ = [
    "LAYOUT",
    "comes_from",
    "consumers_through",
    "descends",
    "distinct",
    "each",
    "fixed",
    "given_values",
    "leads_to",
    "main_input",
    "producer_through",
    "residual_parts",
    "title",
]

# They move numbers or change their type, and compute none.
LAYOUT = frozenset({
    "view", "reshape", "transpose", "permute", "contiguous", "unsqueeze", "squeeze", "expand",
    "expand_as", "flatten", "unflatten", "to", "float", "half", "bfloat16", "type_as", "clone",
    "detach", "movedim", "swapaxes", "t", "view_as", "type", "double", "ravel", "broadcast_to",
    "dropout", "alias", "chunk", "split", "unbind", "getitem", "select", "narrow",
    "repeat_interleave", "repeat", "tile",
})  # fmt: skip


def title(view: View, value: int) -> str:
    """A short name of a value, the same for that value's counterparts in other layers."""
    known = view.tape.values[value]
    if known.name:
        return f"`{pattern_of(known.name).rsplit('.', 1)[-1]}`"
    if known.node == LEAF:
        return "random draw" if value in view.tape.draws else "a constant"
    for tap in view.tape.taps_of.get(value, ()):
        role = "input" if tap.key.role.value.startswith("in") else "result"
        return f"{role} of {_tail(tap.key.path)}"
    node = view.tape.nodes[known.node]
    place = node.outputs.index(value) if len(node.outputs) > 1 else None
    return f"result of {node.name}" + (f" part {place}" if place is not None else "")


def _tail(path: str) -> str:
    parts = pattern_of(path).split(".")
    named = max((at for at, part in enumerate(parts) if part != "*"), default=0)
    return ".".join(parts[named:])


def producer_through(view: View, value: int) -> Node | None:
    """The operation that computed a value, behind all changes of layout; of the whole tape."""
    for _ in range(12):
        index = view.tape.values[value].node
        if index == LEAF:
            return None
        node = view.tape.nodes[index]
        if node.name not in LAYOUT or not node.inputs:
            return node
        value = node.inputs[0]
    return None


def consumers_through(view: View, value: int, *, most: int = 24) -> list[Node]:
    """Operations of the tape that compute with a value, behind all changes of layout."""
    found: list[Node] = []
    queue = [value]
    seen = {value}
    while queue and len(found) < most:
        for index in view.tape.readers.get(queue.pop(), ())[:most]:
            node = view.tape.nodes[index]
            if node.name not in LAYOUT:
                found.append(node)
                continue
            new = [v for v in node.outputs if v not in seen]
            seen.update(new)
            queue += new
    return found


def leads_to(view: View, value: int, names: frozenset[str], *, steps: int) -> bool:
    """Whether one of some operations comes within a few steps after a value."""
    values, seen = [value], {value}
    for _ in range(steps):
        after = [node for one in values for node in consumers_through(view, one)]
        if any(node.name in names for node in after):
            return True
        values = list(dict.fromkeys(v for node in after for v in node.outputs if v not in seen))
        values = values[:8]
        seen.update(values)
    return False


def comes_from(view: View, value: int, names: frozenset[str], *, steps: int) -> bool:
    """Whether one of some operations lies within a few steps before a value."""
    values = [value]
    for _ in range(steps):
        before = [n for one in values if (n := producer_through(view, one)) is not None]
        if any(node.name in names for node in before):
            return True
        values = list(dict.fromkeys(v for node in before for v in node.inputs))[:6]
    return False


def fixed(view: View, value: int, *, most: int = 24) -> bool:
    """Whether a value is made of parameters and constants alone."""
    tape, queue, seen = view.tape, [value], {value}
    given = given_values(view)
    while queue:
        one = queue.pop()
        if one in given or one in tape.draws:
            return False
        index = tape.values[one].node
        for before in tape.nodes[index].inputs if index != LEAF else ():
            if before not in seen:
                seen.add(before)
                queue.append(before)
        if len(seen) > most:
            return False
    return True


def given_values(view: View) -> frozenset[int]:
    """Arguments of the outermost calls: what the run was given."""
    known = _given.get(view.tape)
    if known is None:
        outermost = [span for span in view.tape.spans if span.parent < 0]
        values = {v for span in outermost for v in refs_of((span.args, span.kwargs))}
        known = frozenset(v for v in values if not view.is_parameter(v))
        _given[view.tape] = known
    return known


_given: WeakKeyDictionary[Tape, frozenset[int]] = WeakKeyDictionary()


def main_input(view: View, node: Node) -> int | None:
    """The one tensor that an operation works on: its first, if the others are fixed."""
    floats = [v for v in node.inputs if view.is_float(v)]
    moving = [v for v in floats if not view.is_parameter(v)]
    if not moving or (len(moving) > 1 and not all(fixed(view, v) for v in moving[1:])):
        return None
    return moving[0]


def residual_parts(view: View, node: Node) -> tuple[Binary, int, int] | None:
    """An addition of a tensor to what was computed from it: with the places of both, 0 or 1.

    Returns:
        The operation, which of its operands was passed by, and which was computed.
    """
    binary = as_binary(node)
    if binary is None or binary.kind != "add" or binary.both is None:
        return None
    left, right = binary.both
    if view.shape(left) != view.shape(right) or not view.is_float(left) or left == right:
        return None
    if view.is_parameter(left) or view.is_parameter(right):
        return None
    if descends(view, right, left):
        return binary, 0, 1
    if descends(view, left, right):
        return binary, 1, 0
    return None


def descends(view: View, value: int, ancestor: int, *, most: int = 400) -> bool:
    """Whether a value was computed from another."""
    tape = view.tape
    start = tape.values[ancestor].node
    seen: set[int] = set()
    queue = [value]
    while queue and len(seen) < most:
        index = tape.values[queue.pop()].node
        if index <= start or index in seen:
            continue
        seen.add(index)
        inputs = tape.nodes[index].inputs
        if ancestor in inputs:
            return True
        queue += inputs
    return False


def distinct(hypotheses: Iterable[Hypothesis]) -> Iterator[Hypothesis]:
    """Without those that say of one operation what another said already."""
    seen: set[tuple[str, str, frozenset[int]]] = set()
    for hypothesis in hypotheses:
        solve = hypothesis.solve
        edits = hypothesis.edits or (solve.make(solve.low) if solve is not None else ())
        key = (*hypothesis.kind, frozenset(edit.node for edit in edits))
        if key not in seen:
            seen.add(key)
            yield hypothesis


def each(view: View, propose: Callable[[View, Node], Iterator[Hypothesis]]) -> Iterator[Hypothesis]:
    """What is proposed for each operation; one that is too odd to be looked at is passed over."""
    for node in view.nodes:
        try:
            found = list(propose(view, node))
        except (RuntimeError, IndexError, KeyError, TypeError, ValueError, AttributeError):
            continue  # empty tensors, values that are missing, arguments in unheard-of places
        yield from distinct(found)
