"""Rules that bring dumped tensors into the reference's names and layout."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from parity.errors import ConfigError
from parity_files.tensor import Array

__all__ = ["Layout", "parse_layout"]

_KEYS = {
    "rename": ("match", "to"),
    "view": ("path", "dtype"),
    "reshape": ("path", "shape"),
    "permute": ("path", "axes"),
}


@dataclass(frozen=True, slots=True)
class _Rule:
    """A transformation of the tensors whose path, as dumped, matches a glob."""

    kind: str
    glob: str
    value: str | tuple[int, ...]

    def __call__(self, array: Array) -> Array:
        if self.kind == "view":
            return array.view(_dtype(str(self.value)))
        assert isinstance(self.value, tuple)  # noqa: S101  by construction
        return array.reshape(self.value) if self.kind == "reshape" else array.transpose(self.value)


@dataclass(frozen=True, slots=True)
class Layout:
    """Renames, and changes of type, shape and axis order; in this order, by path as dumped.

    Attributes:
        renames: regular expression over a whole path, and its replacement; the first match wins.
        rules: every one that matches is applied: first views, then reshapes, then permutations.
    """

    renames: tuple[tuple[re.Pattern[str], str], ...] = ()
    rules: tuple[_Rule, ...] = ()

    def path(self, path: str) -> str:
        """The path under which a tensor dumped as `path` is recorded."""
        for pattern, template in self.renames:
            if match := pattern.fullmatch(path):
                return _expanded(match, template)
        return path

    def array(self, path: str, array: Array) -> Array:
        """The tensor dumped as `path`, of any shape, in its right type, shape and axis order.

        Raises:
            ConfigError: a rule does not fit it, or its type is raw bytes that no rule names.
        """
        for rule in self.rules:
            if fnmatchcase(path, rule.glob):
                array = _applied(rule, path, array)
        if array.dtype.kind == "V" and not _is_ml_dtype(array.dtype):
            raise ConfigError(
                f"holds raw values of {array.dtype.itemsize} bytes, of unknown type",
                where=path,
                hint=f'add the rule [[view]] path = "{path}", dtype = "bfloat16"',
            )
        return array

    def check_used(self, paths: Iterable[str]) -> None:
        """Raise `ConfigError` for the first rule that fits none of `paths`, which is a slip."""
        known = list(dict.fromkeys(paths))
        for pattern, _ in self.renames:
            _check_any(known, f"rename {pattern.pattern}", pattern.fullmatch)
        for rule in self.rules:
            _check_any(known, f"{rule.kind} {rule.glob}", _globbed(rule.glob))


def parse_layout(given: str | Path | Mapping[str, Any] | None, folder: Path) -> Layout:
    """The layout from a TOML file (relative to `folder`, else as it stands) or from its table.

    Raises:
        ConfigError: the file or a rule cannot be used.
    """
    if given is None:
        return Layout()
    table = given if isinstance(given, Mapping) else _read(Path(given), folder)
    if unknown := set(table) - set(_KEYS):
        raise ConfigError(
            f"unknown kind of rule: {', '.join(sorted(unknown))}",
            where="layout",
            hint=f"there are: {', '.join(_KEYS)}",
        )
    renames = tuple(_rename(entry) for entry in _entries(table, "rename"))
    kinds = ("view", "reshape", "permute")
    rules = tuple(_rule(kind, entry) for kind in kinds for entry in _entries(table, kind))
    return Layout(renames, rules)


def _read(path: Path, folder: Path) -> Mapping[str, Any]:
    inside = folder / path
    chosen = inside if inside.is_file() else path
    try:
        return tomllib.loads(chosen.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot be read: {error}", where=str(path)) from error


def _entries(table: Mapping[str, Any], kind: str) -> Sequence[Mapping[str, Any]]:
    entries = table.get(kind, [])
    wanted = set(_KEYS[kind])
    if not isinstance(entries, list | tuple) or any(
        not isinstance(entry, Mapping) or set(entry) != wanted for entry in entries
    ):
        keys = " and ".join(_KEYS[kind])
        raise ConfigError(f"each [[{kind}]] needs exactly {keys}", where=f"layout.{kind}")
    return entries


def _rename(entry: Mapping[str, Any]) -> tuple[re.Pattern[str], str]:
    try:
        return re.compile(str(entry["match"])), str(entry["to"])
    except re.error as error:
        raise ConfigError(
            f"{entry['match']!r} is not a regular expression: {error}", where="layout.rename"
        ) from error


def _rule(kind: str, entry: Mapping[str, Any]) -> _Rule:
    glob, value = str(entry["path"]), entry[_KEYS[kind][1]]
    if kind == "view":
        _dtype(str(value))
        return _Rule(kind, glob, str(value))
    if not isinstance(value, list | tuple) or any(type(number) is not int for number in value):
        raise ConfigError(f"needs a list of whole numbers, got {value!r}", where=f"layout.{kind}")
    return _Rule(kind, glob, tuple(value))


def _dtype(name: str) -> np.dtype[Any]:
    try:
        return np.dtype(getattr(ml_dtypes, name, name))
    except TypeError as error:
        raise ConfigError(f"no element type is named {name!r}", where="layout.view") from error


def _applied(rule: _Rule, path: str, array: Array) -> Array:
    try:
        return rule(array)
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"the rule {rule.kind} {rule.glob} = {rule.value} does not fit "
            f"{array.dtype}{list(array.shape)}: {error}",
            where=path,
            hint="narrow the rule's path",
        ) from error


def _is_ml_dtype(dtype: np.dtype[Any]) -> bool:
    return dtype.type is not np.void


def _expanded(match: re.Match[str], template: str) -> str:
    try:
        return match.expand(template)
    except (re.error, IndexError) as error:
        raise ConfigError(
            f"the replacement {template!r} cannot be filled in: {error}",
            where=f"layout.rename {match.re.pattern}",
            hint=r"refer to groups by number, \1, or by name, \g<name>",
        ) from error


def _globbed(glob: str) -> Callable[[str], bool]:
    return lambda path: fnmatchcase(path, glob)


def _check_any(known: list[str], rule: str, fits: Callable[[str], object]) -> None:
    if not any(fits(path) for path in known):
        raise ConfigError(
            f"the rule {rule} fits none of the {len(known)} dumped paths",
            where="layout",
            hint=f"they are like {', '.join(known[:3])}",
        )
