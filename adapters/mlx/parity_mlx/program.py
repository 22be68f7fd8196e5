"""From the option `program` to something that runs cases."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import mlx.core as mx
import numpy as np
from mlx import nn

from parity.backends import resolve
from parity.errors import BackendError, ConfigError, InputError
from parity.tensors import Case
from parity_mlx.arrays import to_mlx

__all__ = ["Program", "build_program"]


class Program(Protocol):
    """An MLX port, ready to run cases.

    Attributes:
        modules: the models whose calls are recorded, by the name that their paths begin with.
    """

    modules: Mapping[str, nn.Module]

    def run(self, case: Case) -> Mapping[str, mx.array] | None:
        """Run `case` once, from a fresh state; further outputs by name, if there are any."""
        ...


def build_program(
    program: object,
    options: Mapping[str, object],
    *,
    prefix: str = "",
    inputs: Mapping[str, Sequence[int]] | None = None,
    python_path: Sequence[str | Path] = (),
) -> Program:
    """The program that `program` names or is. Random weights are the same each time.

    Args:
        program: `module:attribute` or the object itself: a module, a program, or a callable that
            takes the options and returns either.
        options: of that callable.
        prefix: name of a module in the reference.
        inputs: the order of axes that a module takes, by name of the case's array.
        python_path: folders to look for it in.

    Raises:
        BackendError: it cannot be found, or is neither.
        ConfigError: it does not take these options.
    """
    mx.random.seed(0)
    found = resolve(program, python_path=python_path) if isinstance(program, str) else program
    if isinstance(found, type) or not _usable(found):
        found = _called(found, options)
    elif options:
        raise ConfigError(
            f"the program is an object and takes no options; got {', '.join(options)}",
            where="program",
        )
    if isinstance(found, nn.Module):
        return _Module(found, prefix, inputs or {})
    modules = getattr(found, "modules", None)
    held = list(modules.values()) if isinstance(modules, Mapping) else []
    if not _usable(found) or not held or not all(isinstance(one, nn.Module) for one in held):
        raise _unusable(found)
    return cast(Program, found)


def _usable(found: object) -> bool:
    return isinstance(found, nn.Module) or callable(getattr(found, "run", None))


def _called(factory: object, options: Mapping[str, object]) -> object:
    if not callable(factory):
        raise _unusable(factory)
    try:
        return cast(Callable[..., object], factory)(**options)
    except TypeError as error:
        if error.__traceback__ is None or error.__traceback__.tb_next is not None:
            raise  # raised deeper, by the port itself
        raise ConfigError(
            f"the program does not take these options: {error}",
            where="program",
            hint="options that the backend does not know are passed to the program",
        ) from error


def _unusable(found: object) -> BackendError:
    return BackendError(
        f"is a {type(found).__name__}; needed is an mlx.nn.Module, or an object with a mapping "
        "`modules` from names to such modules and a method run(case)",
        where="program",
        hint="adapters/mlx/README.md shows both",
    )


class _Module:
    """A module as a program: the case's arrays are its arguments, in order or by name."""

    def __init__(self, module: nn.Module, prefix: str, inputs: Mapping[str, Sequence[int]]) -> None:
        self._module = module
        self._axes = inputs
        self.modules: Mapping[str, nn.Module] = {prefix: module}

    def run(self, case: Case) -> None:
        self._module.eval()
        for name in self._axes:
            if name not in case.arrays:
                raise InputError(f"the case has no array {name!r}", where="inputs")
        arrays = {name: to_mlx(self._turned(name, a)) for name, a in case.arrays.items()}
        args: tuple[mx.array, ...] = ()
        if len(arrays) == 1 or all(name.isdecimal() for name in arrays):
            in_order = sorted(arrays, key=int) if len(arrays) > 1 else arrays
            args, arrays = tuple(arrays[name] for name in in_order), {}
        try:
            inspect.signature(type(self._module).__call__).bind(self._module, *args, **arrays)
        except TypeError as error:
            raise InputError(
                f"its arrays do not fit the call of {type(self._module).__name__}: {error}",
                where=f"case {case.name}",
                hint="name them after its parameters, or 0, 1, ... by position; or write a program "
                "with a method run(case)",
            ) from error
        self._module(*args, **arrays)

    def _turned(self, name: str, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        axes = self._axes.get(name)
        if axes is None:
            return array
        if sorted(axes) != list(range(array.ndim)):
            raise InputError(
                f"{list(axes)} is no order of the {array.ndim} axes of {name!r}", where="inputs"
            )
        return np.ascontiguousarray(array.transpose(tuple(axes)))
