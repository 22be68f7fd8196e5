"""From the option `program` to something that runs cases."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import torch
from torch import nn

from parity.backends import resolve
from parity.errors import BackendError, ConfigError
from parity.tensors import Case
from parity_torch.module_program import ModuleProgram
from parity_torch.program import Program

__all__ = ["build_program"]


def build_program(
    program: object, options: Mapping[str, object], python_path: Sequence[str | Path] = ()
) -> Program:
    """The program that `program` names or is.

    Weights that it draws while it is built are the same each time: torch's generator is seeded
    with 0 for that, and restored afterwards.

    Args:
        program: `module:attribute`, or the object itself: a program, a module, or a callable that
            takes the options and returns either.
        options: keywords of that callable.
        python_path: folders to look for the module in.

    Raises:
        BackendError: it cannot be found, or is neither.
        ConfigError: it does not take these options.
    """
    name = program if isinstance(program, str) else getattr(program, "__name__", "program")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        found = resolve(program, python_path=python_path) if isinstance(program, str) else program
        # Again: importing the module may have drawn, the first time.
        torch.manual_seed(0)
        if isinstance(found, type) or not _usable(found):
            found = _called(found, options, str(name))
        elif options:
            raise ConfigError(
                f"{name} is an object and takes no options; got {', '.join(options)}",
                where="program",
                hint="name a class or a function that takes them",
            )
    if isinstance(found, nn.Module):
        return ModuleProgram(found)
    if not _usable(found):
        raise _unusable(found, str(name))
    return _Completed(found)


def _usable(found: object) -> bool:
    return isinstance(found, nn.Module) or callable(getattr(found, "run", None))


def _called(factory: object, options: Mapping[str, object], name: str) -> object:
    if not callable(factory):
        raise _unusable(factory, name)
    try:
        return cast(Callable[..., object], factory)(**options)
    except TypeError as error:
        # A wrong keyword is the usual cause; one raised deeper has frames of its own.
        if error.__traceback__ is None or error.__traceback__.tb_next is not None:
            raise
        raise ConfigError(
            f"{name} does not take these options: {error}",
            where="program",
            hint="options that the backend does not know are passed to the program",
        ) from error


def _unusable(found: object, name: str) -> BackendError:
    return BackendError(
        f"{name} gives a {type(found).__name__}; needed is a torch.nn.Module or an object with a "
        "method run(case)",
        where="program",
        hint="adapters/torch/README.md shows both",
    )


class _Completed:
    """A program with the attributes that it leaves out."""

    def __init__(self, program: Any) -> None:
        self._program = program
        self.name: str = getattr(program, "name", type(program).__name__)
        self.modules: Mapping[str, nn.Module] = _mapping(program, "modules")
        self.functions: Sequence[str] = tuple(getattr(program, "functions", ()))
        self.phases: Mapping[str, str] = _mapping(program, "phases")
        self.steps: Mapping[str, str] = _mapping(program, "steps")
        self.facts: Mapping[str, str | int | float | bool] = _mapping(program, "facts")

    def run(self, case: Case) -> Mapping[str, torch.Tensor]:
        """Run the program; one without outputs may return None."""
        outputs = self._program.run(case)
        if outputs is None:
            return {}
        if not isinstance(outputs, Mapping):
            raise BackendError(
                f"run(case) returned a {type(outputs).__name__}, not a mapping of outputs by name",
                where=self.name,
                hint='return {"waveform": tensor}',
            )
        return outputs


def _mapping(program: object, attribute: str) -> Mapping[str, Any]:
    found: object = getattr(program, attribute, MappingProxyType({}))
    if not isinstance(found, Mapping):
        raise BackendError(
            f"its attribute {attribute!r} is a {type(found).__name__}, not a mapping",
            where=type(program).__name__,
        )
    return found
