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
        return f"there is no key {found['key']!r}", where, _did_you_mean(found["key"], kind)
    if found := _MISSING.match(text):
        return f"the key {found['key']!r} is missing", where, EVERY_KEY
    if found := _TYPE.match(text):
        wanted, got = (_named(found[name]) for name in ("wanted", "got"))
        return f"should be {wanted}, and is {got}", where, EVERY_KEY
    return text, where, EVERY_KEY


def _did_you_mean(key: str, kind: type[msgspec.Struct]) -> str:
    tables: dict[str, set[str]] = {}
    for name, table in _keys(kind):
        tables.setdefault(name, set()).add(table)
    if key in tables:
        return f"it belongs in {' or '.join(sorted(tables[key]))}; {EVERY_KEY}"
    near = get_close_matches(key, sorted(tables), n=1)
    return f"did you mean {near[0]!r}? {EVERY_KEY}" if near else EVERY_KEY


def _named(kinds: str) -> str:
    names = kinds.split(" | ")
    return " or ".join(_NAMES.get(name, name) for name in names)


def _keys(kind: type[msgspec.Struct]) -> Iterator[tuple[str, str]]:
    """The keys of all tables, each with the table that it belongs in, as one writes it."""
    pending: list[tuple[Any, str]] = [(msgspec.inspect.type_info(kind), "")]
    while pending:
        info, table = pending.pop()
        if isinstance(info, msgspec.inspect.StructType):
            for field in info.fields:
                yield field.encode_name, f"[{table}]" if table else "no table, at the top"
                inner = f"{table}.{field.encode_name}" if table else field.encode_name
                pending.append((field.type, inner))
        else:
            named = isinstance(info, msgspec.inspect.DictType)
            pending += [(one, f"{table}.NAME" if named else table) for one in _inner(info)]


def _inner(info: Any) -> Iterable[Any]:
    names = ("item_type", "value_type")
    found = [getattr(info, name) for name in names if hasattr(info, name)]
    return [*found, *getattr(info, "types", ()), *getattr(info, "item_types", ())]
