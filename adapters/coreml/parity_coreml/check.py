"""One comparison of a package with the module that it was converted from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from parity.errors import InputError
from parity_coreml.attribution import FACTOR, STATE_BOUND, Row, Side, attribute
from parity_coreml.causes import Cause, find_causes
from parity_coreml.coverage import Coverage, cover
from parity_coreml.errors_of import nan_last
from parity_coreml.exported import Exported, export
from parity_coreml.missing import Missing
from parity_coreml.package import open_package
from parity_coreml.returned import Returned, compare_returned
from parity_coreml.runners.protocol import Ran
from parity_coreml.sidecar import Sidecar, read_sidecar
from parity_coreml.starting import moved_by_zeros

__all__ = ["Checked", "check"]


@dataclass(frozen=True, slots=True, eq=False)
class Checked:
    """What a comparison found.

    Attributes:
        package: its path.
        precision: of the package.
        by_values: whether the map was found by what both compute, after the conversion.
        runners: who computed the sides, reference first.
        rows: every operation, every step.
        causes: what the converter got wrong, by the value where it shows.
        coverage: of the evaluated program.
        device_coverage: of the device, if there was one.
        outputs: relative error of each of the module's outputs, worst step, as evaluated.
        device_outputs: likewise on the device.
        states: how far each state is from torch's, worst step.
        starts: states that are not zeros when torch starts, and how far the outputs move because
            they are when Core ML does; only those whose start shows there.
        returned: what the module itself returns, against the graph that torch.export made of it.
        nothing: operations of torch that have no finite number to compare.
        missing: values that the device did not give.
        changed: how far values of the device moved when further ones came out.
        unplaced: module outputs without a value, each with the reason.
        inferred: operations that constant folding computed, by their type.
        sides: for looking closer; not part of any report.
    """

    package: Path
    precision: str
    by_values: bool
    runners: tuple[str, ...]
    rows: tuple[Row, ...]
    causes: Mapping[str, Cause]
    coverage: Coverage
    device_coverage: Coverage | None
    outputs: Mapping[str, float]
    device_outputs: Mapping[str, float]
    states: Mapping[str, float]
    starts: Mapping[str, float]
    returned: tuple[Returned, ...]
    nothing: tuple[str, ...]
    missing: tuple[Missing, ...]
    changed: Mapping[str, float]
    unplaced: tuple[str, ...]
    inferred: tuple[str, ...]
    sides: tuple[Side, ...]

    @property
    def converter(self) -> tuple[Row, ...]:
        """Operations that the converter got wrong."""
        return tuple(row for row in self.rows if row.by_converter)

    @property
    def precise(self) -> tuple[Row, ...]:
        """Operations that the declared precision breaks."""
        return tuple(row for row in self.rows if row.by_precision)

    @property
    def export(self) -> tuple[Returned, ...]:
        """Outputs of which the exported graph is another model than the module."""
        return tuple(each for each in self.returned if each.beyond(FACTOR))

    @property
    def wrong_states(self) -> tuple[str, ...]:
        """States that the program does not keep as torch does; NaN counts as that."""
        return tuple(name for name, error in self.states.items() if not error <= STATE_BOUND)

    @property
    def runtime(self) -> tuple[Row, ...]:
        """Operations that the device got wrong."""
        return tuple(row for row in self.rows if row.by_runtime)

    @property
    def silent(self) -> tuple[str, ...]:
        """Outputs that a device was to give and did not."""
        return tuple(name for name, error in self.device_outputs.items() if math.isnan(error))

    @property
    def holds(self) -> bool | None:
        """Whether nobody got anything wrong; None if nothing could be compared.

        A device that gives no value at all leaves nothing to conclude of it; one that leaves out
        what the model returns got that wrong.
        """
        on_device = self.device_coverage is None or any(row.on_device for row in self.rows)
        if not self.rows or not on_device:
            return None
        wrong = (
            self.export,
            self.converter,
            self.precise,
            self.runtime,
            self.wrong_states,
            self.starts,
            self.silent,
        )
        return not any(wrong)


def check(
    module: nn.Module,
    steps: Sequence[Sequence[torch.Tensor]],
    package: str | Path,
    device: Ran | None = None,
) -> Checked:
    """Compare a package with its module, operation by operation.

    Args:
        module: that it was converted from.
        steps: its arguments, one sequence a step; states go from step to step.
        package: the `.mlpackage`, with its sidecar.
        device: what a device made of the same steps.

    Raises:
        InputError: the package or its sidecar cannot be used, or is of another module.
        BackendError: the module cannot be exported, or the program not evaluated.
    """
    exported = export(module, steps[0])
    sidecar = read_sidecar(package)
    evaluator = open_package(package).evaluator()
    if device is not None and len(device.steps) != len(steps):
        raise InputError(f"the device ran {len(device.steps)} steps of {len(steps)}")
    rows, sides = attribute(exported, evaluator, sidecar, steps, device)
    on_device = None if device is None else set(device.steps[0])
    runners = ("torch", "evaluator (declared)", *(() if device is None else (device.runner,)))
    inferred = sides[0].free.inferred
    moved = moved_by_zeros(exported, steps)
    return Checked(
        package=Path(package),
        precision=sidecar.precision,
        by_values=sidecar.by_values,
        runners=runners,
        rows=tuple(rows),
        causes=find_causes(exported, rows, sides, evaluator, sidecar.values),
        coverage=cover(exported, sidecar, sides[0]),
        device_coverage=None if device is None else cover(exported, sidecar, sides[0], on_device),
        outputs=_outputs(rows, sidecar, "error"),
        device_outputs=_outputs(rows, sidecar, "device_error") if device else {},
        states=_worst_states(sides),
        starts={name: moved[each] for name, each in sidecar.states.items() if each in moved},
        returned=tuple(_returned(module, exported, sidecar, steps, sides)),
        nothing=tuple(dict.fromkeys(name for side in sides for name in side.nothing)),
        missing=() if device is None else device.missing,
        changed={} if device is None else device.changed,
        unplaced=tuple(f"{each}: {each.reason}" for each in sidecar.unplaced),
        inferred=tuple(sorted(set(inferred.values()))),
        sides=tuple(sides),
    )


def _returned(
    module: nn.Module,
    exported: Exported,
    sidecar: Sidecar,
    steps: Sequence[Sequence[torch.Tensor]],
    sides: Sequence[Side],
) -> Iterator[Returned]:
    for step, (args, side) in enumerate(zip(steps, sides, strict=True)):
        state = {sidecar.states[name]: tensor for name, tensor in side.state.items()}
        for each in compare_returned(module, exported, args, state, side.ours):
            yield replace(each, step=step)


def _worst_states(sides: Sequence[Side]) -> dict[str, float]:
    return {
        name: max((side.states[name] for side in sides), key=nan_last) for name in sides[0].states
    }


def _outputs(rows: Sequence[Row], sidecar: Sidecar, attribute: str) -> dict[str, float]:
    worst: dict[str, float] = {}
    for row in rows:
        if row.value in sidecar.outputs:
            error = float(getattr(row, attribute))
            # `max` would lose a NaN that comes second.
            worse = row.value not in worst or not error <= worst[row.value]
            worst[row.value] = error if worse else worst[row.value]
    return worst
