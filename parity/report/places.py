"""Many places of a model in a few words: `decoder.layers.*.act (20 sites)`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from parity.report.words import printable

__all__ = ["FEW", "listed", "named", "pattern", "place_of", "short_list"]

_NUMBER = re.compile(r"(?<![^.])\d+(?![^.:])")
# How many patterns are still read at a glance.
FEW = 3


def place_of(path: str, operation: str = "", tap: str = "") -> str:
    """What a place is called, as captures name operations: `layers.0::softmax`.

    One outside all modules is known by its operation, or by the tap that shows it.
    """
    if not path and not operation:
        return named(tap) or "the program itself"
    return named(f"{path}::{operation}" if operation else path)


def named(text: str) -> str:
    """A name out of somebody's file, on one line and without control characters."""
    return printable(text).replace("\n", "\N{REPLACEMENT CHARACTER}")


def pattern(paths: Sequence[str]) -> str:
    """Paths that differ in numbers only as one, with a star where they differ.

    `layers.0.act` and `layers.1.act` are `layers.*.act`; one path stays as it is.
    """
    parts = [re.split(r"([.:]+)", path) for path in paths]
    return "".join(
        column[0] if len(set(column)) == 1 else "*" for column in zip(*parts, strict=True)
    )


def patterns(paths: Iterable[str]) -> list[str]:
    """As few patterns as stand for `paths`, in order of first appearance.

    Where there are too many of them to read, and all lie under one path, that path with a star.
    """
    groups: dict[str, list[str]] = {}
    for path in dict.fromkeys(paths):
        groups.setdefault(_NUMBER.sub("*", path), []).append(path)
    found = [pattern(group) for group in groups.values()]
    if len(found) <= FEW:
        return found
    prefix = _common_prefix([path for group in groups.values() for path in group])
    return [f"{prefix}.*"] if prefix else found


def short_list(paths: Sequence[str], what: str = "site") -> str:
    """The places `paths` in a few words, with their number where that is above one."""
    distinct = list(dict.fromkeys(paths))
    found = patterns(distinct)
    shown = found if len(found) <= FEW else [", ".join(found[:FEW]), "elsewhere"]
    text = listed(shown)
    # Where each is named there is nothing to count.
    return text if len(distinct) == len(found) <= FEW else f"{text} ({len(distinct)} {what}s)"


def listed(texts: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)


def _common_prefix(paths: Sequence[str]) -> str:
    """The longest path that all lie under; empty if there is none."""
    shared = []
    for column in zip(*(path.split(".")[:-1] for path in paths), strict=False):
        if len(set(column)) > 1:
            break
        shared.append(column[0])
    return ".".join(shared)
