"""A package with the arguments that its operations should have."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from parity.errors import InputError
from parity_coreml.causes import Cause
from parity_coreml.package import Package, save_package
from parity_coreml.sidecar import sidecar_path

__all__ = ["repair"]


def repair(package: Package, causes: Iterable[Cause], path: str | Path) -> None:
    """Write the package with each cause removed, and its sidecar beside it.

    Args:
        package: as it was converted.
        causes: what to change.
        path: of the new package, which is replaced if it is there; it may be the same.

    Raises:
        InputError: an operation is not in the package, or its argument is computed.
    """
    path = Path(path)
    spec = package.model.get_spec()
    function = spec.mlProgram.functions["main"]
    block = function.block_specializations[function.opset]
    for number, cause in enumerate(causes):
        _change(block, cause, f"{cause.operation}_{cause.argument}_repaired_{number}")
    save_package(spec, package.model.weights_dir, path)
    beside = sidecar_path(package.path)
    if beside.is_file() and beside.resolve() != sidecar_path(path).resolve():
        shutil.copyfile(beside, sidecar_path(path))


def _change(block: Any, cause: Cause, name: str) -> None:
    """Bind the argument to a constant of its own: the old one may serve other operations too."""
    position, operation = _find(block, cause)
    binding = operation.inputs[cause.argument].arguments[0]
    old = next((each for each in block.operations if _makes(each, binding.name)), None)
    if old is None or old.type != "const":
        raise InputError(f"its argument {cause.argument} is not a constant", where=cause.operation)
    new = type(old)()
    new.CopyFrom(old)
    new.outputs[0].name = name
    if "name" in new.attributes:
        new.attributes["name"].immediateValue.tensor.strings.values[0] = name
    _set(new.attributes["val"], new.outputs[0], cause)
    binding.name = name
    block.operations.insert(position, new)


def _find(block: Any, cause: Cause) -> tuple[int, Any]:
    for position, operation in enumerate(block.operations):
        named = operation.attributes["name"].immediateValue.tensor.strings.values
        if operation.type == cause.kind and cause.operation in (*named, *_outputs(operation)):
            return position, operation
    raise InputError(f"no {cause.kind} of this name in the package", where=cause.operation)


def _outputs(operation: Any) -> list[str]:
    return [output.name for output in operation.outputs]


def _makes(operation: Any, name: str) -> bool:
    return name in _outputs(operation)


def _set(value: Any, output: Any, cause: Cause) -> None:
    """Write the value into the place and the type of the old one."""
    from coremltools.converters.mil.backend.mil import helper  # noqa: PLC0415
    from coremltools.converters.mil.frontend.milproto.helper import (  # noqa: PLC0415
        proto_to_types,
    )
    from coremltools.converters.mil.mil import types  # noqa: PLC0415

    kind = proto_to_types(output.type)
    if isinstance(cause.should, str):
        value.CopyFrom(helper.create_scalar_value(cause.should))
        return
    several = types.is_tensor(kind)
    element = kind.get_primitive() if several else kind
    array = np.asarray(cause.should, dtype=types.nptype_from_builtin(element))
    create = helper.create_tensor_value if several else helper.create_scalar_value
    value.CopyFrom(create(array if several else array[()]))
