"""Whose fault a difference is, operation by operation: converter, precision, or runtime.

Three sides: torch runs the exported graph node by node, the evaluator computes what the program
says, a device what it does. At each operation the evaluator is also given the inputs of another
side. On torch's inputs, what it makes otherwise in float32 is the converter's doing, and what it
makes otherwise in the declared precision, beyond rounding, is that precision's: an overflow. On the
device's inputs, what the device made otherwise is the runtime's. Errors from upstream are in none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from parity.errors import InputError
from parity_coreml.constants import moved_constants
from parity_coreml.errors_of import relative_error
from parity_coreml.exported import Exported, Node
from parity_coreml.mil import Evaluation, Evaluator, Everywhere
from parity_coreml.mil.values import declared_dtype, to_value
from parity_coreml.placing import CLOSE, Values, laid_out
from parity_coreml.rounding import UNIT, coarse_values, floors_of, halved
from parity_coreml.runners.protocol import Ran
from parity_coreml.sidecar import Sidecar

__all__ = ["FACTOR", "STATE_BOUND", "Row", "Side", "attribute", "local_error", "mapped_nodes"]

# An operation is the converter's or the runtime's fault from this many times its own rounding on:
# a fused or decomposed one rounds several times where torch's rounds once.
FACTOR = 16
# Rounding moves a constant by half a spacing at most, and all were moved by that much for a measure
# of it. Twice, because several of them may cancel by chance.
CONSTANTS = 2
STATE_BOUND = FACTOR * UNIT["float16"]  # states are float16


@dataclass(frozen=True, slots=True)
class Row:
    """One operation of torch and the value of the program that stands for it.

    Attributes:
        step: of the run.
        node: torch's operation.
        value: of the program.
        kind: of the operation that makes the value.
        precision: in which the program has it.
        error: of the program's value as evaluated, against torch's: with all that came before.
        local: the same on torch's own inputs and in float32, with parameters rounded or not,
            whichever is nearer: what the converter added here.
        floor: what rounding explains of `local`.
        constants: what the rounding of the program's own constants may explain of it besides.
        rounded: as `local`, in the declared precision: what that precision added here too.
        rounded_floor: what rounding explains of `rounded`.
        device_error: of the device's value against torch's; NaN without a device.
        device_local: of the device's value against the program's, on the device's own inputs.
        device_floor: what rounding explains of `device_local`.
        missing: why the device gave nothing, or empty.
    """

    step: int
    node: Node
    value: str
    kind: str
    precision: str
    error: float
    local: float
    floor: float
    rounded: float
    rounded_floor: float
    device_error: float = math.nan
    device_local: float = math.nan
    device_floor: float = math.nan
    missing: str = ""
    constants: float = 0.0

    @property
    def bound(self) -> float:
        """From here on `local` is the converter's doing."""
        return FACTOR * self.floor + CONSTANTS * self.constants

    @property
    def by_converter(self) -> bool:
        """Whether the program says something else than torch does; NaN counts as that."""
        return not self.local <= self.bound

    @property
    def by_precision(self) -> bool:
        """Whether the declared precision breaks what is right in float32, as an overflow does."""
        within = self.rounded <= FACTOR * self.rounded_floor + CONSTANTS * self.constants
        return not within and not self.by_converter

    @property
    def on_device(self) -> bool:
        """Whether a device's value was compared."""
        return not math.isnan(self.device_floor)

    @property
    def by_runtime(self) -> bool:
        """Whether the device does something else than the program says; NaN counts as that."""
        return self.on_device and not self.device_local <= FACTOR * self.device_floor


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """Everything that a step of the comparison had, for looking closer at one operation.

    Attributes:
        inputs: of the program, by name.
        state: of the program before the step.
        ours: torch's values by node.
        free: the program's values.
        held: the program's values with torch's put in the place of all that are mapped.
        exact: the same in float32, whatever the program declares.
        ours_laid: torch's values in the program's layout, by name in the program; all of them
            were put there, but for those of another shape.
        nodes: the operation of torch that each of these stands for.
        orders: the axes of the program's value in the order of torch's; empty if they agree.
        nothing: operations of torch that show nothing: empty, or without a finite number.
        states: how far each state of the program is from torch's after the step, on torch's values.
    """

    inputs: Mapping[str, Any]
    state: Mapping[str, torch.Tensor]
    ours: Mapping[str, Any]
    free: Evaluation
    held: Evaluation
    exact: Evaluation
    ours_laid: Mapping[str, torch.Tensor]
    nodes: Mapping[str, Node]
    orders: Mapping[str, tuple[int, ...]]
    nothing: tuple[str, ...]
    states: Mapping[str, float]

    @property
    def put(self) -> dict[str, torch.Tensor]:
        """What stood in the place of the program's own values in `held` and `exact`."""
        return _fitting(self.ours_laid, self.free)


