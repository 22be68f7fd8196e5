"""Runs a function of a MIL program and keeps every intermediate value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch

from parity.errors import BackendError, InputError
from parity_coreml.mil import (  # noqa: F401 - each registers its handlers
    activation,
    convolution,
    elementwise,
    indexing,
    linear,
    making,
    normalization,
    pooling,
    quantizing,
    recurrent,
    reduction,
    resizing,
    shaping,
    slicing,
)
from parity_coreml.mil.args import Args
from parity_coreml.mil.handlers import HANDLERS, Made
from parity_coreml.mil.inference import infer
from parity_coreml.mil.precision import Declared, Precision, rounded
from parity_coreml.mil.values import Array, declared_dtype, to_array, to_value

__all__ = ["SPECIAL", "Evaluation", "Evaluator", "UnsupportedOperationError", "check_shape"]

Change = Mapping[str, Mapping[str, Any]]

_MOST_ROUNDS = 100_000


class UnsupportedOperationError(BackendError):
    """The program has an operation that nothing here computes."""


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What a run made.

    Attributes:
        values: every value by its name in the program, in execution order, as float32, int32 or
            bool tensors of any shape.
        outputs: names of the program's outputs.
        inferred: operations that had no handler: name -> type.
        loose: of values that were replaced, what the program had made of its inputs.
    """

    values: Mapping[str, torch.Tensor]
    outputs: tuple[str, ...]
    inferred: Mapping[str, str] = field(default_factory=dict)
    loose: Mapping[str, torch.Tensor] = field(default_factory=dict)

    def computed(self, name: str) -> torch.Tensor:
        """What the program made, whether it was replaced or not."""
        return self.loose[name] if name in self.loose else self.values[name]


class Evaluator:
    """A function of a program, ready to run.

    Args:
        function: `program.functions["main"]`.
        precision: where values are rounded; as the program declares by default.
    """

    def __init__(self, function: Any, precision: Precision | None = None) -> None:
        self.function = function
        self.precision = precision or Declared()
        self.operations: tuple[Any, ...] = tuple(function.operations)
        self._constants: dict[int, Any] = {}

    def state(self) -> dict[str, torch.Tensor]:
        """Zeros for each state, as Core ML starts with."""
        from coremltools.converters.mil.mil import types  # noqa: PLC0415

        return {
            name: torch.zeros([int(size) for size in variable.sym_type.wrapped_type().get_shape()])
            for name, variable in self.function.inputs.items()
            if types.is_state(variable.sym_type)
        }

    def run(
        self,
        inputs: Mapping[str, Any],
        state: dict[str, torch.Tensor] | None = None,
        *,
        put: Mapping[str, torch.Tensor] | None = None,
        precision: Precision | None = None,
        change: Change | None = None,
    ) -> Evaluation:
        """Evaluate everything once.

        Args:
            inputs: arrays or tensors by name.
            state: changed in place; fresh by default.
            put: values to go on with instead of those that the program makes, by name.
            precision: instead of the evaluator's own, for this run.
            change: arguments to give operations instead of their own: name of the operation ->
                name of the input -> value.

        Raises:
            InputError: an input is missing, unknown or of another shape.
            UnsupportedOperationError: an operation that nothing here computes.
        """
        state = self.state() if state is None else state
        run = _Run(state, put or {}, precision or self.precision, self._constants, change or {})
        run.take_inputs(self.function, inputs)
        with torch.no_grad():
            run.block(self.operations)
        outputs = tuple(variable.name for variable in self.function.outputs)
        run.values |= {name: run.known[name] for name in outputs if name not in run.values}
        return Evaluation(run.values, outputs, run.inferred, run.loose)

    def arrays(self, evaluation: Evaluation) -> dict[str, Array]:
        """The values in the types that the program declares, by name."""
        made = {}
        for operation in self.operations:
            for variable in operation.outputs:
                if variable.name in evaluation.values:
                    value = evaluation.values[variable.name]
                    made[variable.name] = to_array(value, declared_dtype(variable))
        return made


