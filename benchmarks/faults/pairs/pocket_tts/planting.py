"""Faulty versions of the port's functions, put in their places while it runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import wraps
from types import ModuleType
from typing import Any

import torch

from parity_torch.pocket_tts.weights import Site

__all__ = [
    "Change",
    "Function",
    "around",
    "around_at",
    "at",
    "instead",
    "overlaid",
    "planted",
    "without",
]

Function = Callable[..., Any]

_PORT = "parity_torch.pocket_tts"


@dataclass(frozen=True, slots=True)
class Change:
    """One function of the port, written otherwise.

    Attributes:
        module: where it is defined.
        name: its name there.
        make: the faulty version, given the one that it takes the place of.
        goes_on: whether the faulty version calls that one; those that do are planted last, so
            that they keep hold of the others.
    """

    module: ModuleType
    name: str
    make: Callable[[Function], Function]
    goes_on: bool = False


def instead(module: ModuleType, name: str, faulty: Function) -> Change:
    """`faulty` wherever the function was called."""
    return Change(module, name, lambda _: faulty)


def at(module: ModuleType, name: str, faulty: Function, *patterns: str) -> Change:
    """`faulty` at the sites, its first argument, that match one of the globs."""
    return Change(module, name, lambda original: _chosen(original, faulty, patterns))


def around(module: ModuleType, name: str, make: Callable[[Function], Function]) -> Change:
    """What `make` makes of the function, which it calls in its turn."""
    return Change(module, name, make, goes_on=True)


def around_at(
    module: ModuleType, name: str, make: Callable[[Function], Function], *patterns: str
) -> Change:
    """As `around`, at the sites that match one of the globs."""
    return Change(
        module, name, lambda original: _chosen(original, make(original), patterns), goes_on=True
    )


def _chosen(original: Function, faulty: Function, patterns: tuple[str, ...]) -> Function:
    @wraps(original)
    def either(site: Site, *args: Any, **kwargs: Any) -> Any:
        matches = any(fnmatchcase(site.path, pattern) for pattern in patterns)
        return (faulty if matches else original)(site, *args, **kwargs)

    return either


@contextmanager
def planted(changes: Iterable[Change]) -> Iterator[None]:
    """Within this context the port computes with the changes, each once."""
    once = dict.fromkeys(changes)
    with ExitStack() as stack:
        for change in sorted(once, key=lambda change: change.goes_on):
            stack.enter_context(_planted(change))
        yield


@contextmanager
def _planted(change: Change) -> Iterator[None]:
    original = getattr(change.module, change.name)
    faulty = change.make(original)
    places = list(_places(original))
    for module, name in places:
        setattr(module, name, faulty)
    try:
        yield
    finally:
        for module, name in places:
            setattr(module, name, original)


def _places(function: Function) -> Iterator[tuple[ModuleType, str]]:
    """Where the port has the function: the module that defines it, and those that import it."""
    for path, module in list(sys.modules.items()):
        if path == _PORT or path.startswith(f"{_PORT}."):
            yield from ((module, name) for name, held in vars(module).items() if held is function)


def overlaid(site: Site, **weights: torch.Tensor) -> Site:
    """The same place with other weights; `conv_weight` stands for `conv.weight`."""
    other = {f"{site.path}.{name.replace('_', '.')}": value for name, value in weights.items()}
    return Site({**site.weights, **other}, site.path)


def without(site: Site, name: str) -> Site:
    """The same place without one of its weights."""
    lost = f"{site.path}.{name}"
    return Site({key: value for key, value in site.weights.items() if key != lost}, site.path)
