"""Hears the calls of MLX modules.

Python looks a call up in the class, so the classes of the model are wrapped while a run is heard,
and objects of these classes that are not of the model pass through.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import mlx.core as mx
from mlx import nn

from parity_mlx.hearing import Hearing

__all__ = ["ROOT", "listening", "modules_in"]

ROOT = "(root)"  # as captures call a model without a name

Found = dict[int, tuple[nn.Module, str]]


def modules_in(model: nn.Module, prefix: str = "") -> Found:
    """Every module with its path, by its identity, named as torch would.

    The list in an `nn.Sequential` has no name in torch: `net.layers.0` becomes `net.0`. A module
    that is held twice has its first path. MLX does not count what lies in tuples; it runs all
    the same.
    """
    found: Found = {}
    _walk(model, prefix, found)
    return found


def _walk(module: nn.Module, path: str, found: Found) -> None:
    if id(module) in found:
        return
    found[id(module)] = module, path or ROOT
    tuples = {name: held for name, held in module.items() if isinstance(held, tuple)}
    for name, child in (module.children() | tuples).items():  # type: ignore[no-untyped-call]
        hidden = isinstance(module, nn.Sequential) and name == "layers"
        inner = path if hidden else f"{path}.{name}" if path else name
        _descend(child, inner, found)


def _descend(value: object, path: str, found: Found) -> None:
    if isinstance(value, nn.Module):
        _walk(value, path, found)
    elif isinstance(value, (list, tuple)):
        for i, child in enumerate(value):
            _descend(child, f"{path}.{i}" if path else str(i), found)
    elif isinstance(value, Mapping):
        for name, child in value.items():
            _descend(child, f"{path}.{name}" if path else str(name), found)


@contextmanager
def listening(models: Mapping[str, nn.Module], hearing: Hearing) -> Iterator[None]:
    """Tell `hearing` what each module of `models` returns, until the end of the block.

    Compilation is off meanwhile: what runs compiled calls no module.

    Args:
        models: models by the name that their paths begin with.
        hearing: told each result, in execution order.
    """
    found: Found = {}
    for name, model in models.items():
        found = modules_in(model, name) | found
    paths = {identity: path for identity, (_, path) in found.items()}
    classes: set[Any] = {type(module) for module, _ in found.values()}
    before = {kind: vars(kind).get("__call__") for kind in classes if hasattr(kind, "__call__")}  # noqa: B004
    wrapped = {kind: _wrapped(kind.__call__, paths, hearing) for kind in before}
    mx.disable_compile()
    try:
        for kind, call in wrapped.items():
            kind.__call__ = call
        yield
    finally:
        for kind, call in before.items():
            if call is None:
                del kind.__call__
            else:
                kind.__call__ = call
        mx.enable_compile()


def _wrapped(inner: Callable[..., Any], paths: Mapping[int, str], hearing: Hearing) -> Any:
    @functools.wraps(inner)
    def call(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        path = paths.get(id(self))
        if path is None and _running:
            hearing.unheld(paths.get(_running[-1], ROOT), self)
        if path is None or id(self) in _running:
            return inner(self, *args, **kwargs)  # not of the model, or its base class's call
        _running.append(id(self))
        try:
            result = inner(self, *args, **kwargs)
        finally:
            _running.pop()
        hearing(path, self, args[0] if args else next(iter(kwargs.values()), None), result)
        return result

    return call


_running: list[int] = []