def attribute(
    exported: Exported,
    evaluator: Evaluator,
    sidecar: Sidecar,
    steps: Sequence[Sequence[torch.Tensor]],
    device: Ran | None = None,
) -> tuple[list[Row], list[Side]]:
    """Compare all operations on all steps.

    Args:
        exported: the module that the package was converted from.
        evaluator: of the package's program.
        sidecar: its map.
        steps: the module's arguments, one sequence a step.
        device: what a device made of the same steps.

    Raises:
        InputError: the sidecar is of another module.
    """
    if [_identity(node) for node in sidecar.nodes] != [
        _identity(n) for n in exported.nodes.values()
    ]:
        raise InputError(
            "the package was converted from another module than this one",
            hint="convert it again, or name the module that it was converted from",
        )
    ours_state = exported.kept(exported.initial_state())
    theirs_state = exported.started(sidecar.states)
    rows, sides = [], []
    for number, args in enumerate(steps):
        side = _side(exported, evaluator, sidecar, args, (ours_state, theirs_state))
        ours_state = exported.kept(ours_state)
        sides.append(side)
        made = _rows(number, side, exported, evaluator, sidecar)
        rows += made if device is None else _on_device(made, side, evaluator, device)
    return rows, sides


def _identity(node: Node) -> tuple[int, str, str]:
    return node.handle, node.name, node.target


def mapped_nodes(
    exported: Exported,
    sidecar: Sidecar,
    ours: Mapping[str, Any],
    theirs: Mapping[str, torch.Tensor],
) -> dict[str, tuple[Node, tuple[int, ...]]]:
    """For each value of the program the node that it stands for, and its layout.

    A fused operation has the number of one node and the name of another; which of them its value
    is, the elements say. What the module returns needs no elements: it is the output of the same
    place, in the same layout.
    """
    values = Values(sidecar.values, sidecar.kinds)
    claims: dict[str, list[tuple[float, int, Node, tuple[int, ...]]]] = {}
    for node in exported.nodes.values():
        mine = ours.get(node.name)
        if isinstance(mine, torch.Tensor) and _shows_something(mine):
            for name, permutation, distance in values.claims(node, mine, theirs):
                far = distance if distance < CLOSE else math.inf
                claims.setdefault(name, []).append((far, node.handle, node, permutation))
                break
    best = {name: min(each, key=lambda claim: claim[:2]) for name, each in claims.items()}
    found = {name: (node, permutation) for name, (_, _, node, permutation) in best.items()}
    returned = zip(sidecar.outputs, exported.returned(), strict=True)
    return found | {
        name: (node, ()) for name, node in returned if _shows_something(ours[node.name])
    }


def _shows_something(value: torch.Tensor) -> bool:
    """Whether it has a number to compare; where torch itself makes NaN of it all, nothing has."""
    return bool(value.isfinite().any())


def _fitting(laid: Mapping[str, torch.Tensor], made: Evaluation) -> dict[str, torch.Tensor]:
    """Those of the program's shapes: no others can be gone on with."""
    return {name: each for name, each in laid.items() if each.shape == made.values[name].shape}


def _side(
    exported: Exported,
    evaluator: Evaluator,
    sidecar: Sidecar,
    args: Sequence[torch.Tensor],
    states: tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]],
) -> Side:
    ours_state, theirs_state = states
    inputs = dict(zip(sidecar.inputs, args, strict=True))
    before = {name: ours_state[each].float() for name, each in sidecar.states.items()}
    ours = exported.run(args, ours_state)
    free = evaluator.run(inputs, theirs_state)
    # From torch's own state: one that went astray would spoil the map.
    near = evaluator.run(inputs, dict(before))
    mapped = mapped_nodes(exported, sidecar, ours, near.values)
    laid = {name: laid_out(ours[node.name], order) for name, (node, order) in mapped.items()}
    put = _fitting(laid, near)
    held = evaluator.run(inputs, dict(before), put=put)
    kept = dict(before)
    exact = evaluator.run(inputs, kept, put=put, precision=Everywhere("float32"))
    nodes = {name: node for name, (node, _) in mapped.items()}
    orders = {name: order for name, (_, order) in mapped.items()}
    astray = {
        name: relative_error(kept[name], exported.kept(ours_state)[each].float())
        for name, each in sidecar.states.items()
    }
    nothing = tuple(
        node.name
        for node in (*exported.nodes.values(), *exported.returned())
        if isinstance(ours.get(node.name), torch.Tensor) and not _shows_something(ours[node.name])
    )
    return Side(inputs, before, ours, free, held, exact, laid, nodes, orders, nothing, astray)


