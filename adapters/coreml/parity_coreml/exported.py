"""A torch module as `torch.export` sees it: numbered nodes that can be run one by one."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.export.graph_signature import InputKind, OutputKind
from torch.utils._pytree import tree_map

from parity.errors import BackendError
from parity_coreml.decompositions import decompositions

__all__ = ["Exported", "Node", "export"]

_NOT_IN_THAT_TYPE = (RuntimeError, TypeError, NotImplementedError)


@dataclass(frozen=True, slots=True)
class Node:
    """One operation of the exported graph.

    Attributes:
        handle: its number, from 1, which the converter carries along.
        name: in the graph (`linear_1`).
        target: what it calls (`aten.linear.default`).
        modules: paths of the modules around it, from the outside in.
        source: the line that it comes from, or empty.
        inputs: handles of the operations that feed it.
        parameters: names of the parameters and buffers that feed it.
        element: of several results, which one this is; -1 where it is no such choice.
    """

    handle: int
    name: str
    target: str
    modules: tuple[str, ...] = ()
    source: str = ""
    inputs: tuple[int, ...] = ()
    parameters: tuple[str, ...] = ()
    element: int = -1


class Exported:
    """An exported program with its handles set, ready to be converted or run.

    Attributes:
        program: the `ExportedProgram`.
        nodes: its operations in execution order, by handle.
        inputs: names of the arrays that a run takes, in order.
        states: buffers that a run changes, by the name of their placeholder.
        constant: names of what no input reaches: parameters, and operations on them alone, which a
            converter folds into constants.
    """

    def __init__(self, program: Any) -> None:
        self.program = program
        signature = program.graph_signature
        self.inputs = tuple(signature.user_inputs)
        self._sources = {
            spec.arg.name: spec.target
            for spec in signature.input_specs
            if spec.kind is not InputKind.USER_INPUT
        }
        self._changed = {
            spec.target: spec.arg.name
            for spec in signature.output_specs
            if spec.kind is OutputKind.BUFFER_MUTATION
        }
        self.states = {
            name: target for name, target in self._sources.items() if target in self._changed
        }
        # What is returned and is no tensor has no name of a node.
        self.outputs = tuple(each for each in signature.user_outputs if isinstance(each, str))
        self._graph_nodes = {each.name: each for each in program.graph_module.graph.nodes}
        self.nodes = {node.handle: node for node in self._numbered()}
        self.by_name = {node.name: node for node in self.nodes.values()}
        self.constant = self._constant()

    def _numbered(self) -> list[Node]:
        handles: dict[str, int] = {}
        nodes = []
        for handle, node in enumerate(self.program.graph_module.graph.nodes, 1):
            node.meta["debug_handle"] = handle
            handles[node.name] = handle
            if node.op == "call_function":
                nodes.append(self._node(handle, node, handles))
        return nodes

    def _constant(self) -> frozenset[str]:
        found = set(self._sources) - set(self.states)
        for node in self.program.graph_module.graph.nodes:
            feeding = node.all_input_nodes
            if node.op == "call_function" and all(each.name in found for each in feeding):
                found.add(node.name)
        return frozenset(found)

    def _node(self, handle: int, node: Any, handles: Mapping[str, int]) -> Node:
        feeding = [each.name for each in node.all_input_nodes]
        chosen = node.target is operator.getitem
        return Node(
            handle=handle,
            name=node.name,
            target="getitem" if chosen else str(node.target),
            modules=_modules(node),
            source=_source(node),
            inputs=tuple(handles[name] for name in feeding if name not in self._sources),
            parameters=tuple(self._sources[name] for name in feeding if name in self._sources),
            element=int(node.args[1]) if chosen else -1,
        )

    def initial_state(self) -> dict[str, torch.Tensor]:
        """The buffers that a run changes, as they are before the first, by placeholder."""
        return {name: self._stored(target).clone() for name, target in self.states.items()}

    def started(self, states: Mapping[str, str]) -> dict[str, torch.Tensor]:
        """A program's states as the module starts: in float16, as Core ML keeps them.

        Args:
            states: their names in the program -> the placeholders of the buffers that they are.
        """
        held = self.kept(self.initial_state())
        return {name: held[placeholder].float() for name, placeholder in states.items()}

    def returned(self) -> list[Node]:
        """What the module returns, in order; an input or a constant as a node without a handle."""
        return [self.by_name.get(name, Node(0, name, "placeholder")) for name in self.outputs]

    def run(
        self,
        inputs: Sequence[torch.Tensor],
        state: dict[str, torch.Tensor] | None = None,
        *,
        dtype: torch.dtype | None = None,
    ) -> dict[str, Any]:
        """The value of every node by its name; placeholders too.

        Args:
            inputs: one for each of `self.inputs`.
            state: by placeholder, changed in place; as exported by default.
            dtype: for floating numbers in every operation that computes in it.
        """
        state = self.initial_state() if state is None else state
        given = iter(inputs)
        flat = [
            state[spec.arg.name].to(self._stored(spec.target).dtype)
            if spec.arg.name in state
            else next(given)
            if spec.kind is InputKind.USER_INPUT
            else self._stored(spec.target)
            for spec in self.program.graph_signature.input_specs
        ]
        recorder = _Recorder(self.program.graph_module, dtype)
        with torch.no_grad():
            recorder.run(*flat)
        for name, target in self.states.items():
            state[name] = recorder.values[self._changed[target]].clone()
        return recorder.values

    def rerun(self, name: str, values: Mapping[str, Any], dtype: torch.dtype) -> Any:
        """One operation on given values, its floating arguments in another type.

        Returns:
            Its result, or None where it does not compute in that type.
        """
        node = self._graph_nodes[name]
        if node.op != "call_function":
            return _in_type(values[name], dtype)
        args = torch.fx.node.map_arg(node.args, lambda each: _in_type(values[each.name], dtype))
        kwargs = torch.fx.node.map_arg(node.kwargs, lambda each: _in_type(values[each.name], dtype))
        try:
            with torch.no_grad():
                return node.target(*args, **kwargs)
        except _NOT_IN_THAT_TYPE:
            return None

    def given(self, name: str) -> tuple[Any, ...]:
        """The numbers, words and lists that an operation is called with, defaults among them."""
        node = self._graph_nodes[name]
        schema = getattr(node.target, "_schema", None)
        defaults = [] if schema is None else [each.default_value for each in schema.arguments]
        return (*node.args, *node.kwargs.values(), *defaults)

    def constants_of(self, name: str) -> tuple[str, ...]:
        """Names in the graph of what feeds an operation and no input reaches."""
        feeding = self._graph_nodes[name].all_input_nodes
        return tuple(each.name for each in feeding if each.name in self.constant)

    def called(self, name: str) -> str:
        """What a constant is called in the module (`up.weight`), or its name in the graph."""
        return str(self._sources.get(name, name))

    def kept(self, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Buffers as Core ML keeps them between two runs: in float16."""
        return {name: tensor.half().to(tensor.dtype) for name, tensor in state.items()}

    def _stored(self, target: str) -> torch.Tensor:
        held = self.program.state_dict
        found: torch.Tensor = held[target] if target in held else self.program.constants[target]
        return found.detach()


