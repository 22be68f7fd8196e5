"""Finds the map of a package that was converted elsewhere, and writes it beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from parity.errors import InputError
from parity_coreml.exported import Exported, export
from parity_coreml.graphs import Match, says_nothing
from parity_coreml.matching import Progress, match
from parity_coreml.mil import Evaluator
from parity_coreml.mil.evaluator import check_shape
from parity_coreml.mil.values import declared_dtype
from parity_coreml.module_outputs import module_outputs
from parity_coreml.package import Package, open_package
from parity_coreml.placing import Values, place
from parity_coreml.sidecar import Sidecar, sidecar_path, write_sidecar

__all__ = ["map_package"]

# States are float16, whatever the program computes in.
_NOT_COMPUTED = ("const", "cast", "identity", "read_state", "coreml_update_state")


def map_package(
    module: nn.Module,
    args: Sequence[torch.Tensor],
    package: str | Path,
    *,
    prefix: str = "",
    progress: Progress | None = None,
) -> Sidecar:
    """Map a package without a sidecar to its module, by what both compute.

    Args:
        module: that the package was converted from, put into evaluation mode.
        args: example inputs, in order.
        package: the `.mlpackage`, converted through `torch.export` or TorchScript.
        prefix: what the tap paths begin with.
        progress: called with how often the program has been evaluated.

    Returns:
        The sidecar, as it was written.

    Raises:
        InputError: it has a map; its inputs, outputs or states are not the module's; or no
            operation of the module is in it.
        BackendError: the module cannot be exported, or the program not evaluated.
    """
    if sidecar_path(package).exists():
        raise InputError(
            "the package has a map already",
            where=str(sidecar_path(package)),
            hint="remove it if you want another",
        )
    opened, exported = open_package(package), export(module, args)
    evaluator = opened.evaluator()
    inputs = _inputs(opened, evaluator, exported, args)
    states = _states(opened, evaluator, exported)
    outputs = _outputs(opened, exported)
    found = _matched(exported, args, evaluator, inputs, states, progress=progress)
    if not found:
        raise InputError(
            "nothing in the package computes what any operation of the module does",
            where=str(package),
            hint="was it converted from this module, with these weights, in evaluation mode?",
        )
    values = _values(found, evaluator)
    placed, unplaced = place(
        module_outputs(module, args),
        exported,
        exported.run(args),
        evaluator.run(inputs, exported.started(states)).values,
        values,
        prefix=prefix,
    )
    sidecar = Sidecar(
        precision=_precision(evaluator),
        inputs=tuple(inputs),
        outputs=outputs,
        nodes=tuple(exported.nodes.values()),
        values=dict(values.by_handle),
        kinds=dict(values.kinds),
        placed=tuple(placed),
        unplaced=tuple(unplaced),
        states=states,
        versions={"torch": str(torch.__version__)},
        by_values=True,
    )
    write_sidecar(sidecar, package)
    return sidecar


def _matched(
    exported: Exported,
    args: Sequence[torch.Tensor],
    evaluator: Evaluator,
    inputs: Mapping[str, torch.Tensor],
    states: Mapping[str, str],
    *,
    progress: Progress | None,
) -> dict[str, Match]:
    ours_state = exported.kept(_told_apart(exported.initial_state()))
    theirs_state = {name: ours_state[each].float() for name, each in states.items()}
    ours = exported.run(args, ours_state)
    return match(exported, ours, evaluator, inputs, theirs_state, progress=progress)


def _values(found: Mapping[str, Match], evaluator: Evaluator) -> Values:
    by_handle: dict[int, tuple[str, ...]] = {}
    # What first holds an operation's result made it, and stands last; the others are copies.
    for name in reversed(list(found)):
        handle = found[name].node.handle
        by_handle[handle] = (*by_handle.get(handle, ()), name)
    kinds = {
        variable.name: operation.op_type
        for operation in evaluator.operations
        for variable in operation.outputs
        if operation.op_type != "const"
    }
    return Values(by_handle, kinds)


def _inputs(
    package: Package, evaluator: Evaluator, exported: Exported, args: Sequence[torch.Tensor]
) -> dict[str, torch.Tensor]:
    """The arguments in order, by the names that the program has for them.

    By name if all agree, or else in the program's order.
    """
    names = [name for name in evaluator.function.inputs if name not in evaluator.state()]
    if len(names) != len(args):
        raise InputError(
            f"the package takes {', '.join(names) or 'nothing'}, and the module "
            f"{', '.join(exported.inputs) or 'nothing'}",
            where=str(package.path),
        )
    if set(names) == set(exported.inputs):
        names = list(exported.inputs)
    given = dict(zip(names, args, strict=True))
    try:
        for name, value in given.items():
            check_shape(name, evaluator.function.inputs[name], value)
    except InputError as error:
        raise InputError(
            f"for {exported.inputs[names.index(name)]}, {error.what}",
            where=f"{package.path}, {name}",
            hint="inputs are taken in the program's order, which is "
            f"{', '.join(names)}; write a module around yours that takes them so",
        ) from error
    return given


def _outputs(package: Package, exported: Exported) -> tuple[str, ...]:
    names = tuple(variable.name for variable in package.function().outputs)
    if len(names) != len(exported.returned()):
        raise InputError(
            f"the package returns {len(names)} values, and the module {len(exported.returned())}",
            where=str(package.path),
        )
    return names


def _states(package: Package, evaluator: Evaluator, exported: Exported) -> dict[str, str]:
    """The program's states -> the placeholders of their buffers: by name, or in order."""
    theirs, ours = evaluator.state(), exported.initial_state()
    named = {exported.states[each].replace(".", "_"): each for each in ours}
    found = {name: named.get(name.replace(".", "_"), "") for name in theirs}
    if not all(found.values()):
        found = dict(zip(theirs, ours, strict=False))
    fits = len(theirs) == len(ours) and all(
        theirs[name].shape == ours[each].shape for name, each in found.items()
    )
    if not fits:
        raise InputError(
            f"the package keeps {_said(theirs)}, and the module {_said(ours)}",
            where=str(package.path),
            hint="a state is a buffer that the module changes while it runs",
        )
    return found


def _said(states: Mapping[str, torch.Tensor]) -> str:
    return ", ".join(f"{name} {list(each.shape)}" for name, each in states.items()) or "no states"


def _told_apart(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """States as a run may find them: from zeros alone nothing could be told apart."""
    drawn = torch.Generator().manual_seed(0)
    return {
        name: torch.randn(each.shape, generator=drawn)
        if each.is_floating_point() and each.numel() > 1 and says_nothing(each)
        else each
        for name, each in state.items()
    }


def _precision(evaluator: Evaluator) -> str:
    """Of what the program computes."""
    declared = {
        declared_dtype(variable)
        for operation in evaluator.operations
        if operation.op_type not in _NOT_COMPUTED
        for variable in operation.outputs
    }
    floats = sorted(str(each) for each in declared if each.kind == "f")
    return floats[0] if len(floats) == 1 else "mixed"
