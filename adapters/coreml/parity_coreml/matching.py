"""Which value of a program is which operation of torch, by what both compute."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from parity_coreml.exported import Exported, Node
from parity_coreml.graphs import Match, ProgramGraph, Same, TorchGraph, norm_of, says_nothing
from parity_coreml.mil import Evaluator, Everywhere
from parity_coreml.placing import CLOSE, laid_out, layout_of

__all__ = ["Progress", "match"]

# On torch's own inputs and in float32 an operation is this near, even with parameters in float16.
NEAR = 2e-3
# Of two operations that could be meant one has to be this many times nearer.
CLEAR = 4
# As near as this is a copy.
EQUAL = 1e-6
# To see past what differs, an operation is tried at so many values.
_VALUES = 12
_PROMISING = 4  # and so many of them followed to the end

Inputs = Mapping[str, torch.Tensor]
Progress = Callable[[int], None]


def match(
    exported: Exported,
    ours: Mapping[str, Any],
    evaluator: Evaluator,
    inputs: Inputs,
    state: Mapping[str, torch.Tensor],
    *,
    progress: Progress | None = None,
) -> dict[str, Match]:
    """Match values of a program with operations of torch.

    What holds the same numbers is the same. From there torch's go on in the program, so that
    nothing upstream spoils what follows. Where that ends, at something that computes other
    numbers, torch's are tried in the place of each value that could be it: it is the one after
    which more of the program agrees.

    Args:
        exported: the module.
        ours: the value of each of its operations.
        evaluator: of the program.
        inputs: of the program, the same, in the order of the module's.
        state: of the program, the same.
        progress: called with how often the program has been evaluated.

    Returns:
        By name of the value, in the program's order.
    """
    program = ProgramGraph(evaluator, exported, inputs)
    search = _Search(TorchGraph(exported, ours), program, inputs, state, progress)
    found = search.agreed({})
    while more := search.past_what_differs(found):
        found = more
    return {name: found[name] for name in search.program.order if name in found}


@dataclass(frozen=True, slots=True)
class _Around:
    """What lies beside a value of the program, as handles of torch's operations.

    Attributes:
        taken: what it is made of.
        wanted: what those take that are made of it.
    """

    taken: frozenset[int]
    wanted: frozenset[int]


_Near = tuple[float, Same, tuple[int, ...]]


class _Made:
    """What a run of the program made, and what of torch's each of its values is near."""

    def __init__(
        self, values: Mapping[str, torch.Tensor], near: Callable[[torch.Tensor], Iterator[_Near]]
    ) -> None:
        self.values = values
        self._near, self._known = near, dict[str, list[_Near]]()

    def near(self, name: str) -> list[_Near]:
        if name not in self._known:
            self._known[name] = list(self._near(self.values[name]))
        return self._known[name]


