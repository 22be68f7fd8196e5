"""Packages whose intermediate values come out, by rewriting what they declare as outputs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parity_coreml.missing import Missing
from parity_coreml.package import Package, save_package

__all__ = ["BATCH", "Exposable", "batches", "exposable", "instrument"]

# With many more outputs a runtime may plan, fuse and place the program differently.
BATCH = 20


@dataclass(frozen=True, slots=True)
class Exposable:
    """A value that can be made an output.

    Attributes:
        name: in the program.
        dtype: float16, float32 or int32.
        shape: its extents.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]


def exposable(package: Package) -> tuple[list[Exposable], list[Missing]]:
    """The values of the main function that can come out, and those that cannot, with the reason."""
    block = _block(package.specification)
    kinds = _kinds()
    found, left = [], []
    for operation in block.operations:
        if operation.type in ("const", "coreml_update_state", "write_state"):
            continue
        for output in operation.outputs:
            tensor = output.type.tensorType
            if not output.type.HasField("tensorType"):
                left.append(Missing(output.name, "not a tensor"))
            elif tensor.dataType not in kinds:
                left.append(Missing(output.name, f"{_word(tensor.dataType)} cannot be an output"))
            elif any(each.WhichOneof("dimension") != "constant" for each in tensor.dimensions):
                left.append(Missing(output.name, "its shape is only known when it runs"))
            elif not tensor.dimensions:
                left.append(Missing(output.name, "a scalar cannot be an output"))
            else:
                shape = tuple(int(each.constant.size) for each in tensor.dimensions)
                found.append(Exposable(output.name, kinds[tensor.dataType], shape))
    return found, left


def batches(values: Sequence[Exposable], own: Iterable[str], size: int = BATCH) -> list[list[str]]:
    """The values that are no outputs anyway, in groups of at most `size`."""
    names = [value.name for value in values if value.name not in set(own)]
    return [names[at : at + size] for at in range(0, len(names), size)]


def instrument(package: Package, values: Sequence[Exposable], path: Path) -> None:
    """Write the package with more outputs, in the order of `values`.

    Nothing is converted again: the program is the same, and so are its weights.

    Args:
        package: as it was converted.
        values: to come out as well.
        path: of the new package, which is replaced if it is there.
    """
    spec = package.model.get_spec()
    block = _block(spec)
    types = {word: number for number, word in _feature_types().items()}
    for value in values:
        if value.name in block.outputs:
            continue
        block.outputs.append(value.name)
        feature = spec.description.output.add()
        feature.name = value.name
        feature.type.multiArrayType.dataType = types[value.dtype]
        feature.type.multiArrayType.shape.extend(value.shape)
    save_package(spec, package.model.weights_dir, path)


def _block(spec: Any) -> Any:
    function = spec.mlProgram.functions["main"]
    return function.block_specializations[function.opset]


def _kinds() -> dict[int, str]:
    """MIL's numbers of the types that an output may have."""
    from coremltools import proto  # noqa: PLC0415 - seconds to load

    kinds = proto.MIL_pb2.DataType
    return {kinds.FLOAT16: "float16", kinds.FLOAT32: "float32", kinds.INT32: "int32"}


def _word(kind: int) -> str:
    from coremltools import proto  # noqa: PLC0415

    return str(proto.MIL_pb2.DataType.Name(kind)).lower()


def _feature_types() -> dict[int, str]:
    from coremltools import proto  # noqa: PLC0415

    kinds = proto.FeatureTypes_pb2.ArrayFeatureType
    return {kinds.FLOAT16: "float16", kinds.FLOAT32: "float32", kinds.INT32: "int32"}
