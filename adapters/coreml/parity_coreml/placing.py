"""Finds the program's value for each output of each module."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from parity_coreml.exported import Exported, Node
from parity_coreml.mil.values import to_value
from parity_coreml.module_outputs import ROOT, ModuleOutput
from parity_coreml.sidecar import Placed, Unplaced

__all__ = ["CLOSE", "Values", "bits", "laid_out", "layout_of", "place", "values_of"]

_MAX_RANK = 5
CLOSE = 0.1  # relative error below which two layouts of one tensor are the same tensor
NEAR = 1e-5  # and below which two kernels have computed the same in float32


@dataclass(frozen=True, slots=True)
class Values:
    """Which values of a program come from which operation of torch.

    Attributes:
        by_handle: names in execution order; of an operation with several results, all of them.
        kinds: by name, the type of the operation that makes it.
    """

    by_handle: Mapping[int, tuple[str, ...]]
    kinds: Mapping[str, str]

    def of(self, node: Node) -> tuple[str, list[str]]:
        """The value that has to be the node's if any is, or empty, and others that could be.

        The converter may write several operations for one of torch's, the last of which makes its
        result. A pass that fuses operations names the result after the last of them; since other
        values may have that name by chance, the elements have to agree as well.
        """
        parents = self.by_handle.get(node.inputs[0], ()) if node.element >= 0 else ()
        if parents:
            # Before an operation with several results there may be casts of what it is given.
            results = [name for name in parents if self.kinds[name] == self.kinds[parents[-1]]]
            own = results[node.element] if node.element < len(results) else ""
            return own, list(parents)
        made = list(reversed(self.by_handle.get(node.handle, ())))
        named = [name for name in (node.name, f"{node.name}_cast_fp16") if name in self.kinds]
        return (made[0] if made else ""), [*made[1:], *named]

    def claims(
        self, node: Node, value: torch.Tensor, theirs: Mapping[str, torch.Tensor]
    ) -> Iterator[tuple[str, tuple[int, ...], float]]:
        """Values that may stand for a node's, each with its layout and relative distance."""
        first, others = self.of(node)
        fits = {
            name: layout_of(value, theirs[name])
            for name in filter(None, dict.fromkeys([first, *others]))
            if name in theirs
        }
        near = [(name, *fit) for name, fit in fits.items() if fit and fit[1] < CLOSE]
        yield from near
        fit = fits.get(first)
        if not near and fit:
            yield first, *fit


def values_of(function: Any) -> Values:
    """Read the handles that the converter carried along.

    Args:
        function: of the program as it was converted: one that was loaded has no handles.
    """
    from coremltools.converters.mil.mil.scope import ScopeSource  # noqa: PLC0415

    by_handle: dict[int, list[str]] = {}
    kinds: dict[str, str] = {}
    for operation in function.operations:
        if operation.op_type == "const":
            continue
        made = [variable.name for variable in operation.outputs]
        kinds |= dict.fromkeys(made, operation.op_type)
        for handle in operation.scopes.get(ScopeSource.EXIR_DEBUG_HANDLE) or ():
            if handle is not None:
                by_handle.setdefault(int(handle), []).extend(made)
    return Values({handle: tuple(made) for handle, made in by_handle.items()}, kinds)


def place(
    outputs: Sequence[ModuleOutput],
    exported: Exported,
    ours: Mapping[str, Any],
    theirs: Mapping[str, torch.Tensor],
    values: Values,
    *,
    prefix: str = "",
) -> tuple[list[Placed], list[Unplaced]]:
    """Map module outputs to values of the program.

    A module's output is found among torch's operations by its bits, of which those inside the
    module come first; the operation's value in the program by its handle.

    Args:
        outputs: of the modules, from one run.
        exported: the same module, exported.
        ours: the value of each of its nodes in the same run.
        theirs: the program's values on the same inputs.
        values: which of them come from which operation.
        prefix: what the tap paths begin with.
    """
    finder = _Finder(exported, ours)
    totals = Counter((output.path, output.slot) for output in outputs)
    placed, unplaced = [], []
    for output in outputs:
        path = ".".join(filter(None, (prefix, output.path))) or ROOT
        found = list(finder.nodes(output))
        match = next(_matches(output.value, found, values, theirs), None)
        if match is None:
            match = next(_matches(output.value, finder.turned(output), values, theirs), None)
        if match is None:
            reason = _reason(found)
            unplaced.append(Unplaced(path, reason, output.slot, output.call))
            continue
        node, value, permutation = match
        calls = totals[output.path, output.slot]
        placed.append(Placed(path, value, node.name, output.slot, output.call, calls, permutation))
    return placed, unplaced


