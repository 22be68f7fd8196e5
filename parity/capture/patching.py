"""Finds functions by dotted path and replaces them wherever they are called from."""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from parity.errors import ConfigError

__all__ = ["Patches", "Target", "resolve"]


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A function as found by its dotted path.

    Attributes:
        path: the dotted path as given.
        owner: the class or module whose attribute it is.
        name: of the attribute.
        raw: the attribute as it lies in `owner`, which may be a static or class method.
        instance: the object it was reached through, where it is a method of that object only.
    """

    path: str
    owner: Any
    name: str
    raw: Any
    instance: object | None = None

    @property
    def function(self) -> Callable[..., Any]:
        """The plain function behind a static or class method."""
        function: Callable[..., Any] = getattr(self.raw, "__func__", self.raw)
        return function

    @property
    def takes_self(self) -> bool:
        """Whether its first argument is an object or a class."""
        if isinstance(self.raw, staticmethod):
            return False
        return isinstance(self.owner, type)

    def rewrap(self, function: Callable[..., Any]) -> Any:
        """`function` as the same kind of attribute."""
        if isinstance(self.raw, (staticmethod, classmethod)):
            return type(self.raw)(function)
        return function


def resolve(path: str, roots: Mapping[str, object]) -> Target:
    """Find a function: a method under a root (`mimi.decode_from_latent`) or an import path.

    Raises:
        ConfigError: nothing of that name exists, or it cannot be called.
    """
    target = _under_root(path, roots) or _by_import(path)
    if not callable(target.function):
        raise ConfigError(f"{path!r} is not a function", where="functions")
    return target


class Patches:
    """Replaced attributes, until `remove`."""

    def __init__(self) -> None:
        self._saved: list[tuple[Any, str, Any]] = []

    def replace(self, target: Target, function: Callable[..., Any]) -> None:
        """Call `function` instead of the target from now on.

        A free function is replaced in every loaded module that imported it by name.
        """
        replacement = target.rewrap(function)
        self.set(target.owner, target.name, replacement)
        if isinstance(target.owner, types.ModuleType):
            self.substitute({id(target.raw): replacement})

    def substitute(
        self, replacements: Mapping[int, Any], *, skip: Collection[str] = frozenset()
    ) -> None:
        """Replace objects, by id, in the namespaces of all loaded modules.

        Args:
            replacements: id of an object -> what takes its place.
            skip: top-level packages that need not be searched.
        """
        for name, module in tuple(sys.modules.items()):
            namespace = getattr(module, "__dict__", None)
            if type(namespace) is not dict or name.partition(".")[0] in skip:
                continue
            if replacements.keys().isdisjoint(map(id, namespace.values())):
                continue
            found = [
                (name, replacements[id(value)])
                for name, value in namespace.items()
                if id(value) in replacements
            ]
            for attribute, replacement in found:
                self.set(module, attribute, replacement)

    def set(self, owner: Any, name: str, value: Any) -> None:
        """Set one attribute and remember what it was."""
        self._saved.append((owner, name, vars(owner).get(name, _ABSENT)))
        setattr(owner, name, value)

    def remove(self) -> None:
        """Put everything back, the last replaced first."""
        while self._saved:
            owner, name, value = self._saved.pop()
            if value is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, value)


_ABSENT = object()


def _under_root(path: str, roots: Mapping[str, object]) -> Target | None:
    root = next((name for name in roots if name and path.startswith(f"{name}.")), None)
    inner = path if root is None else path[len(root) + 1 :]
    found: object | None = roots.get("" if root is None else root)
    *parents, name = inner.split(".")
    for part in parents:
        found = getattr(found, part, None)
    if found is None or not hasattr(type(found), name):
        return None
    owner = next(kind for kind in type(found).__mro__ if name in vars(kind))
    return Target(path, owner, name, vars(owner)[name], found)


def _by_import(path: str) -> Target:
    owner, attributes = _import_prefix(path)
    for name in attributes[:-1]:
        owner = _get(owner, name, path)
    name = attributes[-1]
    value = _get(owner, name, path)
    if isinstance(owner, type):
        owner = next(kind for kind in owner.__mro__ if name in vars(kind))
        value = vars(owner)[name]
    return Target(path, owner, name, value)


def _import_prefix(path: str) -> tuple[Any, list[str]]:
    parts = path.split(".")
    for length in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:length])
        try:
            return importlib.import_module(module), parts[length:]
        except ModuleNotFoundError as error:
            if not (error.name and (module == error.name or module.startswith(f"{error.name}."))):
                raise
    raise ConfigError(
        f"no function {path!r}",
        where="functions",
        hint="name a method under a recorded root (`mimi.decode`) or an import path (`pkg.mod.f`)",
    )


def _get(owner: object, name: str, path: str) -> Any:
    try:
        return getattr(owner, name)
    except AttributeError as error:
        near = get_close_matches(name, dir(owner), n=1)
        raise ConfigError(
            f"{getattr(owner, '__name__', owner)!r} has no {name!r}",
            where=path,
            hint=f"did you mean {near[0]!r}?" if near else "check the dotted path",
        ) from error
