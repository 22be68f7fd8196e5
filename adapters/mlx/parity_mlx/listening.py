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

from parity_mlx.arrays import leaves

__all__ = ["ROOT", "Heard", "listening", "module_paths"]

ROOT = "(root)"  # as captures call a model without a name

# Path, module, first argument, slot, result.
Heard = Callable[[str, nn.Module, object, str, mx.array], None]


def module_paths(model: nn.Module, prefix: str = "") -> dict[int, str]:
    """The path of every module by its identity, named as torch would.

    The list in an `nn.Sequential` has no name in torch: `net.layers.0` becomes `net.0`. A module
    that is held twice has its first path.
    """
    found: dict[int, str] = {}
    _walk(model, prefix, found)
    return found


def _walk(module: nn.Module, path: str, found: dict[int, str]) -> None:
    if id(module) in found:
        return
    found[id(module)] = path or ROOT
    for name, child in module.children().items():  # type: ignore[no-untyped-call]
        hidden = isinstance(module, nn.Sequential) and name == "layers"
        inner = path if hidden else f"{path}.{name}" if path else name
        _descend(child, inner, found)


def _descend(value: object, path: str, found: dict[int, str]) -> None:
    if isinstance(value, nn.Module):
        _walk(value, path, found)
    elif isinstance(value, (list, tuple)):
        for i, child in enumerate(value):
            _descend(child, f"{path}.{i}" if path else str(i), found)
    elif isinstance(value, Mapping):
        for name, child in value.items():
            _descend(child, f"{path}.{name}" if path else str(name), found)


@contextmanager
def listening(models: Mapping[str, nn.Module], heard: Heard) -> Iterator[None]:
    """Call `heard` for every array that a module of `models` returns, until the end of the block.

    Compilation is off meanwhile: what runs compiled calls no module.

    Args:
        models: models by the name that their paths begin with.
        heard: told each result, in execution order.
    """
    paths: dict[int, str] = {}
    for name, model in models.items():
        paths = module_paths(model, name) | paths
    classes = {type(one) for model in models.values() for _, one in model.named_modules()}  # type: ignore[no-untyped-call]
    before = {kind: vars(kind).get("__call__") for kind in classes if hasattr(kind, "__call__")}  # noqa: B004
    wrapped = {kind: _wrapped(kind.__call__, paths, heard) for kind in before}
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


def _wrapped(inner: Callable[..., Any], paths: Mapping[int, str], heard: Heard) -> Any:
    @functools.wraps(inner)
    def call(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        path = paths.get(id(self))
        if path is None or id(self) in _running:
            return inner(self, *args, **kwargs)  # not of the model, or its base class's call
        _running.add(id(self))
        try:
            result = inner(self, *args, **kwargs)
        finally:
            _running.discard(id(self))
        for slot, leaf in leaves(result):
            heard(path, self, args[0] if args else None, slot, leaf)
        return result

    return call


_running: set[int] = set()