class _Recorder(torch.fx.Interpreter):
    """Keeps what each node makes."""

    def __init__(self, module: Any, dtype: torch.dtype | None) -> None:
        super().__init__(module, garbage_collect_values=False)
        self.values: dict[str, Any] = {}
        self._dtype = dtype

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        if self._dtype is None:
            return super().call_function(target, args, kwargs)
        if target is torch.ops.aten._assert_tensor_metadata.default:  # of the types as exported
            return None
        for dtype in (self._dtype, torch.float32):
            converted = tree_map(lambda each, to=dtype: _in_type(each, to), (args, kwargs))
            try:
                return super().call_function(target, *converted)
            except _NOT_IN_THAT_TYPE:
                if dtype is torch.float32:
                    raise
        return None

    def run_node(self, n: Any) -> Any:
        made = super().run_node(n)
        if n.op != "output":
            self.values[n.name] = made
        return made


def export(
    module: nn.Module,
    args: Sequence[torch.Tensor],
    kwargs: Mapping[str, torch.Tensor] | None = None,
) -> Exported:
    """Export a module in evaluation mode, decomposed as the converter wants it.

    Raises:
        BackendError: `torch.export` cannot follow the module.
    """
    try:
        # torch warns about its own use of what it deprecates.
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.export(module.eval(), tuple(args), dict(kwargs or {}))
            return Exported(program.run_decompositions(decompositions()))
    except Exception as error:  # whatever the module's code raises under symbolic tracing
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise BackendError(
            f"torch.export cannot follow it: {said[0]}",
            where=type(module).__name__,
            hint="wrap the part to convert in a module without data-dependent control flow, with "
            "states as buffers or arguments",
        ) from error


def _in_type(value: Any, dtype: torch.dtype) -> Any:
    """A floating tensor in another type; anything else as it is."""
    if isinstance(value, torch.Tensor) and value.is_floating_point():
        return value.to(dtype)
    return value


def _modules(node: Any) -> tuple[str, ...]:
    return tuple(path for path, _ in (node.meta.get("nn_module_stack") or {}).values())


def _source(node: Any) -> str:
    lines = [line for line in (node.meta.get("stack_trace") or "").splitlines() if "File " in line]
    if not lines:
        return ""
    place, _, rest = lines[-1].partition(", line ")
    return f"{place.rpartition('/')[2].rstrip(chr(34))}:{rest.partition(',')[0]}"