class _Search:
    """Runs the program again and again, with more of torch's values in it."""

    def __init__(
        self,
        torchs: TorchGraph,
        program: ProgramGraph,
        inputs: Inputs,
        state: Mapping[str, torch.Tensor],
        progress: Progress | None,
    ) -> None:
        self.torch, self.program = torchs, program
        self._evaluations, self._progress = 0, progress
        self._inputs, self._state = inputs, state
        self._shapes = {name: each.shape for name, each in self._run({}).items()}

    def agreed(self, found: Mapping[str, Match], within: float = CLOSE) -> dict[str, Match]:
        """What agrees besides, once torch's values go on in the place of what was found."""
        found = dict(found)
        while more := self._next(found, within):
            found |= more
        return found

    def past_what_differs(self, found: Mapping[str, Match]) -> dict[str, Match] | None:
        """What agrees besides, with torch's value in the place of one that differs."""
        reached = self.torch.reached(found)
        tried = [
            {**found, name: Match(node)}
            for node in self.torch.open_ends(reached)
            for name in self._could_be(node, found)
        ]
        # A residual stream is close to itself one layer on: what agrees in full goes first, unless
        # the weights were compressed.
        for within in (CLOSE,) if self.program.compressed else (NEAR, CLOSE):
            best = self._best(tried, within)
            # The pair itself proves nothing.
            if len(self.torch.reached(best)) > len(reached) + 1:
                return self.agreed(best)
        return None

    def _best(self, tried: Sequence[dict[str, Match]], within: float) -> dict[str, Match]:
        """Of these the one after which most agrees, with all that does."""
        # After the right one most agrees at once.
        seen = sorted(({**each, **self._next(each, within)} for each in tried), key=self._evidence)
        promising = (self.agreed(each, within) for each in seen[-_PROMISING:])
        return max(promising, key=self._evidence, default={})

    def _next(self, found: Mapping[str, Match], within: float) -> dict[str, Match]:
        made = _Made(self._run(found), self._near)
        return (
            self._matches(made, found, NEAR, certain=True)
            or self._matches(made, found, NEAR)
            or (self._matches(made, found, CLOSE) if within > NEAR else {})
        )

    def _evidence(self, found: Mapping[str, Match]) -> float:
        """That these are right: what is only close counts less, for it may be so by chance."""
        shown: dict[int, float] = {}
        for each in found.values():
            handle = self.torch.alike(each.node.handle)
            shown[handle] = max(shown.get(handle, 0), -math.log(max(each.distance, NEAR)))
        return sum(shown.values())

    def _run(self, found: Mapping[str, Match]) -> Mapping[str, torch.Tensor]:
        self._evaluations += 1
        if self._progress is not None:
            self._progress(self._evaluations)
        values = self.torch.by_name
        put = {
            name: laid_out(values[each.node.name].value, each.order) for name, each in found.items()
        }
        precision = Everywhere("float32")
        made = self.program.evaluator.run(
            self._inputs, dict(self._state), put=put, precision=precision
        )
        return {name: each for name, each in made.values.items() if name in self.program.order}

    def _matches(
        self,
        made: _Made,
        found: Mapping[str, Match],
        within: float,
        *,
        certain: bool = False,
    ) -> dict[str, Match]:
        """Values that clearly are an operation's; beyond `NEAR` only on torch's own inputs.

        If certain, what a value is made of does not decide between two operations: the one that it
        is not may be folded into the other.
        """
        reached = self.torch.reached(found)
        best: dict[int, tuple[float, str, Match]] = {}
        copies = {}
        for name in made.values:
            known = all(
                each in found or each in self.program.inputs for each in self.program.taken[name]
            )
            if name in found or (within > NEAR and not known):
                continue
            after = [
                made.near(each)
                for each in self.program.takers.get(name, ())
                if each in made.values and each not in found
            ]
            folded = None if certain else after
            distance, meant = self._meant(made.near(name), self._around(name, found), folded)
            if meant is None or distance >= within:
                continue
            group = self.torch.alike(meant.node.handle)
            if group in reached:
                copies.update({name: meant} if distance < EQUAL else {})
            elif group not in best or distance < best[group][0]:
                best[group] = distance, name, meant
        return {name: meant for _, name, meant in best.values()} | copies

    def _around(self, name: str, found: Mapping[str, Match]) -> _Around:
        program = self.program
        taken = [program.inputs[each] for each in program.taken[name] if each in program.inputs]
        taken += [found[each].node.handle for each in program.taken[name] if each in found]
        takers = [found[each].node for each in program.takers.get(name, ()) if each in found]
        wanted = [each for node in takers for each in node.inputs]
        return _Around(
            frozenset(map(self.torch.alike, taken)), frozenset(map(self.torch.alike, wanted))
        )

    def _meant(
        self, near: Sequence[_Near], around: _Around, after: Sequence[Sequence[_Near]] | None
    ) -> tuple[float, Match | None]:
        distance = min((each[0] for each in near), default=CLOSE)
        meant = [each for each in near if each[0] < CLEAR * max(distance, EQUAL / CLEAR)]
        # A transposed tensor is near its source in that one's order, and near its own operation.
        meant = [each for each in meant if not each[2]] or meant
        if len(meant) > 1:
            wanted = [each for each in meant if each[1].nodes[0].handle in around.wanted]
            meant = wanted or ([] if after is None else self._folded(meant, around, after))
        if len(meant) != 1:
            return distance, None
        _, same, order = meant[0]
        nodes = self._fed(same, around)
        if not nodes and says_nothing(same.value):
            return distance, None
        return distance, Match((nodes or same.nodes)[0], order, distance)

    def _folded(
        self, near: Sequence[_Near], around: _Around, after: Sequence[Sequence[_Near]]
    ) -> list[_Near]:
        """Of several in a row that are nearly the same the first, or the last if it stands alone.

        A batch norm is folded into the convolution before it.
        """
        row = [each for each in near if self._fed(each[1], around)]
        if len(row) != 1:
            return []
        meant = {id(same) for _, same, _ in near}
        if any(id(same) in meant for each in after for _, same, _ in each):
            return row
        for each in near:
            last = row[-1][1].nodes[0].handle
            if any(last in self.torch.takes(node) for node in each[1].nodes):
                row.append(each)
        return row[-1:]

    def _near(self, value: torch.Tensor) -> Iterator[_Near]:
        norm, sizes = norm_of(value), sorted(value.shape)
        for same in self.torch.same:
            # Two norms are no farther apart than the tensors are.
            if abs(norm - same.norm) > CLOSE * same.norm or sizes != sorted(same.value.shape):
                continue
            fit = layout_of(same.value, value)
            if fit and fit[1] < CLOSE:
                yield fit[1], same, fit[0]

    def _fed(self, same: Same, around: _Around) -> Sequence[Node]:
        """Those of the operations that take a tensor that the value is made of, too."""
        return [node for node in same.nodes if around.taken & self.torch.takes(node)]

    def _could_be(self, node: Node, found: Mapping[str, Match]) -> Iterator[str]:
        """Values that may stand for an operation: of its shape, after what it takes."""
        takes, order = self.torch.takes(node), self.program.order
        # Of several that hold the same, any may be what it takes.
        after = min(
            (
                order[name]
                for name, each in found.items()
                if self.torch.alike(each.node.handle) in takes
            ),
            default=-1,
        )
        shape = self.torch.by_name[node.name].value.shape
        free = (
            name
            for name, place in order.items()
            if place > after and name not in found and self._shapes.get(name) == shape
        )
        return itertools.islice(free, _VALUES)
