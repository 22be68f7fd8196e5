"""Arguments that hold states: caches and histories that a model changes while it runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

__all__ = ["STATE_NAMES", "own_state", "positional_names", "split_states"]

# Arguments that are called so hold states when they are mappings: their tensors belong to the
# modules that own them, and are no input of each module that passes them on.
STATE_NAMES = ("*state*", "*cache*", "past_key_values")


def positional_names(function: Callable[..., Any]) -> tuple[str, ...]:
    """Names of the positional parameters of a bound method or function; empty if unknown."""
    plain = getattr(function, "__func__", None)
    return _names_of(function) if plain is None else _names_of(plain)[1:]


@lru_cache(maxsize=4096)  # a model has many modules of few classes
def _names_of(function: Callable[..., Any]) -> tuple[str, ...]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return ()
    return tuple(
        p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    )


def split_states(
    names: tuple[str, ...], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Mapping[Any, Any]]]:
    """Part the arguments of a call into data, by slot, and states."""
    data: dict[str, Any] = {}
    states: list[Mapping[Any, Any]] = []
    for slot, name, value in _named(names, args, kwargs):
        if isinstance(value, Mapping) and _is_state(name):
            states.append(value)
        else:
            data[slot] = value
    return data, states


def own_state(path: str, states: list[Mapping[Any, Any]], leaf: type) -> Mapping[Any, Any]:
    """The part of `states` that belongs to the module at `path`; empty if none does.

    A mapping by module name (`{"layers.0.attn": {"cache": ...}}`) holds the part of each module
    under the end of its path; a mapping that holds tensors itself is a module's own.
    """
    for state in states:
        for suffix in _suffixes(path):
            part = state.get(suffix)
            if isinstance(part, Mapping):
                return part
        if any(isinstance(value, leaf) for value in state.values()):
            return state
    return {}


def _named(
    names: tuple[str, ...], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Iterator[tuple[str, str, Any]]:
    for position, value in enumerate(args):
        yield str(position), names[position] if position < len(names) else "", value
    for name, value in kwargs.items():
        yield name, name, value


def _is_state(name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in STATE_NAMES)


def _suffixes(path: str) -> Iterator[str]:
    yield path
    while "." in path:
        path = path.partition(".")[2]
        yield path
