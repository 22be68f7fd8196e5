"""`@pytest.mark.parity(...)`: its options, and whether its case was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import pytest

from parity.errors import ConfigError

__all__ = ["OPTIONS", "options_of", "selected"]

OPTIONS = (
    "allow_missing",
    "layouts",
    "mode",
    "output",
    "plan",
    "program",
    "renames",
    "same_shapes",
    "tolerance",
)


def options_of(item: pytest.Item) -> dict[str, Any]:
    """The options of `parity.assert_parity` that markers give; the closest marker wins.

    Raises:
        ConfigError: a marker has an option that there is not.
    """
    found: dict[str, Any] = {}
    for marker in reversed(list(item.iter_markers("parity"))):
        found |= marker.kwargs
        if marker.args:
            raise ConfigError(
                "takes options by name only", where=f"{item.nodeid}: pytest.mark.parity"
            )
    found.pop("case", None)
    for name in found:
        if name not in OPTIONS:
            raise ConfigError(
                f"there is no option {name!r}",
                where=f"{item.nodeid}: pytest.mark.parity",
                hint=f"one of case, {', '.join(OPTIONS)}",
            )
    return found


def selected(item: pytest.Item, patterns: Sequence[str]) -> bool:
    """Whether a test takes part where only these cases do; tests without a case always do."""
    marker = item.get_closest_marker("parity")
    case = marker.kwargs.get("case") if marker is not None else None
    return case is None or any(fnmatchcase(str(case), pattern) for pattern in patterns)
