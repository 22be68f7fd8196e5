"""torch module -> Core ML package, with the map of its modules beside it."""

from __future__ import annotations

import gc
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from parity.errors import BackendError, ConfigError
from parity_coreml.exported import Exported, export
from parity_coreml.module_outputs import module_outputs
from parity_coreml.package import open_package
from parity_coreml.placing import Values, place, values_of
from parity_coreml.quiet import coremltools, logged, quietly
from parity_coreml.sidecar import Sidecar, write_sidecar

__all__ = ["PRECISIONS", "Selector", "convert", "convert_exported"]

PRECISIONS = ("float32", "float16")

_MOST_SAID = 400

Selector = Callable[[Any], bool]


def convert(
    module: nn.Module,
    args: Sequence[torch.Tensor],
    package: str | Path,
    *,
    precision: str = "float32",
    selector: Selector | None = None,
    target: str = "iOS18",
    prefix: str = "",
) -> Sidecar:
    """Convert a module through `torch.export`, and map its modules.

    Buffers that the module changes become Core ML states, which are float16.

    Args:
        module: put into evaluation mode.
        args: example inputs, in order; their shapes are the program's.
        package: the `.mlpackage` to write; the sidecar lies beside it.
        precision: float32 or float16.
        selector: in float16: whether an operation computes in it; the others stay in float32.
        target: least deployment target, an attribute of `coremltools.target`.
        prefix: what the tap paths begin with (`mimi.decoder`).

    Returns:
        The sidecar, as it was written.

    Raises:
        BackendError: the module cannot be exported or converted.
        ConfigError: no such precision or target.
    """
    exported = export(module, args)
    sidecar = convert_exported(
        exported, package, precision=precision, selector=selector, target=target
    )
    values = Values(sidecar.values, sidecar.kinds)
    placed, unplaced = place(
        module_outputs(module, args),
        exported,
        exported.run(args),
        _evaluated(sidecar, exported, package, args),
        values,
        prefix=prefix,
    )
    sidecar = replace(sidecar, placed=tuple(placed), unplaced=tuple(unplaced))
    write_sidecar(sidecar, package)
    return sidecar


def convert_exported(
    exported: Exported,
    package: str | Path,
    *,
    precision: str = "float32",
    selector: Selector | None = None,
    target: str = "iOS18",
) -> Sidecar:
    """Convert what was exported already; the sidecar that comes back places no modules yet."""
    ct = coremltools()
    path = Path(package)
    if path.suffix != ".mlpackage":
        raise ConfigError("a package's name ends in .mlpackage", where=str(package))
    with quietly():
        model = _converted(
            ct,
            exported,
            compute_precision=_compute_precision(ct, precision, selector),
            minimum_deployment_target=_target(ct, target),
        )
        # Of an older package nothing may stay behind.
        shutil.rmtree(path, ignore_errors=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        model.save(str(path))
    function = model._mil_program.functions["main"]
    values = values_of(function)
    return Sidecar(
        precision=precision if selector is None else "mixed",
        inputs=tuple(name for name in function.inputs if not _is_state(function.inputs[name])),
        outputs=tuple(variable.name for variable in function.outputs),
        nodes=tuple(exported.nodes.values()),
        values=dict(values.by_handle),
        kinds=dict(values.kinds),
        placed=(),
        states=_states(function, exported),
        versions={"coremltools": str(ct.__version__), "torch": str(torch.__version__)},
    )


def _converted(ct: Any, exported: Exported, **options: Any) -> Any:
    said, where = "", None
    with logged() as lines:
        try:
            return ct.convert(
                exported.program, convert_to="mlprogram", skip_model_load=True, **options
            )
        except Exception as error:  # the converter raises whatever its passes do
            said = _said(error)
            where = _where("\n".join([said, *lines]), exported)
    # Its traceback holds the converter's temporary folder, which warns where it is not let go.
    gc.collect()
    raise BackendError(
        f"coremltools cannot convert it: {said}",
        where=where,
        hint="wrap what it does not know in a module of its own, or convert a smaller part",
    )


def _where(log: str, exported: Exported) -> str | None:
    """The operation at which the converter stopped: of most it is named in its log only."""
    names = re.findall(r"(?:Unsupported fx node |located at: '(?:\S*/)?)(\w+)", log)
    node = exported.by_name.get(names[-1]) if names else None
    if node is None:
        return None
    around = (node.modules[-1] if node.modules else "", node.source)
    return f"{node.target} in {', '.join(filter(None, around))}" if any(around) else node.target


def _evaluated(
    sidecar: Sidecar, exported: Exported, package: str | Path, args: Sequence[torch.Tensor]
) -> Mapping[str, torch.Tensor]:
    evaluator = open_package(package).evaluator()
    state = exported.started(sidecar.states)
    return evaluator.run(dict(zip(sidecar.inputs, args, strict=True)), state).values


def _states(function: Any, exported: Exported) -> dict[str, str]:
    """The program's states -> the placeholders of the buffers that they are, in order."""
    names = [name for name, variable in function.inputs.items() if _is_state(variable)]
    return dict(zip(names, exported.states, strict=True))


def _is_state(variable: Any) -> bool:
    from coremltools.converters.mil.mil import types  # noqa: PLC0415

    return bool(types.is_state(variable.sym_type))


def _compute_precision(ct: Any, precision: str, selector: Selector | None) -> Any:
    if precision not in PRECISIONS:
        raise ConfigError(
            f"no such precision: {precision!r}; there are {' and '.join(PRECISIONS)}",
            where="precision",
        )
    if precision == "float32":
        return ct.precision.FLOAT32
    if selector is None:
        return ct.precision.FLOAT16
    return ct.transform.FP16ComputePrecision(op_selector=selector)


def _target(ct: Any, name: str) -> Any:
    targets = {each.name for each in ct.target}
    if name not in targets:
        raise ConfigError(
            f"no such deployment target: {name!r}",
            where="target",
            hint=f"one of {', '.join(sorted(targets))}",
        )
    return ct.target[name]


def _said(error: Exception) -> str:
    """The error on one line: what is wrong may stand in any of its own."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " ".join(lines) or type(error).__name__
    return text if len(text) <= _MOST_SAID else f"{text[:_MOST_SAID]}..."
