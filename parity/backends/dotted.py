"""Find a Python object by its dotted target, `module:attribute`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType

from parity.errors import BackendError, MissingExtraError

__all__ = ["resolve"]


def resolve(target: str, *, python_path: Iterable[str | Path] = ()) -> object:
    """The object that `module:attribute` names.

    Args:
        target: an importable module, a colon, and a dotted attribute (`my_port.run:Program`).
        python_path: folders to look for the module in, before the installed ones. They stay on
            `sys.path`, because a port may import its own parts while it runs.

    Raises:
        BackendError: the target is malformed, or its module or attribute does not exist or fails
            to import.
        MissingExtraError: the module needs another one that is not installed.
    """
    module_name, colon, attribute = target.partition(":")
    if not (colon and module_name and attribute):
        raise BackendError(
            f"{target!r} is not of the form module:attribute",
            hint="write it like my_port.run:Program",
        )
    _extend_path(python_path)
    found: object = _import(module_name, target)
    for name in attribute.split("."):
        found = _attribute(found, name, target)
    return found


def _extend_path(folders: Iterable[str | Path]) -> None:
    for folder in reversed([str(Path(folder).resolve()) for folder in folders]):
        if folder not in sys.path:
            sys.path.insert(0, folder)


def _import(module_name: str, target: str) -> ModuleType:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or module_name
        if module_name == missing or module_name.startswith(f"{missing}."):
            raise BackendError(
                f"no module named {missing!r}",
                where=target,
                hint="check the spelling, or name its folder with the option python_path",
            ) from error
        raise MissingExtraError(
            f"importing {module_name!r} needs {missing!r}, which is not installed",
            where=target,
            hint=f"install {missing!r} into {sys.prefix}, then run `parity doctor`",
        ) from error
    except Exception as error:
        raise BackendError(
            f"importing {module_name!r} failed: {type(error).__name__}: {error}",
            where=target,
            hint=f"python -c 'import {module_name}' shows the whole traceback",
        ) from error


def _attribute(owner: object, name: str, target: str) -> object:
    try:
        return getattr(owner, name)
    except AttributeError as error:
        near = get_close_matches(name, dir(owner), n=1)
        raise BackendError(
            f"{getattr(owner, '__name__', owner)!r} has no attribute {name!r}",
            where=target,
            hint=f"did you mean {near[0]!r}?" if near else "check the spelling after the colon",
        ) from error
