"""Why an operation of the program does something else: found by trying other arguments.

Those are what torch's own operation was given, and what converters are known to mix up.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from parity_coreml.attribution import Row, Side, local_error
from parity_coreml.exported import Exported
from parity_coreml.mil import Evaluator, Everywhere
from parity_coreml.mil.values import to_value
from parity_coreml.torchs_own import Own, own_of

__all__ = ["Cause", "find_causes"]

_WORDS = {
    ("gelu", "mode"): ("EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"),
    ("pad", "mode"): ("constant", "reflect", "replicate"),
}
_EPSILONS = (1e-3, 1e-5, 1e-6, 1e-8, 1e-12, 0.0)
_MAX_AXES = 4

# What is known of converters: operation, argument, what it has, what it should have -> said beside.
_KNOWN = {
    ("gelu", "mode", "EXACT", "TANH_APPROXIMATION"): (
        "coremltools 9.0 reads the second argument of gelu by position, and torch.export passes "
        "`approximate` by keyword: every GELU becomes EXACT"
    ),
}


@dataclass(frozen=True, slots=True)
class Cause:
    """What an operation of the program has otherwise than torch, proven by evaluating it.

    Attributes:
        operation: its name in the program.
        kind: its type.
        argument: which of its arguments.
        has: the argument in the program; None if it is a tensor of the module's.
        should: the value with which it computes what torch computes.
        before: error of the operation on torch's inputs, as it is.
        after: the same with `should`.
        known: what is known of this fault, or empty.
        tensor: what `should` is called in the module, where it is a parameter or made of some.
    """

    operation: str
    kind: str
    argument: str
    has: Any
    should: Any
    before: float
    after: float
    known: str = ""
    tensor: str = ""

    def __str__(self) -> str:
        if self.tensor:
            return f"{self.kind}.{self.argument} is not the module's {self.tensor}"
        return f"{self.kind}.{self.argument} is {_said(self.has)}; torch has {_said(self.should)}"


def find_causes(
    exported: Exported,
    rows: Sequence[Row],
    sides: Sequence[Side],
    evaluator: Evaluator,
    values: Mapping[int, Sequence[str]],
) -> dict[str, Cause]:
    """For each value that the converter got wrong, the argument that explains it if one does.

    Args:
        exported: the module in torch.
        rows: of `attribute`.
        sides: likewise.
        evaluator: of the program.
        values: by handle, the values that come from that operation of torch.
    """
    makers = {
        variable.name: operation
        for operation in evaluator.operations
        for variable in operation.outputs
    }
    found: dict[str, Cause] = {}
    for row in rows:
        if not row.by_converter or row.value in found:
            continue
        names = [*values.get(row.node.handle, ()), row.value]
        ours = dict.fromkeys(makers[name] for name in reversed(names) if name in makers)
        own = own_of(exported, row.node.name, sides[row.step].ours)
        for operation in (*ours, *_feeding(makers[row.value])):
            given = own if operation in ours else Own()
            cause = _examine(exported, row, sides[row.step], evaluator, operation, own=given)
            if cause is not None:
                found[row.value] = cause
                break
    return found


def _feeding(operation: Any) -> Iterator[Any]:
    """The operations before it: a layout that is wrong shows only where something is made of it."""
    for variable in operation.get_flattened_inputs():
        maker = None if variable is None else variable.op
        if maker is not None and maker.op_type != "const":
            yield maker


def _examine(
    exported: Exported, row: Row, side: Side, evaluator: Evaluator, operation: Any, *, own: Own
) -> Cause | None:
    best: Cause | None = None
    for argument, has, should, tensor in _alternatives(operation, own):
        change = {operation.name: {argument: _argument(should)}}
        error = _error_with(exported, row, side, evaluator, change)
        # A smaller error is no cause: it has to compute what torch computes.
        if error <= row.bound and (best is None or error < best.after):
            known = _KNOWN.get((operation.op_type, argument, str(has), str(should)), "")
            best = Cause(
                operation.name,
                operation.op_type,
                argument,
                has,
                should,
                row.local,
                error,
                known,
                tensor,
            )
    return best


def _error_with(
    exported: Exported, row: Row, side: Side, evaluator: Evaluator, change: Any
) -> float:
    freed = {
        variable.name
        for operation in evaluator.operations
        if operation.name in change
        for variable in operation.outputs
    } - {row.value}
    try:
        tried = evaluator.run(
            side.inputs,
            dict(side.state),
            put={name: value for name, value in side.put.items() if name not in freed},
            change=change,
            precision=Everywhere("float32"),
        )
    except Exception:  # an argument that does not fit is no explanation
        return float("nan")
    made, half = tried.computed(row.value), row.precision == "float16"
    return local_error(exported, side, row.value, made, half=half)


def _alternatives(operation: Any, own: Own) -> Iterator[tuple[str, Any, Any, str]]:
    """Arguments of the operation, each with what it could have been, and that tensor's name."""
    for argument, variable in operation.inputs.items():
        if variable is None or isinstance(variable, list | tuple) or variable.val is None:
            continue
        has = variable.val
        for should, tensor in own.others(has):
            # Of a tensor its name is said, and not its numbers.
            yield argument, None if tensor else _plain(has), should, tensor
        for should in _others(operation, argument, has):
            yield argument, _plain(has), should, ""