class _Run:
    """One evaluation, with what it knows so far."""

    def __init__(
        self,
        state: dict[str, torch.Tensor],
        put: Mapping[str, torch.Tensor],
        precision: Precision,
        constants: dict[int, Any],
        change: Change,
    ) -> None:
        self.known: dict[str, Any] = {}
        self.values: dict[str, torch.Tensor] = {}
        self.inferred: dict[str, str] = {}
        self.loose: dict[str, torch.Tensor] = {}
        self._state = state
        self._put = put
        self._precision = precision
        self._constants = constants
        self._change = change

    def take_inputs(self, function: Any, inputs: Mapping[str, Any]) -> None:
        wanted = [name for name in function.inputs if name not in self._state]
        if set(wanted) != set(inputs):
            raise InputError(
                f"the program takes {', '.join(wanted) or 'nothing'}; got "
                f"{', '.join(inputs) or 'nothing'}",
                where="inputs",
                hint="name the arrays after the program's inputs",
            )
        for name in wanted:
            value = to_value(inputs[name])
            check_shape(name, function.inputs[name], value)
            self.known[name] = self._precision.made(None, function.inputs[name], value)

    def block(self, operations: Sequence[Any]) -> None:
        for operation in operations:
            made = self._made(operation)
            results = made if isinstance(made, tuple | list) else (made,)
            for variable, result in zip(operation.outputs, results, strict=True):
                self._keep(operation, variable, result)

    def _keep(self, operation: Any, variable: Any, result: Any) -> None:
        name = variable.name
        if operation.op_type == "const" or not isinstance(result, torch.Tensor):
            self.known[name] = result
            return
        value = self._precision.made(operation, variable, to_value(result))
        if name in self._put:
            self.loose[name] = value
            value = self._precision.made(operation, variable, self._put[name])
        self.known[name] = value
        # Reading a written state has a name of its own only while a program is loaded.
        if operation.op_type != "coreml_update_state":
            self.values[name] = value

    def _made(self, operation: Any) -> Any:
        kind = operation.op_type
        if kind == "const":
            return self._constant(operation)
        if kind in SPECIAL:
            return SPECIAL[kind](self, operation)
        if kind.startswith("constexpr_"):
            return to_value(operation.materialized_val_inference())
        if kind in HANDLERS:
            return self._handled(operation)
        return self._inferred(operation)

    def _constant(self, operation: Any) -> Any:
        # Once, and not once a run: weights are most of a program.
        key = id(operation)
        if key not in self._constants:
            self._constants[key] = to_value(operation.outputs[0].val)
        return self._constants[key]

    def _handled(self, operation: Any) -> Made:
        given: dict[str, Any] = {
            name: self._given(operation, variable) for name, variable in operation.inputs.items()
        }
        given.update(self._change.get(operation.name, {}))
        try:
            return HANDLERS[operation.op_type](Args(operation, given))
        except NotImplementedError as error:
            raise _unsupported(operation, str(error)) from error
        except (RuntimeError, ValueError, TypeError, KeyError, IndexError) as error:
            raise BackendError(
                f"the operation {operation.op_type} cannot be evaluated: {error}",
                where=operation.name,
                hint="report it with the package, or evaluate it on a device",
            ) from error

    def _inferred(self, operation: Any) -> Made:
        made = infer(operation, lambda variable: self._given(operation, variable))
        if made is None:
            raise _unsupported(operation, "nothing here computes it")
        self.inferred[operation.name] = operation.op_type
        return made

    def _given(self, operation: Any, variable: Any) -> Any:
        if variable is None:
            return None
        if isinstance(variable, list | tuple):
            return [self._given(operation, each) for each in variable]
        value = self.looked_up(variable)
        if isinstance(value, torch.Tensor):
            return self._precision.given(operation, value)
        return value

    def looked_up(self, variable: Any) -> Any:
        """The value of a variable of this or an enclosing block."""
        if variable.name in self.known:
            return self.known[variable.name]
        return to_value(variable.val)

    def read_state(self, operation: Any) -> torch.Tensor:
        return self._state[operation.input.name].clone()

    def update_state(self, operation: Any) -> torch.Tensor:
        # States are float16, whatever the program computes in; what goes on from here is of the
        # run's precision, and rounded there.
        value = self.looked_up(operation.value)
        self._state[operation.state.name] = rounded(value).clone()
        return cast(torch.Tensor, value.clone())

    def choose(self, operation: Any) -> tuple[Any, ...]:
        yes, no = operation.blocks
        block = yes if bool(self.looked_up(operation.pred)) else no
        self.block(block.operations)
        return tuple(self.looked_up(variable) for variable in block.outputs)

    def loop(self, operation: Any) -> tuple[Any, ...]:
        condition, body = operation.blocks
        carried = [self.looked_up(variable) for variable in operation.loop_vars]
        for _ in range(_MOST_ROUNDS):
            self._enter(condition, carried)
            if not bool(self.looked_up(condition.outputs[0])):
                return tuple(carried)
            self._enter(body, carried)
            carried = [self.looked_up(variable) for variable in body.outputs]
        raise BackendError(
            f"a loop did not end within {_MOST_ROUNDS} rounds",
            where=operation.name,
            hint="evaluate it on a device",
        )

    def _enter(self, block: Any, carried: Sequence[Any]) -> None:
        for variable, value in zip(block.inputs, carried, strict=True):
            self.known[variable.name] = value
        self.block(block.operations)


# Computed here and not by a handler: they need states or run blocks.
SPECIAL = {
    "read_state": _Run.read_state,
    "coreml_update_state": _Run.update_state,
    "cond": _Run.choose,
    "while_loop": _Run.loop,
}


def _unsupported(operation: Any, reason: str) -> UnsupportedOperationError:
    draws = operation.op_type.startswith("random_")
    return UnsupportedOperationError(
        f"the MIL operation {operation.op_type} is not supported: {reason}",
        where=operation.name,
        hint="make the draw an input of the model, so that both sides get the same numbers"
        if draws
        else "register a function for it: parity_coreml.mil.handlers.handles, or run the package "
        "on a device (`parity coreml bundle`)",
    )


def check_shape(name: str, variable: Any, value: torch.Tensor | Array) -> None:
    """Refuse an array that an input of the program has no room for.

    Raises:
        InputError: its shape is another.
    """
    wanted = tuple(variable.shape)
    fits = len(wanted) == value.ndim and all(
        not isinstance(one, int) or int(one) == other
        for one, other in zip(wanted, value.shape, strict=True)
    )
    if not fits:
        raise InputError(
            f"the program takes {list(wanted)}, got {list(value.shape)}",
            where=name,
            hint="give the array the shape that the model was converted with",
        )
