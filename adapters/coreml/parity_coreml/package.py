"""A Core ML package on disk: its specification, its program, its values."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from parity.errors import InputError
from parity_coreml.mil import Evaluator, Precision
from parity_coreml.quiet import coremltools, quietly

__all__ = ["Package", "open_package", "save_package"]


@dataclass(eq=False)
class Package:
    """An opened package, of which nothing is compiled or run.

    Attributes:
        path: of the folder.
        model: coremltools' `MLModel`, not loaded into any runtime.
    """

    path: Path
    model: Any

    @cached_property
    def specification(self) -> Any:
        """The protobuf; a copy of its own."""
        return self.model.get_spec()

    @cached_property
    def program(self) -> Any:
        """The MIL program, with its weights as numpy arrays."""
        from coremltools.converters.mil.frontend.milproto import load  # noqa: PLC0415

        spec = self.specification
        try:
            with quietly():
                return load.load(
                    spec,
                    specification_version=spec.specificationVersion,
                    file_weights_dir=self.model.weights_dir,
                )
        except Exception as error:  # whatever the reader of weights and every operation's check say
            said = str(error).strip().splitlines() or [type(error).__name__]
            raise InputError(
                f"its program or its weights cannot be read: {said[0]}",
                where=str(self.path),
                hint="the package is damaged, or not consistent: convert the model again",
            ) from error

    def function(self, name: str = "main") -> Any:
        """One of its functions.

        Raises:
            InputError: it has none of that name.
        """
        functions: Mapping[str, Any] = self.program.functions
        if name not in functions:
            raise InputError(
                f"no function {name!r}; it has: {', '.join(functions)}", where=str(self.path)
            )
        return functions[name]

    def evaluator(self, precision: Precision | None = None, function: str = "main") -> Evaluator:
        """Its program, ready to be evaluated."""
        return Evaluator(self.function(function), precision)

    def operations(self, function: str = "main") -> Iterator[Any]:
        """Everything that it computes, constants left out."""
        return (each for each in self.function(function).operations if each.op_type != "const")


def save_package(spec: Any, weights: str | None, path: Path) -> None:
    """Write a package, which replaces one that is there once it is whole.

    Args:
        spec: the protobuf.
        weights: folder of the weights, which may lie in the package that is replaced.
        path: of the `.mlpackage`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder, quietly():
        whole = Path(folder) / "whole.mlpackage"
        coremltools().models.MLModel(spec, weights_dir=weights, skip_model_load=True).save(
            str(whole)
        )
        shutil.rmtree(path, ignore_errors=True)
        whole.replace(path)


def open_package(path: str | Path) -> Package:
    """Open a `.mlpackage`.

    Raises:
        InputError: there is none, or it cannot be read, or it is not an ML program.
    """
    path = Path(path)
    if not path.is_dir():
        raise InputError(
            "no such package" if not path.exists() else "not a folder, and so not an .mlpackage",
            where=str(path),
            hint="convert a model with `parity coreml convert`",
        )
    ct = coremltools()
    try:
        with quietly():
            model = ct.models.MLModel(str(path), skip_model_load=True)
            kind = model.get_spec().WhichOneof("Type")
    except Exception as error:  # whatever the native reader throws
        raise InputError(f"not a readable package: {error}", where=str(path)) from error
    if kind != "mlProgram":
        raise InputError(
            f"holds a {kind}, not an ML program",
            where=str(path),
            hint='convert the model anew with convert_to="mlprogram"',
        )
    return Package(path, model)
