"""Finds which node of an exported program makes a module's output, by running both once.

The exporter says which module a node comes from, and not which of its values the module returns:
one of several, or one that passes through, as in dropout. On the example's numbers they are found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.export.graph_signature import InputKind
from torch.utils import _pytree

from parity_onnx.names import ROOT, Named, Unnamed

__all__ = ["place"]

# Decomposed operations round otherwise than torch's own; another tensor is much further away.
_NEAR = {torch.float16: 2e-2, torch.bfloat16: 1e-1}
_NEAR_FLOAT32 = 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class _Result:
    """What a module returned in one of its calls."""

    path: str
    slot: str
    call: int
    tensor: torch.Tensor


@dataclass(frozen=True, slots=True, eq=False)
class _Node:
    """What a node of the program made: its name, the modules around it, its place, its value."""

    name: str
    modules: frozenset[str]
    position: int
    tensor: torch.Tensor


def place(
    module: nn.Module,
    program: Any,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    values: Mapping[str, Sequence[str]],
) -> tuple[tuple[Named, ...], tuple[Unnamed, ...]]:
    """Name the values of a graph after the modules whose outputs they are.

    Args:
        module: the module that was exported.
        program: its `ExportedProgram`, as it was translated.
        args: the example's positional arguments.
        kwargs: the example's keyword arguments.
        values: the graph's values by the program's node that they come from, the last one first.
    """
    with torch.no_grad():
        results = _results(module, args, kwargs)
        nodes = [node for node in _nodes(program, args, kwargs) if values.get(node.name)]
    named, unnamed = [], []
    taken: Counter[str] = Counter()
    for result in results:
        found = _best(result, nodes, taken)
        if found is None:
            port = f"output {result.slot}" if result.slot else "output"
            reason = f"no value of the graph is its {port} on the example's numbers"
            unnamed.append(Unnamed(result.path, reason))
            continue
        taken[found.name] += 1
        named.append(Named(values[found.name][0], result.path, result.slot, result.call))
    ran = {result.path for result in results}
    unnamed += [Unnamed(p, "it did not run") for p in _with_parameters(module) if p not in ran]
    return tuple(named), tuple(dict.fromkeys(unnamed))


def _with_parameters(module: nn.Module) -> Iterator[str]:
    """Modules that hold parameters and can be called; attention never calls its own parts."""
    inside: set[nn.Module] = set()
    for path, part in module.named_modules():
        if isinstance(part, nn.MultiheadAttention):
            inside.update(part.children())
        holds = next(part.parameters(recurse=False), None) is not None
        if holds and part not in inside and not isinstance(part, nn.ParameterList):
            yield path or ROOT


def _results(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[_Result]:
    found: list[_Result] = []
    with _hooked(module, found):
        module(*_pytree.tree_map(_copied, args), **_pytree.tree_map(_copied, dict(kwargs)))
    return found


def _copied(value: Any) -> Any:
    return value.clone() if isinstance(value, torch.Tensor) else value


@contextmanager
def _hooked(module: nn.Module, found: list[_Result]) -> Iterator[None]:
    calls: Counter[str] = Counter()

    def hook(path: str) -> Any:
        def heard(_module: nn.Module, _args: Any, result: Any) -> None:
            call = calls[path]
            calls[path] += 1
            found.extend(
                _Result(path, slot, call, leaf.detach().clone()) for slot, leaf in _slots(result)
            )

        return heard

    # No hook reaches modules inside torch's fused paths: these leave no node either.
    handles = [
        part.register_forward_hook(hook(path or ROOT)) for path, part in module.named_modules()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _slots(result: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Tensors with the slots that captures give them: the first, or only one, is the empty slot."""
    for path, leaf in _pytree.tree_flatten_with_path(result)[0]:
        if isinstance(leaf, torch.Tensor):
            slot = ".".join(_word(part) for part in path)
            yield ("" if slot == "0" else slot), leaf


def _word(part: Any) -> str:
    for attribute in ("idx", "key", "name"):
        if hasattr(part, attribute):
            return str(getattr(part, attribute))
    return str(part)


def _nodes(program: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[_Node]:
    interpreter = _Keeping(program.graph_module)
    given = iter(_pytree.tree_leaves((args, dict(kwargs))))
    flat = [
        next(given) if spec.kind is InputKind.USER_INPUT else _stored(program, spec.target)
        for spec in program.graph_signature.input_specs
    ]
    interpreter.run(*_pytree.tree_map(_copied, flat))
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
            stack = (n.meta.get("nn_module_stack") or {}).values()
            around = frozenset(path.partition("@")[0] or ROOT for path, _ in stack)
            self.kept.append(_Node(n.name, around, len(self.kept), made.detach().clone()))
        return made


def _best(result: _Result, nodes: Sequence[_Node], taken: Mapping[str, int]) -> _Node | None:
    """The node that makes a result: of its module if there is one, and of this call."""
    alike = [node for node in nodes if _same(result.tensor, node.tensor)]
    inside = [node for node in alike if result.path in node.modules]
    # What passes through unchanged was made outside, by the last that made it so.
    if not inside:
        return alike[-1] if alike else None
    # Equal numbers in several calls: each call takes the next.
    return min(inside, key=lambda node: (taken[node.name] and result.call, node.position))


def _same(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return False
    if torch.equal(ours, theirs):
        return True
    if not ours.dtype.is_floating_point:
        return False
    one, other = ours.double(), theirs.double()
    near = _NEAR.get(ours.dtype, _NEAR_FLOAT32) * float(one.norm())
    return float((one - other).norm()) <= near
