"""State between calls: not carried, cut off elsewhere, kept in half precision, tails not added."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch

from parity.diagnose.arguments import as_binary, operand_edit
from parity.diagnose.carried import Carried, carried_of, sliced, slicer_of
from parity.diagnose.constants import constants_of
from parity.diagnose.hypothesis import Hypothesis
from parity.diagnose.kernels import is_convolution
from parity.diagnose.operands import Change, changed, operand_at
from parity.diagnose.view import View
from parity.diagnose.wording import each, fixed
from parity.localize.execute import Edit, Operands
from parity.localize.tape import Node, Ref, Tape

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
NAME = "streaming"
_JOINS = frozenset({"cat", "concat", "concatenate"})
_SUMS = frozenset({"add", "add_"})


def propose(view: View) -> Iterator[Hypothesis]:
    """What may become of each value that an earlier call left for this one."""
    yield from each(view, _stale)
    carried = carried_of(view.tape)
    constants = constants_of(view)
    for node in view.nodes:
        found = [c for c in carried.get(node.index, ()) if view.is_float(c.value)]
        found = [c for c in found if c.written or not constants.constant(c.value)]
        if not found:
            continue
        yield from _not_carried(view, node, found)
        for one in found:
            yield from _in_half(view, node, one)
            if node.name in _JOINS:
                yield from _history(view, node, one)
            elif node.name in _SUMS:
                yield from _tail(view, node, one)
            yield from _cut_elsewhere(view, node, one)


def _stale(view: View, node: Node) -> Iterator[Hypothesis]:
    """A number of each signal, its loudness say, that is that of the call before."""
    binary = as_binary(node)
    if binary is None or binary.both is None or node.written or len(node.outputs) != 1:
        return
    if binary.kind not in ("mul", "div", "add", "sub"):
        return
    for place, value in zip(binary.places, binary.both, strict=True):
        if not _is_statistic(view, value, node.outputs[0]):
            continue
        before = _in_call_before(view.tape, node, value)
        if before is not None:
            edit = operand_edit(node, (place,), lambda _, new: new, (before,))
            yield Hypothesis(
                NAME, "state", "computed in each call", "that of the call before",
                view.site(node), (edit,), cost=1.3, value=1.0,
            )  # fmt: skip


def _is_statistic(view: View, value: int, result: int) -> bool:
    """Whether a tensor has one number for each row of a result, and was computed."""
    few, many = view.shape(value), view.shape(result)
    if not few or few[-1] != 1 or many[-1] == 1 or view.is_constant(value):
        return False
    return view.is_float(value) and not fixed(view, value)


def _in_call_before(tape: Tape, node: Node, value: int) -> int | None:
    """The counterpart of a value that was made in the same call as it is read, one call before."""
    maker = tape.nodes[tape.values[value].node]
    if node.span < 0 or maker.span != node.span:
        return None
    span = tape.spans[node.span]
    calls = tape.calls_of[span.path]
    place = next(i for i, one in enumerate(calls) if one.index == span.index)
    if not place:
        return None
    before = calls[place - 1]
    for index in range(before.start, before.stop):
        other = tape.nodes[index]
        same = (other.name, other.occurrence) == (maker.name, maker.occurrence)
        if same and other.span == before.index and len(other.outputs) == len(maker.outputs):
            found = other.outputs[maker.outputs.index(value)]
            return found if tape.values[found].shape == tape.values[value].shape else None
    return None


def _zeros(operand: Tensor, _: Operands) -> Tensor:
    return torch.zeros_like(operand)


def _not_carried(view: View, node: Node, found: Sequence[Carried]) -> Iterator[Hypothesis]:
    tail = node.name in _SUMS
    parameter, said = ("overlap", "tail of the call before added") if tail else (
        "state", "carried from the call before",
    )  # fmt: skip
    label = "not added" if tail else "zeros in each call"
    edit = changed(node, {one.place: _zeros for one in found})
    yield Hypothesis(NAME, parameter, said, label, view.site(node), (edit,), cost=0.95)
    if len(found) > 1:
        for i, one in enumerate(found):
            edit = changed(node, {one.place: _zeros})
            yield Hypothesis(
                NAME, "state", "all of the state carried", f"part {i + 1} zeros in each call",
                view.site(node), (edit,), cost=1.2,
            )  # fmt: skip
    for one in found:
        leaf = view.tape.leaves.get(one.value)
        if one.written and leaf is not None and bool(leaf.tensor.any()):
            first = leaf.tensor.clone()
            edit = changed(node, {one.place: _always(first)})
            yield Hypothesis(
                NAME, "state", said, "as it was at first", view.site(node), (edit,), cost=1.1
            )


def _always(tensor: Tensor) -> Change:
    return lambda _, __: tensor


def _in_half(view: View, node: Node, one: Carried) -> Iterator[Hypothesis]:
    for name, dtype in (("float16", torch.float16), ("bfloat16", torch.bfloat16)):
        edit = changed(node, {one.place: _rounded(dtype)})
        yield Hypothesis(
            "dtype", "precision", "state kept in float32", f"in {name}",
            view.site(node), (edit,), cost=1.2,
        )  # fmt: skip


def _rounded(dtype: torch.dtype) -> Change:
    return lambda operand, _: operand.to(dtype).to(operand.dtype)


def _history(view: View, node: Node, one: Carried) -> Iterator[Hypothesis]:
    """What is joined in front of an input."""
    parts = node.args[0] if node.args else node.kwargs.get("tensors")
    axis = view.argument(node, 1, "dim", 0)
    if not isinstance(parts, tuple | list) or len(parts) != 2 or not isinstance(axis, int):
        return
    position = one.place[-1]
    if position not in (0, 1) or not isinstance(position, int):
        return
    other = (*one.place[:-1], 1 - position)

    def from_input(make: Callable[[Tensor, int], Tensor]) -> Change:
        def change(past: Tensor, operands: Operands) -> Tensor:
            x: Tensor = operand_at(operands, other)
            return make(x, past.shape[axis])

        return change

    def first(x: Tensor, n: int) -> Tensor:
        edge = x.narrow(axis, 0, 1)
        return torch.cat([edge] * n, dim=axis)

    options: tuple[tuple[str, Callable[[Tensor, int], Tensor], float], ...] = (
        ("copies of the first sample in each call", first, 1.1),
        ("a mirror image in each call", lambda x, n: x.narrow(axis, 1, n).flip(axis), 1.3),
        ("the end of its own input", lambda x, n: x.narrow(axis, x.shape[axis] - n, n), 1.4),
        ("the start of its own input", lambda x, n: x.narrow(axis, 0, n), 1.5),
    )
    for label, make, cost in options:
        edit = changed(node, {one.place: from_input(make)})
        yield Hypothesis(
            NAME,
            "state",
            "carried from the call before",
            label,
            view.site(node),
            (edit,),
            cost=cost,
        )

    def swapped(operands: Operands) -> Tensor:
        a, b = operand_at(operands, one.place), operand_at(operands, other)
        joined = (b, a) if position == 0 else (a, b)
        return torch.cat(joined, dim=axis)

    yield Hypothesis(
        "conv", "alignment", "history before the input", "behind it",
        view.site(node), (Edit(node.index, swapped),), cost=1.5,
    )  # fmt: skip


def _tail(view: View, node: Node, one: Carried) -> Iterator[Hypothesis]:
    """What is added to the beginning of a result."""

    def alone(operands: Operands) -> Tensor:
        tail: Tensor = operand_at(operands, one.place)
        return tail.expand_as(operands.default()).clone()

    said = "tail of the call before added"
    site = view.site(node)
    if not node.written:
        for other in _alike(view, node):
            yield Hypothesis(
                NAME, "overlap", said, "put in the place of the head",
                view.site(other), (Edit(other.index, alone),), cost=0.95,
            )  # fmt: skip
    for label, change, cost in (
        ("subtracted", torch.neg, 1.6),
        ("half of it added", lambda t: t * 0.5, 1.5),
        ("added twice", lambda t: t * 2, 1.5),
    ):
        edit = changed(node, {one.place: _mapped(change)})
        yield Hypothesis(NAME, "overlap", said, label, site, (edit,), cost=cost)
    yield from _bias_in_tail(view, node, one)


def _alike(view: View, node: Node) -> list[Node]:
    """An operation; and with the first that is carried to, the one of the call before it."""
    carried = carried_of(view.tape)
    found = [
        other
        for other in view.nodes
        if other.index <= node.index
        and (other.name, other.occurrence, other.source)
        == (node.name, node.occurrence, node.source)
        and view.path(other) == view.path(node)
    ]
    first = next(i for i, other in enumerate(found) if other.index in carried)
    return found if found[first] is node else [node]


def _mapped(change: Callable[[Tensor], Tensor]) -> Change:
    return lambda operand, _: change(operand)


def _bias_in_tail(view: View, node: Node, one: Carried) -> Iterator[Hypothesis]:
    """The tail kept with the bias that the reference takes off, or the other way round."""
    tape, constants = view.tape, constants_of(view)
    value = _stored(tape, node, one)
    for _ in range(4):
        maker = _last_maker(tape, value, node.index)
        if maker is None:
            return
        if maker.name in {"sub", "sub_"} and len(maker.inputs) == 2:
            if constants.constant(maker.inputs[1]):
                edit = Edit(maker.index, lambda operands: operands.args[0])
                yield Hypothesis(
                    NAME, "overlap", "bias taken off the tail", "left in, and counted twice",
                    view.site(node), (edit,), cost=1.0,
                )  # fmt: skip
            return
        if maker.name not in {"clone", "getitem", "detach", "contiguous"}:
            break
        value = maker.inputs[0]
    index = tape.values[value].node
    if index < 0 or not is_convolution(tape.nodes[index]):
        return
    bias = view.tensor_argument(tape.nodes[index], 2, "bias")
    if bias is None or not view.is_parameter(bias):
        return
    held = tape.leaves[bias].tensor

    def less(tail: Tensor, _: Operands) -> Tensor:
        return tail - held.view(-1, *[1] * (tail.dim() - 2))

    yield Hypothesis(
        NAME, "overlap", "tail with its bias", "bias taken off the tail",
        view.site(node), (changed(node, {one.place: less}),), cost=1.3,
    )  # fmt: skip


def _stored(tape: Tape, node: Node, one: Carried) -> int:
    """The value that a carried one is, or that was last written into its memory."""
    if not one.written:
        return one.value
    writers = tape.writers[tape.values[one.value].group]
    before = [index for index in writers if index < node.index]
    writer = tape.nodes[before[-1]]
    last = writer.args[-1] if writer.args else None
    return last.value if isinstance(last, Ref) and last.value != one.value else one.value


def _last_maker(tape: Tape, value: int, until: int) -> Node | None:
    """The operation that made a value, or the last that changed it in place under its own name."""
    writers = tape.writers.get(tape.values[value].group, ())
    for index in reversed(writers):
        if index < until and tape.nodes[index].written == (value,):
            return tape.nodes[index]
    made = tape.values[value].node
    return tape.nodes[made] if 0 <= made < until else None


def _cut_elsewhere(view: View, node: Node, one: Carried) -> Iterator[Hypothesis]:
    """State that begins and ends some samples earlier or later."""
    slicer = slicer_of(view.tape, one.value)
    if slicer is None:
        return
    for shift, label, cost in (
        (-1, "one sample earlier", 1.1),
        (1, "one sample later", 1.2),
        (-2, "two samples earlier", 1.4),
    ):
        edit = sliced(view.tape, slicer, shift, shift)
        if edit is not None:
            yield Hypothesis(
                NAME, "state", "cut off where it is", label, view.site(node), (edit,),
                cost=cost, value=float(abs(shift)),
            )  # fmt: skip
