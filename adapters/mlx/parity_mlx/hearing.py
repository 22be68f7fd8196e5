"""What becomes of the results that are heard: recorded arrays, and words on the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import mlx.core as mx
from mlx import nn

from parity.capture.flatten import leaves
from parity_mlx.arrays import Array, taken
from parity_mlx.channels import Channels

__all__ = ["Hearing"]

_FEW = 5  # names in a sentence


class Hearing:
    """Hands the arrays in results on, their channels where torch has them.

    Args:
        channels: decides whose channels are moved.
        wants: whether a path is recorded.
        record: takes path, slot and array of each.
    """

    def __init__(
        self,
        channels: Channels,
        wants: Callable[[str], bool],
        record: Callable[[str, str, Array], object],
    ) -> None:
        self._channels = channels
        self._wants = wants
        self._record = record
        self._empty: dict[str, str] = {}

    def __call__(self, path: str, module: nn.Module, argument: object, result: object) -> None:
        """Take what the module at `path` returned for its first argument."""
        found = leaves(result, mx.array)
        wanted = self._wants(path)
        if wanted and not found:
            self._empty[path] = f"it returned a {type(result).__name__}, in which is no array"
        for slot, leaf in cast(list[tuple[str, mx.array]], found):
            moved = self._channels.moves(path, module, argument, leaf)
            if wanted:
                self._record(path, slot, taken(leaf, moved=moved))

    def unheld(self, path: str, module: nn.Module) -> None:
        """Take note of a module that the one at `path` called, and that the model does not hold."""
        if self._wants(path):
            name = f"a {type(module).__name__} that {path} calls"
            self._empty[name] = "the model does not hold it, so that it has no path"

    @property
    def facts(self) -> dict[str, str]:
        """What the capture should say: what was moved, and what could not be recorded."""
        moved, ranks = list(self._channels.moved), sorted(self._channels.ranks)
        said = {}
        if moved:
            said["remarks"] = _moved(moved)
            orders = ((0, rank - 1, *range(1, rank - 1)) for rank in ranks)
            said["turned"] = ", ".join(" ".join(map(str, order)) for order in orders)
        if self._empty:
            said["skipped"] = "; ".join(f"{path} ({why})" for path, why in self._empty.items())
        return said


def _moved(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - _FEW:,} more" if len(paths) > _FEW else ""
    return f"channels are moved from the last axis to the second at {', '.join(paths[:_FEW])}{more}"
