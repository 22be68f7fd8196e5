"""Which backends there are, which of them work here, and how to open one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import cast

from parity.backends.dotted import resolve
from parity.backends.protocol import Backend
from parity.errors import BackendError, ConfigError, MissingExtraError, ParityError

__all__ = ["ENTRY_POINT_GROUP", "Adapter", "BackendInfo", "available", "find", "load"]

ENTRY_POINT_GROUP = "parity.backends"


@dataclass(frozen=True, slots=True)
class Adapter:
    """How a backend presents itself, without loading what it needs; entry points name one.

    Attributes:
        name: what users call it (`torch`).
        summary: one line on what it captures.
        factory: `module:attribute` of a callable that takes the options and returns the backend.
        requires: top-level modules that must be importable.
        install: the command that installs them.
        options: what each option means, by name.
        open_options: whether options beyond those are passed on, to the port for instance.
    """

    name: str
    summary: str
    factory: str
    requires: tuple[str, ...] = ()
    install: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    open_options: bool = False


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """One registered backend as it stands on this machine.

    Attributes:
        name: what `load` takes.
        summary: one line on what it captures, empty where the adapter itself failed to load.
        distribution: the installed package that registers it.
        ready: whether it can be loaded.
        reason: why not, else empty.
        install: the command that helps, else empty.
        options: what each option means, by name.
    """

    name: str
    summary: str
    distribution: str
    ready: bool
    reason: str = ""
    install: str = ""
    options: Mapping[str, str] = field(default_factory=dict)


def available() -> tuple[BackendInfo, ...]:
    """Every registered backend, by name, those included that lack something.

    Loads the adapters' descriptions only, never the frameworks behind them.
    """
    points = entry_points(group=ENTRY_POINT_GROUP)
    return tuple(_examine(point) for point in sorted(points, key=lambda point: point.name))


def load(
    name: str,
    options: Mapping[str, object] | None = None,
    *,
    python_path: Iterable[str | Path] = (),
) -> Backend:
    """Open the backend `name` with `options`.

    Args:
        name: a registered name, or `module:attribute` of an `Adapter`, of a backend, or of a
            callable that takes the options and returns one.
        options: passed as keywords to the backend's factory.
        python_path: folders to look for a `module:attribute` in.

    Raises:
        BackendError: no such backend, or what was found is not one.
        MissingExtraError: it needs something that is not installed.
        ConfigError: an option is unknown or unusable.
    """
    found = find(name, python_path=python_path)
    given = dict(options or {})
    if isinstance(found, Adapter):
        _check_requirements(found)
        _check_options(found, given)
        found = resolve(found.factory)
    if _is_backend(found) and not isinstance(found, type):
        return _without_options(found, name, given)
    return _build(found, name, given)


def find(name: str, *, python_path: Iterable[str | Path] = ()) -> object:
    """What stands behind `name`: an `Adapter`, a backend, or a factory of one."""
    if ":" in name:
        return resolve(name, python_path=python_path)
    points = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
    if name in points:
        return resolve(points[name].value)
    near = get_close_matches(name, points, n=1)
    known = ", ".join(sorted(points)) or "none"
    raise BackendError(
        f"no backend is named {name!r}; there are: {known}",
        hint=f"did you mean {near[0]!r}?" if near else "`parity backends` lists them",
    )


def _examine(point: EntryPoint) -> BackendInfo:
    distribution = point.dist.name if point.dist else ""
    try:
        found = resolve(point.value)
    except ParityError as error:
        return BackendInfo(point.name, "", distribution, False, error.what, error.hint or "")
    if not isinstance(found, Adapter):
        return BackendInfo(point.name, _first_line(found), distribution, True)
    missing = _missing(found)
    return BackendInfo(
        name=point.name,
        summary=found.summary,
        distribution=distribution,
        ready=not missing,
        reason=_reason(missing),
        install=found.install if missing else "",
        options=found.options,
    )


def _first_line(found: object) -> str:
    return (found.__doc__ or "").strip().partition("\n")[0]


def _missing(adapter: Adapter) -> tuple[str, ...]:
    return tuple(module for module in adapter.requires if find_spec(module) is None)


def _reason(missing: tuple[str, ...]) -> str:
    return f"not installed: {', '.join(missing)}" if missing else ""


def _check_requirements(adapter: Adapter) -> None:
    if missing := _missing(adapter):
        raise MissingExtraError(
            f"the backend {adapter.name!r} needs {', '.join(missing)}, not installed here",
            hint=adapter.install or f"install {' '.join(missing)}",
        )


def _check_options(adapter: Adapter, given: Mapping[str, object]) -> None:
    if adapter.open_options:
        return
    for option in given:
        if option not in adapter.options:
            near = get_close_matches(option, adapter.options, n=1)
            known = ", ".join(adapter.options) or "none"
            raise ConfigError(
                f"the backend {adapter.name!r} has no option {option!r}; it has: {known}",
                hint=f"did you mean {near[0]!r}?" if near else "`parity backends` explains them",
            )


def _is_backend(found: object) -> bool:
    return all(callable(getattr(found, method, None)) for method in ("capture", "capabilities"))


def _without_options(found: object, name: str, given: Mapping[str, object]) -> Backend:
    if given:
        raise ConfigError(
            f"the backend {name!r} is an object and takes no options; got {', '.join(given)}",
            hint="name a class or a function that takes them",
        )
    return cast(Backend, found)


def _build(factory: object, name: str, given: dict[str, object]) -> Backend:
    if not callable(factory):
        raise _not_a_backend(factory, name)
    try:
        built = cast(Callable[..., object], factory)(**given)
    except TypeError as error:
        # A wrong keyword is the usual cause; one raised deeper has frames of its own.
        if error.__traceback__ is None or error.__traceback__.tb_next is not None:
            raise
        raise ConfigError(
            f"the backend {name!r} does not take these options: {error}",
            hint="`parity backends` explains the options of each backend",
        ) from error
    if not _is_backend(built):
        raise _not_a_backend(built, name)
    return cast(Backend, built)


def _not_a_backend(found: object, name: str) -> BackendError:
    return BackendError(
        f"{type(found).__name__} has no methods `capture` and `capabilities`, so it is no backend",
        where=name,
        hint="see parity.backends.Backend; parity.backends.conformance tests one",
    )
