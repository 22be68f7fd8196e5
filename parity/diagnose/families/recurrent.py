"""Recurrent layers: order of gates, biases, states, directions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import permutations
from typing import Any

import torch

from parity.diagnose.arguments import operand_edit, places_of
from parity.diagnose.chained import Chained
from parity.diagnose.hypothesis import Hypothesis, Site, Solve
from parity.diagnose.recurrence import (
    Recurrence,
    Weights,
    cell_of,
    gates_permuted,
    one_gate,
    squares,
)
from parity.diagnose.view import View
from parity.localize.execute import Edit, Operands
from parity.localize.tape import LEAF, Node, resolve

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
NAME = "recurrent"
Change = Callable[[Recurrence], Recurrence]
_NAMES = {"lstm": ("input", "forget", "new", "output"), "gru": ("reset", "update", "new")}
# Orders in which other frameworks have the gates: ONNX, Keras, TensorFlow, cuDNN's kin.
_SEEN = {(0, 3, 1, 2), (0, 1, 3, 2), (0, 2, 1, 3), (1, 0, 2), (0, 2, 3, 1), (1, 0, 2, 3)}
_CUTS = frozenset({"chunk", "split", "unbind", "tensor_split", "split_with_sizes"})


def propose(view: View) -> Iterator[Hypothesis]:
    """Other conventions of each recurrent call, and of gates that are cut by hand."""
    for node in view.nodes:
        if node.name in ("lstm", "gru", "lstm_cell", "gru_cell"):
            call = _call(view, node)
            if call is not None:
                yield from _Site(view, node, call).all()
        elif node.name in _CUTS:
            yield from _by_hand(view, node)
    yield from _last_states(view)


def _last_states(view: View) -> Iterator[Hypothesis]:
    """Where a layer ended, as it is read: of another layer, or taken from the last results."""
    for value in dict.fromkeys(v for node in view.nodes for v in node.inputs):
        made_by = view.tape.values[value].node
        if made_by == LEAF or view.inside(made_by):
            continue
        layer = view.tape.nodes[made_by]
        if layer.name not in ("lstm", "gru") or layer.outputs[1:2] != (value,):
            continue
        results, shape = layer.outputs[0], view.shape(value)
        both = view.shape(results)[-1] == 2 * shape[-1]
        axis = 1 if layer.args[-1] is True else 0
        forms: list[tuple[str, Callable[[Tensor, Tensor], Tensor], float]] = []
        step = 2 if both else 1
        if shape[0] > step:
            forms.append(("of the layer before", partial(_rolled, step), 1.1))
        if both:
            forms.append(("of both directions at the last step", partial(_last, axis), 1.0))
            forms.append(("of the directions exchanged", _exchanged_directions, 1.2))
        readers = [node for node in view.consumers(value) if not node.written]
        for text, compute, cost in forms:
            edits = tuple(
                operand_edit(node, places_of(node, value), compute, (results,)) for node in readers
            )
            site = view.site(readers[0])
            yield Hypothesis(NAME, "state", "where the layers ended", text, site, edits, cost=cost)


def _rolled(step: int, state: Tensor, _: Tensor) -> Tensor:
    return torch.cat([state[-step:], state[:-step]])


def _last(axis: int, state: Tensor, results: Tensor) -> Tensor:
    ahead, back = results.select(axis, -1).chunk(2, -1)
    return torch.cat([state[:-2], ahead[None], back[None]])


def _exchanged_directions(state: Tensor, _: Tensor) -> Tensor:
    pairs = state.reshape(-1, 2, *state.shape[1:])
    return pairs.flip(1).reshape(state.shape)


def _call(view: View, node: Node) -> Recurrence | None:
    try:
        return cell_of(node.name, resolve(node.args, view.value), resolve(node.kwargs, view.value))
    except (KeyError, ValueError, IndexError, TypeError):
        return None


class _Runner:
    """Runs a recurrent call under changes."""

    def __init__(self, node: Node) -> None:
        self.name = node.name

    def __call__(self, operands: Operands, changes: Sequence[Change]) -> Any:
        call = cell_of(self.name, operands.args, operands.kwargs)
        if call is None:
            return operands.default()
        for change in changes:
            call = change(call)
        return call.run()


class _Site:
    """What may be otherwise in one recurrent call."""

    def __init__(self, view: View, node: Node, call: Recurrence) -> None:
        self.view = view
        self.node = node
        self.call = call
        self.kind = call.cell.kind
        self.runner = _Runner(node)

    def edit(self, change: Change) -> Edit:
        """The change of the call."""
        return Edit(self.node.index, Chained(change, self.runner))

    def say(  # noqa: PLR0917
        self,
        parameter: str,
        reference: str,
        candidate: str,
        change: Change,
        cost: float,
        family: str = NAME,
    ) -> Hypothesis:
        """A hypothesis about the call."""
        site = self.view.site(self.node)
        edits = (self.edit(change),)
        return Hypothesis(family, parameter, reference, candidate, site, edits, cost=cost)

    def weights(  # noqa: PLR0917
        self, parameter: str, reference: str, candidate: str,
        change: Callable[[Weights], Weights], cost: float, family: str = NAME,
    ) -> Hypothesis:  # fmt: skip
        """A hypothesis about the weights of all layers."""
        return self.say(
            parameter, reference, candidate, lambda c: c.with_weights(change), cost, family
        )

    def solve(  # noqa: PLR0917
        self, family: str, parameter: str, texts: tuple[str, str],
        change: Callable[[Recurrence, float], Recurrence], solve: tuple[float, float],
        guesses: tuple[float, ...], cost: float,
    ) -> Hypothesis:  # fmt: skip
        """A hypothesis with a number."""

        def make(value: float) -> tuple[Edit, ...]:
            return (self.edit(lambda c: change(c, value)),)

        return Hypothesis(
            family, parameter, *texts, self.view.site(self.node),
            solve=Solve(make, *solve, guesses=guesses), cost=cost,
        )  # fmt: skip

    def all(self) -> Iterator[Hypothesis]:
        """All of them."""
        yield from self._gates()
        yield from self._biases()
        yield from self._states()
        yield from self._cells()
        if not self.call.single:
            yield from self._directions()
        yield from self._exchanged()

    def _gates(self) -> Iterator[Hypothesis]:
        names = _NAMES[self.kind]
        reference = "gates " + ", ".join(names)
        for order in permutations(range(len(names))):
            if order == tuple(range(len(names))):
                continue
            # The port reads part k as gate order[k].
            parts = [order.index(i) for i in range(len(names))]
            text = ", ".join(names[i] for i in order)
            cost = 1.0 if order in _SEEN else 1.2
            yield self.weights("gates", reference, text, gates_permuted(parts), cost)
        if self.kind == "gru":
            inverted = one_gate(3, 1, torch.neg)
            yield self.weights("gates", "update keeps the state", "replaces it", inverted, 1.1)
            yield self.say(
                "gates", "state reset behind its matrix", "before it",
                lambda c: replace(c, cell=replace(c.cell, reset_first=True)), 1.0,
            )  # fmt: skip

    def _biases(self) -> Iterator[Hypothesis]:
        if len(self.call.weights[0]) < 4:
            return
        texts = "both biases are added"
        yield self.weights("bias", texts, "not the hidden one", _without(3), 1.0)
        yield self.weights("bias", texts, "not the input's", _without(2), 1.1)
        yield self.weights("bias", texts, "none", lambda w: w[:2], 1.2)
        if self.kind == "lstm":
            yield self.solve(
                NAME, "bias", ("forget gate as it is", "forget gate plus {value:.4g}"),
                lambda c, v: c.with_weights(one_gate(4, 1, lambda b: b + v, only=frozenset({2}))),
                (-3.0, 3.0), (1.0, -1.0), 1.1,
            )  # fmt: skip

    def _states(self) -> Iterator[Hypothesis]:
        state = self.call.state
        if not any(bool(s.any()) for s in state):
            return
        names = ("hidden state", "cell")
        whole = "begins with the state it is given"
        for text, places in (
            ("with zeros in each call", range(len(state))),
            *(((f"with a {names[i]} of zeros"), (i,)) for i in range(len(state)) if len(state) > 1),
        ):
            chosen = frozenset(places)
            yield self.say("state", whole, text, _zeroed(chosen), 1.05)
        # A first call is told from the others, where its state is carried, by that state.
        size = float(state[0].detach().double().norm())

        def first(call: Recurrence) -> Recurrence:
            own = float(call.state[0].detach().double().norm())
            same = abs(own - size) <= 1e-6 * size
            return _zeroed(frozenset({0, 1}))(call) if same else call

        yield self.say("state", whole, "with zeros in this call", first, 1.0)
        for dtype, name in ((torch.float16, "float16"), (torch.bfloat16, "bfloat16")):

            def rounded(x: Tensor, dtype: torch.dtype = dtype) -> Tensor:
                return x.to(dtype).to(x.dtype)

            def kept(call: Recurrence, change: Any = rounded) -> Recurrence:
                return replace(call, cell=replace(call.cell, kept=change))

            def given(call: Recurrence, change: Any = rounded) -> Recurrence:
                return replace(call, state=tuple(change(s) for s in call.state))

            yield self.say("precision", "state in float32", f"given in {name}", given, 1.2, "dtype")
            yield self.say("precision", "state in float32", f"kept in {name}", kept, 1.2, "dtype")

    def _cells(self) -> Iterator[Hypothesis]:
        def hard(x: Tensor) -> Tensor:
            return torch.clamp(0.2 * x + 0.5, 0.0, 1.0)

        def with_cell(**changes: Any) -> Change:
            return lambda c: replace(c, cell=replace(c.cell, **changes))

        texts = "gates by sigmoid"
        for text, gate in (
            ("by 0.2 x + 0.5", hard),
            ("by hard sigmoid", torch.nn.functional.hardsigmoid),
        ):
            said = self.say("function", texts, text, with_cell(gate=gate), 1.1, "activation")
            yield replace(said, value=0.2 if "0.2" in text else 1 / 6)
        for text, new in (
            ("by sigmoid", torch.sigmoid),
            ("by ReLU", torch.relu),
            ("as it is", lambda x: x),
        ):
            own = "what is new by tanh"
            yield self.say("function", own, text, with_cell(new=new), 1.2, "activation")
        if self.kind == "lstm":
            yield self.say(
                "function", "tanh of the cell goes out", "the cell itself",
                with_cell(out=lambda x: x), 1.1, "activation",
            )  # fmt: skip
        yield self.solve(
            "activation", "clamp", ("what is kept has no bound", "kept within {value:.4g}"),
            lambda c, v: replace(c, cell=replace(c.cell, kept=lambda x: x.clamp(-v, v))),
            (0.02, 20.0), (0.5, 1.0, 3.0), 1.4,
        )  # fmt: skip
        for dtype, name in ((torch.float16, "float16"), (torch.bfloat16, "bfloat16")):
            if any(bool(s.any()) for s in self.call.state):
                break

            def rounded(x: Tensor, dtype: torch.dtype = dtype) -> Tensor:
                return x.to(dtype).to(x.dtype)

            yield self.say(
                "precision", "state in float32", f"kept in {name}", with_cell(kept=rounded), 1.2,
                "dtype",
            )  # fmt: skip

    def _directions(self) -> Iterator[Hypothesis]:
        call = self.call
        if not call.both:
            yield self.say(
                "direction", "from the first step on", "from the last step back",
                lambda c: replace(c, backwards=True), 1.3,
            )  # fmt: skip
        else:
            yield from self._both_directions()
        if call.x.dim() == 3:
            yield self.say(
                "transposed", "runs along the steps", "runs along the batch", _along_batch, 1.3,
                "layout",
            )  # fmt: skip

    def _both_directions(self) -> Iterator[Hypothesis]:
        layers = range(self.call.layers)
        sets = [("", frozenset(layers))]
        if self.call.layers > 1:
            sets += [(f" in layer {i}", frozenset({i})) for i in layers]
        for where, some in sets:
            yield self.say(
                "direction", "backward results in the order of time", f"as computed{where}",
                _unflipped(some), 1.0,
            )  # fmt: skip
            yield self.say(
                "direction", "forward results first", f"backward results first{where}",
                _backward_first(some), 1.0,
            )  # fmt: skip
            yield self.say(
                "source", "backward weights of their own", f"the forward ones{where}",
                _shared(some, exchange=False), 1.1, "weights",
            )  # fmt: skip
            yield self.say(
                "source", "directions with their weights", f"exchanged{where}",
                _shared(some, exchange=True), 1.2, "weights",
            )  # fmt: skip

    def _exchanged(self) -> Iterator[Hypothesis]:
        square = list(squares(self.call.weights))
        for chosen in [frozenset({i}) for i in square] + ([frozenset(square)] if square else []):
            where = "all layers" if len(chosen) > 1 else f"layer {next(iter(chosen))}"
            yield self.say(
                "source", "matrices of input and state", f"exchanged in {where}",
                _swapped_matrices(chosen), 1.3, "weights",
            )  # fmt: skip


def _without(place: int) -> Callable[[Weights], Weights]:
    return lambda w: tuple(torch.zeros_like(t) if i == place else t for i, t in enumerate(w))


def _zeroed(places: frozenset[int]) -> Change:
    def change(call: Recurrence) -> Recurrence:
        state = tuple(torch.zeros_like(s) if i in places else s for i, s in enumerate(call.state))
        return replace(call, state=state)

    return change


def _along_batch(call: Recurrence) -> Recurrence:
    """Batch and time taken for each other; the state has another shape then, and begins anew."""
    batch = call.x.shape[1 if call.batch_first else 0]
    state = tuple(s.new_zeros(s.shape[0], batch, s.shape[-1]) for s in call.state)
    if call.state[0].shape[1] == batch:
        state = call.state
    return replace(call, batch_first=not call.batch_first, state=state)


def _unflipped(layers: frozenset[int]) -> Change:
    return lambda call: replace(call, flipped_back=call.flipped_back - layers)


def _backward_first(layers: frozenset[int]) -> Change:
    return lambda call: replace(call, swapped=layers)


def _shared(layers: frozenset[int], *, exchange: bool) -> Change:
    def change(call: Recurrence) -> Recurrence:
        weights = list(call.weights)
        for layer in layers:
            ahead, back = weights[2 * layer : 2 * layer + 2]
            weights[2 * layer : 2 * layer + 2] = [back, ahead] if exchange else [ahead, ahead]
        return replace(call, weights=tuple(weights))

    return change


def _swapped_matrices(layers: frozenset[int]) -> Change:
    def change(call: Recurrence) -> Recurrence:
        weights = [(w[1], w[0], *w[2:]) if i in layers else w for i, w in enumerate(call.weights)]
        return replace(call, weights=tuple(weights))

    return change


def _by_hand(view: View, node: Node) -> Iterator[Hypothesis]:
    """Gates that are cut from one tensor and squashed."""
    count = len(node.outputs)
    if count not in (3, 4):
        return
    squashed = [
        {r.name for r in view.consumers(value)} & {"sigmoid", "tanh", "sigmoid_", "tanh_"}
        for value in node.outputs
    ]
    gates = sum(bool(names & {"sigmoid", "sigmoid_"}) for names in squashed)
    # All steps of a loop are one place.
    site = Site(view.path(node), "gates", node.source)
    if gates < count - 1 or (count == 4 and not any("tanh" in n for n in squashed)):
        return
    for order in permutations(range(count)):
        if order == tuple(range(count)):
            continue

        def permuted(result: Any, order: tuple[int, ...] = order) -> Any:
            return tuple(result[i] for i in order)

        text = "parts " + ", ".join(str(i) for i in order)
        yield Hypothesis(
            NAME, "gates", "gates in the order of the parts", text, site,
            (view.after(node, permuted),), cost=1.1,
        )  # fmt: skip
