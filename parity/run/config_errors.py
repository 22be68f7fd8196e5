"""What is wrong with a configuration, in its own words: keys as one writes them, and near ones."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any

import msgspec

__all__ = ["in_words"]

_UNKNOWN = re.compile(r"Object contains unknown field `(?P<key>.*)`")
_MISSING = re.compile(r"Object missing required field `(?P<key>.*)`")
_TYPE = re.compile(r"Expected `(?P<wanted>.*)`, got `(?P<got>.*)`")
_NAMES = {
    "bool": "true or false",
    "int": "a whole number",
    "str": "a text",
    "float": "a number",
    "object": "a table",
    "array": "a list",
    "date": "a day such as 2030-12-31",
}
EVERY_KEY = "docs/configuration.md lists every key"


def in_words(error: msgspec.ValidationError, kind: type[msgspec.Struct]) -> tuple[str, str, str]:
    """What is wrong, at which key, and what to do.

    Args:
        error: what the check of a document raised.
        kind: the type that it was held against.
    """
    text, _, place = str(error).partition(" - at ")
    where = place.strip("`").removeprefix("$").removeprefix(".")
    if found := _UNKNOWN.match(text):
        key = found["key"]
        near = get_close_matches(key, sorted(set(_keys(kind))), n=1)
        return f"there is no key {key!r}", where, _did_you_mean(near)
    if found := _MISSING.match(text):
        return f"the key {found['key']!r} is missing", where, EVERY_KEY
    if found := _TYPE.match(text):
        wanted, got = (_named(found[name]) for name in ("wanted", "got"))
        return f"should be {wanted}, and is {got}", where, EVERY_KEY
    return text, where, EVERY_KEY


def _did_you_mean(near: list[str]) -> str:
    return f"did you mean {near[0]!r}? {EVERY_KEY}" if near else EVERY_KEY


def _named(kinds: str) -> str:
    names = kinds.split(" | ")
    return " or ".join(_NAMES.get(name, name) for name in names)


def _keys(kind: type[msgspec.Struct]) -> Iterator[str]:
    """The keys of all tables."""
    pending: list[Any] = [msgspec.inspect.type_info(kind)]
    while pending:
        info = pending.pop()
        if isinstance(info, msgspec.inspect.StructType):
            yield from (field.encode_name for field in info.fields)
            pending += [field.type for field in info.fields]
        else:
            pending += _inner(info)


def _inner(info: Any) -> Iterable[Any]:
    names = ("item_type", "value_type")
    found = [getattr(info, name) for name in names if hasattr(info, name)]
    return [*found, *getattr(info, "types", ()), *getattr(info, "item_types", ())]
