"""Finds which node of an exported program makes a module's output, by running both once.

The exporter says which module a node comes from, and not which of its values the module returns:
one of several, or one that passes through, as in dropout. On the example's numbers they are found.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.export.graph_signature import InputKind
from torch.utils import _pytree

from parity_onnx.hearing import Result, copied, results
from parity_onnx.names import ROOT, Named, Unnamed

__all__ = ["Values", "place"]

# Decomposed operations round otherwise than torch's own; another tensor is much further away.
_NEAR = {torch.float16: 2e-2, torch.bfloat16: 1e-1}
_NEAR_32 = 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class _Node:
    """What a node of the program made: its name, the modules around it by call, its value."""

    name: str
    modules: Mapping[str, int]
    tensor: torch.Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """What a graph has names for.

    Attributes:
        by_node: values by the program's node that they come from, the last one first.
        outputs: of the graph.
    """

    by_node: Mapping[str, Sequence[str]]
    outputs: Sequence[str]


def place(
    module: nn.Module,
    program: Any,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    values: Values,
) -> tuple[tuple[Named, ...], tuple[Unnamed, ...]]:
    """Name the values of a graph after the modules whose outputs they are.

    What the whole module returns are the graph's outputs, in their order, whatever the numbers
    are: where a value inside is the same on the example, a step behind it would not be compared.

    Args:
        module: the module that was exported.
        program: its `ExportedProgram`, as it was translated.
        args: the example's positional arguments.
        kwargs: the example's keyword arguments.
        values: the graph's.
    """
    with torch.no_grad():
        heard = results(module, args, kwargs)
        nodes = _nodes(program, args, kwargs)
    there = [node for node in nodes if values.by_node.get(node.name)]
    roots = [result for result in heard if result.path == ROOT]
    returned = iter(values.outputs if len(values.outputs) == len(roots) else ())
    named, unnamed = [], []
    for result in heard:
        found = _best(result, there)
        value = next(returned, "") if result.path == ROOT else ""
        if not value and found is not None:
            value = values.by_node[found.name][0]
        if value:
            named.append(Named(value, result.path, result.slot, result.call))
        else:
            lost = _best(result, nodes)
            unnamed.append(Unnamed(result.path, _why(result, lost, program, values)))
    ran = {result.path for result in heard}
    unnamed += [Unnamed(p, "it did not run") for p in _with_parameters(module) if p not in ran]
    return tuple(named), tuple(dict.fromkeys(unnamed))


def _with_parameters(module: nn.Module) -> Iterator[str]:
    """Modules that hold parameters and can be called; torch runs these layers in one piece."""
    inside: set[nn.Module] = set()
    for path, part in module.named_modules():
        if isinstance(part, nn.MultiheadAttention | nn.TransformerEncoderLayer):
            inside.update(one for one in part.modules() if one is not part)
        holds = next(part.parameters(recurse=False), None) is not None
        if holds and part not in inside and not isinstance(part, nn.ParameterList):
            yield path or ROOT


def _nodes(program: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[_Node]:
    interpreter = _Keeping(program.graph_module)
    given = iter(_pytree.tree_leaves((args, dict(kwargs))))
    flat = [
        next(given) if spec.kind is InputKind.USER_INPUT else _stored(program, spec.target)
        for spec in program.graph_signature.input_specs
    ]
    interpreter.run(*_pytree.tree_map(copied, flat))
    return interpreter.kept


def _stored(program: Any, target: str) -> Any:
    held = program.state_dict
    return held[target] if target in held else program.constants[target]


class _Keeping(torch.fx.Interpreter):
    """Keeps what each node makes."""

    def __init__(self, module: Any) -> None:
        super().__init__(module)
        self.kept: list[_Node] = []

    def run_node(self, n: Any) -> Any:
        made = super().run_node(n)
        if isinstance(made, torch.Tensor) and n.op in ("call_function", "placeholder"):
            self.kept.append(_Node(n.name, _around(n), made.detach().clone()))
        return made


def _around(node: Any) -> dict[str, int]:
    """The modules that a node is of, from the outside in, each with the number of its call."""
    stack = (node.meta.get("nn_module_stack") or {}).items()
    # Torch writes the second call of `act` as `L__self__act@1`.
    calls = ((path.partition("@")[0] or ROOT, key.rpartition("@")[2]) for key, (path, _) in stack)
    return {path: int(call) if call.isdecimal() else 0 for path, call in calls}


def _best(result: Result, nodes: Sequence[_Node]) -> _Node | None:
    """The node that makes a result: of this call of its module, else of its module, else any.

    What passes through unchanged was made outside. Of those that are the same the nearest is
    taken: a branch scaled by 1e-6 changes little. Of equal ones it is the last.
    """
    inside = [node for node in nodes if result.path in node.modules]
    call = [node for node in inside if node.modules[result.path] == result.call]
    for some in (call, inside, nodes):
        off = {_distance(result.tensor, node.tensor): node for node in some}
        if off and min(off) <= _NEAR.get(result.tensor.dtype, _NEAR_32):
            return off[min(off)]
    return None


def _distance(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Relative to our size; infinite where the tensors are not of one kind, or not finite."""
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return math.inf
    if torch.equal(ours, theirs):
        return 0.0
    if not ours.dtype.is_floating_point:
        return math.inf
    one, off = ours.double(), float((ours.double() - theirs.double()).norm())
    return off / float(one.norm()) if off < math.inf and one.any() else math.inf


def _why(result: Result, lost: _Node | None, program: Any, values: Values) -> str:
    """Why no value is a result; `lost` is the node that made it in the program."""
    # The optimiser has merged it into the first node behind it that is still there.
    behind = [node for node in program.graph_module.graph.nodes if lost and node.name == lost.name]
    for node in behind:  # it grows as it is walked through
        if values.by_node.get(node.name):
            return f"the exporter merged it into what follows it, in {[ROOT, *_around(node)][-1]}"
        behind += [user for user in node.users if user not in behind]
    port = f"output {result.slot}" if result.slot else "output"
    return f"no value of the graph is its {port} on the example's numbers"