def _others(operation: Any, argument: str, has: Any) -> Iterator[Any]:
    if isinstance(has, str):
        yield from (word for word in _WORDS.get((operation.op_type, argument), ()) if word != has)
    elif argument == "epsilon":
        yield from (each for each in _EPSILONS if abs(each - float(has)) > 1e-3 * each)
    elif isinstance(has, bool) or str(getattr(has, "dtype", "")) == "bool":
        if not getattr(has, "shape", ()):
            yield not bool(has)
    elif argument == "perm":
        order = [int(each) for each in has]
        if len(order) <= _MAX_AXES:
            yield from (
                list(p) for p in itertools.permutations(range(len(order))) if list(p) != order
            )
    elif argument in ("axis", "axes"):
        yield from _other_axes(operation, has)
    elif argument in ("pad", "begin", "end", "shape") and getattr(has, "ndim", 0) == 1:
        yield from _rearranged([int(each) for each in has])
    elif getattr(has, "ndim", 0) == 2 and has.shape[0] == has.shape[1]:
        yield has.T.copy()


def _other_axes(operation: Any, has: Any) -> Iterator[Any]:
    first = operation.inputs.get("x") or operation.inputs.get("values")
    rank = len((first[0] if isinstance(first, list | tuple) else first).shape)
    if getattr(has, "shape", ()) in ((), None) and not isinstance(has, list | tuple):
        yield from (axis for axis in range(rank) if axis != int(has) % rank)
    elif len(has) == 1:
        yield from ([axis] for axis in range(rank) if axis != int(has[0]) % rank)


def _rearranged(numbers: list[int]) -> Iterator[list[int]]:
    """The numbers with two of them exchanged, or one of them off by one."""
    for one, other in itertools.combinations(range(len(numbers)), 2):
        if numbers[one] != numbers[other]:
            swapped = list(numbers)
            swapped[one], swapped[other] = numbers[other], numbers[one]
            yield swapped
    for place, number in enumerate(numbers):
        for near in (number - 1, number + 1):
            yield [*numbers[:place], near, *numbers[place + 1 :]]


def _argument(value: Any) -> Any:
    return value if isinstance(value, str) else to_value(np.asarray(value))


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value


def _said(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if getattr(value, "ndim", 0) > 1:
        return "its transpose"
    if isinstance(value, list) and value and isinstance(value[0], list):
        return f"a matrix of {len(value)} x {len(value[0])}"
    text = str(value)
    return text if len(text) < 60 else f"{text[:57]}..."
