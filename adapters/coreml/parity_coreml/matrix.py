"""One table of precisions and of what ran them: the error at the outputs, and the time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from parity_coreml.errors_of import relative_error
from parity_coreml.exported import Exported, export
from parity_coreml.package import open_package
from parity_coreml.runners.evaluate import EvaluatorRunner
from parity_coreml.runners.protocol import Ran
from parity_coreml.sidecar import Sidecar, read_sidecar

__all__ = ["Cell", "matrix", "matrix_to_text"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One package, run by one runner.

    Attributes:
        package: its name.
        precision: that it was converted in.
        runner: who ran it: the evaluator, or a device with its compute units.
        error: the worst relative error of an output against torch, over all steps; NaN if an
            output did not come.
        seconds: of a step, the median; NaN where the runner does not know.
        missing: how many values did not come.
    """

    package: str
    precision: str
    runner: str
    error: float
    seconds: float
    missing: int


def matrix(
    module: nn.Module,
    steps: Sequence[Sequence[torch.Tensor]],
    packages: Sequence[str | Path],
    ran: Mapping[str, Sequence[Ran]] | None = None,
) -> list[Cell]:
    """Every package, evaluated as it declares, and on every device that ran it.

    Args:
        module: that all packages were converted from.
        steps: its arguments, one sequence a step.
        packages: in different precisions, for instance.
        ran: what devices made of a package, by its path as given.
    """
    exported = export(module, steps[0])
    reference = _reference(exported, steps)
    cells = []
    for path in packages:
        package, sidecar = open_package(path), read_sidecar(path)
        inputs = [
            dict(zip(sidecar.inputs, (each.numpy() for each in step), strict=True))
            for step in steps
        ]
        evaluated = EvaluatorRunner().run(package, inputs)
        every = (evaluated, *(ran or {}).get(str(path), ()))
        cells += [_cell(Path(path).name, sidecar, each, reference) for each in every]
    return cells


def _reference(
    exported: Exported, steps: Sequence[Sequence[torch.Tensor]]
) -> list[list[torch.Tensor]]:
    state, outputs = exported.kept(exported.initial_state()), []
    for step in steps:
        values = exported.run(step, state)
        state = exported.kept(state)
        outputs.append([values[name] for name in exported.outputs])
    return outputs


def _cell(
    name: str, sidecar: Sidecar, ran: Ran, reference: Sequence[Sequence[torch.Tensor]]
) -> Cell:
    errors = [
        relative_error(made[output], ours) if output in made else math.nan
        for made, expected in zip(ran.steps, reference, strict=True)
        for output, ours in zip(sidecar.outputs, expected, strict=True)
    ]
    worst = math.nan if any(map(math.isnan, errors)) else max(errors)
    times = sorted(ran.seconds)
    seconds = times[len(times) // 2] if times else math.nan
    return Cell(name, sidecar.precision, ran.runner, worst, seconds, len(ran.missing))


def matrix_to_text(cells: Sequence[Cell]) -> str:
    """The table as Markdown, runners beside precisions."""
    lines = [
        "| package | precision | run by | error at the outputs | ms a step | values missing |",
        "|---|---|---|---|---|---|",
    ]
    for cell in cells:
        time = "" if math.isnan(cell.seconds) else f"{1000 * cell.seconds:.2f}"
        # An evaluator's time says nothing of a device's.
        time = "" if cell.runner.startswith("evaluator") else time
        error = "an output is missing, or NaN" if math.isnan(cell.error) else f"{cell.error:.1e}"
        lines.append(
            f"| {cell.package} | {cell.precision} | {cell.runner} | {error} | {time} "
            f"| {cell.missing or ''} |"
        )
    return "\n".join(lines) + "\n"