def _rows(
    step: int, side: Side, exported: Exported, evaluator: Evaluator, sidecar: Sidecar
) -> list[Row]:
    halves = {
        variable.name
        for operation in evaluator.operations
        for variable in operation.outputs
        if operation.op_type != "const" and declared_dtype(variable) == np.float16
    }
    coarse = coarse_values(evaluator, halves, set(side.put))
    moved = _moved(side, evaluator)
    rows = []
    for name, value in side.ours_laid.items():
        node, half = side.nodes[name], name in halves
        floor, rounded_floor = floors_of(
            exported, node, side.ours, half=half, coarse=name in coarse
        )
        made = side.exact.computed(name)
        rows.append(
            Row(
                step=step,
                node=node,
                value=name,
                kind=sidecar.kinds.get(name, ""),
                precision="float16" if half else "float32",
                error=relative_error(side.free.values[name], value),
                local=local_error(exported, side, name, made, half=half),
                floor=floor,
                rounded=relative_error(side.held.computed(name), value),
                rounded_floor=rounded_floor,
                constants=0.0 if moved is None else _finite(moved.computed(name), made),
            )
        )
    return rows


def _moved(side: Side, evaluator: Evaluator) -> Evaluation | None:
    """The exact run once more with other constants; None if none of them is float16."""
    change = moved_constants(evaluator)
    if not change:
        return None
    state, precision = dict(side.state), Everywhere("float32")
    return evaluator.run(side.inputs, state, put=side.put, precision=precision, change=change)


def local_error(
    exported: Exported, side: Side, name: str, made: torch.Tensor, *, half: bool
) -> float:
    """What an operation adds, on torch's inputs and in float32.

    Args:
        exported: the module in torch.
        side: of the step.
        name: of the value in the program.
        made: what the operation makes of torch's inputs.
        half: whether the program has it in float16: its parameters may be rounded, then.
    """
    rounded = _with_rounded_parameters(exported, side, name) if half else ()
    return _nearest(made, [side.ours_laid[name], *rounded])


def _with_rounded_parameters(exported: Exported, side: Side, name: str) -> list[torch.Tensor]:
    """What torch makes with its parameters in float16."""
    rounded = halved(side.ours, exported.constant)
    made = exported.rerun(side.nodes[name].name, rounded, torch.float64)
    return [laid_out(made, side.orders[name])] if isinstance(made, torch.Tensor) else []


def _finite(moved: torch.Tensor, made: torch.Tensor) -> float:
    # A power of a negative number has no value beside a whole exponent: that exponent is exact.
    error = relative_error(moved, made)
    return error if math.isfinite(error) else 0.0


def _nearest(made: torch.Tensor, references: Sequence[torch.Tensor]) -> float:
    errors = [relative_error(made, each) for each in references]
    return min(errors, key=lambda error: (math.isnan(error), error))


def _on_device(rows: Sequence[Row], side: Side, evaluator: Evaluator, device: Ran) -> list[Row]:
    """The rows of a step with what the device made of it."""
    step = rows[0].step if rows else 0
    theirs: dict[str, torch.Tensor] = {
        name: to_value(each) for name, each in device.steps[step].items()
    }
    # A device starts with zeros, whatever torch does.
    state = side.state if step else evaluator.state()
    if device.states and step:
        state = {name: to_value(each) for name, each in device.states[step - 1].items()}
    held = evaluator.run(side.inputs, dict(state), put=_fitting(theirs, side.free))
    reasons = {each.name: each.reason for each in device.missing}
    made = []
    for row in rows:
        if row.value not in theirs:
            reason = reasons.get(row.value, "the device gave nothing")
            made.append(replace(row, missing=reason))
            continue
        made.append(
            replace(
                row,
                device_error=relative_error(theirs[row.value], side.ours_laid[row.value]),
                device_local=relative_error(theirs[row.value], held.computed(row.value)),
                # What goes in is the device's own, rounded already.
                device_floor=row.rounded_floor if row.precision == "float16" else row.floor,
            )
        )
    return made