class _Finder:
    """Nodes by the bits of their values, or nearly."""

    def __init__(self, exported: Exported, ours: Mapping[str, Any]) -> None:
        self._by_bits: dict[Any, list[Node]] = {}
        self._values: list[tuple[Node, torch.Tensor]] = []
        for node in exported.nodes.values():
            value = ours.get(node.name)
            if isinstance(value, torch.Tensor):
                self._by_bits.setdefault(bits(value), []).append(node)
                self._values.append((node, value))

    def nodes(self, output: ModuleOutput) -> Iterator[Node]:
        """Those with the output's value: the last inside its module first, then those outside.

        Where no bits agree the module ran another kernel by itself than its graph does, as
        attention does outside of training; and all that comes after it differs likewise.
        """
        same = self._by_bits.get(bits(output.value), [])
        yield from (node for node in reversed(same) if output.path in node.modules)
        yield from (node for node in reversed(same) if output.path not in node.modules)
        if not same and output.value.is_floating_point():
            yield from self._near(output)

    def turned(self, output: ModuleOutput) -> Iterator[Node]:
        """Those with the output's elements along other axes: transpositions may have cancelled."""
        sizes = sorted(output.value.shape)
        for node, value in reversed(self._values):
            if sorted(value.shape) == sizes and value.dtype == output.value.dtype:
                fit = layout_of(output.value, value)
                if fit and fit[0] and fit[1] < NEAR:
                    yield node

    def _near(self, output: ModuleOutput) -> Iterator[Node]:
        alike = (
            (node, value)
            for node, value in reversed(self._values)
            if value.shape == output.value.shape and value.dtype == output.value.dtype
        )
        near = [node for node, value in alike if _distance(output.value, value) < NEAR]
        yield from (node for node in near if output.path in node.modules)
        yield from (node for node in near if output.path not in node.modules)


def bits(value: torch.Tensor) -> tuple[Any, ...]:
    """Equal for tensors of one type and shape with the same elements, bit by bit."""
    value = value.detach().contiguous()
    return (value.dtype, tuple(value.shape), hash(value.numpy().tobytes()))


def _matches(
    ours: torch.Tensor,
    nodes: Iterable[Node],
    values: Values,
    theirs: Mapping[str, torch.Tensor],
) -> Iterator[tuple[Node, str, tuple[int, ...]]]:
    for node in nodes:
        for name, permutation, _ in values.claims(node, ours, theirs):
            yield node, name, permutation


def layout_of(ours: torch.Tensor, theirs: torch.Tensor) -> tuple[tuple[int, ...], float] | None:
    """The axes of theirs in the order of ours, and how far they then are; None if none fits.

    The converter moves transpositions about, so that a value may come in another layout. Where
    the shapes do not tell, the elements do. The order is empty if it is ours already.
    """
    if ours.shape == theirs.shape:
        distance = _distance(ours, theirs)
        if ours.ndim < 2 or distance < CLOSE:
            return (), distance
    if sorted(ours.shape) != sorted(theirs.shape) or not 1 < ours.ndim <= _MAX_RANK:
        return None
    plain = tuple(range(ours.ndim))
    fitting = {
        order: _distance(ours, theirs.permute(order))
        for order in itertools.permutations(plain)
        if tuple(theirs.shape[axis] for axis in order) == ours.shape
    }
    best = min(fitting, key=lambda order: fitting[order])
    if fitting[best] < CLOSE:
        return (best if best != plain else ()), fitting[best]
    return ((), fitting[plain]) if plain in fitting else None


def laid_out(value: torch.Tensor, permutation: tuple[int, ...]) -> torch.Tensor:
    """The value of torch in the layout of the program's."""
    plain: torch.Tensor = to_value(value)
    if not permutation:
        return plain
    return plain.permute([permutation.index(axis) for axis in range(plain.ndim)])


def _distance(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    one, other = ours.double(), theirs.double()
    distance, scale = float((one - other).norm()), float(one.norm())
    if math.isnan(distance):
        return 0.0 if torch.equal(one.nan_to_num(), other.nan_to_num()) else math.inf
    return distance / scale if scale else (math.inf if distance else 0.0)


def _reason(nodes: Sequence[Node]) -> str:
    if not nodes:
        return "no operation of the exported graph makes this tensor"
    names = ", ".join(node.name for node in nodes[:3])
    return f"the converter left no value of its shape for {names}: fused or folded away"
