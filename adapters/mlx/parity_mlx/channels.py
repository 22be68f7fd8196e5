"""Which results have their channels last in MLX and first in torch."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import mlx.core as mx
from mlx import nn

__all__ = ["Channels"]

# Torch's of the same name take [batch, channels, ...]; MLX's take [batch, ..., channels].
_MOVED = (
    "AvgPool*", "BatchNorm", "Conv[123]d", "ConvTranspose[123]d", "GroupNorm", "InstanceNorm",
    "MaxPool*", "Upsample",
)  # fmt: skip
# They compute each element by itself, so that their results lie as their arguments do.
_ELEMENTWISE = ("Dropout*", "Identity")
_MANY = 3  # axes from which on there is a place between batch and channels


class Channels:
    """Decides for each result whether its channels are moved.

    Args:
        rule: `auto`, `keep`, or globs over paths.

    Attributes:
        moved: the paths whose channels were moved.
        ranks: how many axes their results have.
    """

    def __init__(self, rule: str | Sequence[str]) -> None:
        self._rule = rule
        self._last: dict[int, mx.array] = {}  # held, so that no identity is given out again
        self.moved: dict[str, None] = {}
        self.ranks: set[int] = set()

    def moves(self, path: str, module: nn.Module, argument: object, result: mx.array) -> bool:
        """Whether the channels of `result`, of any shape, are last here and first in torch."""
        if self._rule == "auto":
            last = self._by_class(module, argument, result)
        else:
            globs = (self._rule,) if isinstance(self._rule, str) else self._rule
            last = self._rule != "keep" and any(fnmatchcase(path, glob) for glob in globs)
        last = last and result.ndim >= _MANY
        if last:
            self._last[id(result)] = result
            self.moved[path] = None
            self.ranks.add(result.ndim)
        return last

    def _by_class(self, module: nn.Module, argument: object, result: mx.array) -> bool:
        if _is_one_of(module, _MOVED):
            return True
        behind = isinstance(argument, mx.array) and self._last.get(id(argument)) is argument
        same = behind and isinstance(argument, mx.array) and argument.shape == result.shape
        return same and (_is_one_of(module, _ELEMENTWISE) or _is_activation(module))


def _is_one_of(module: nn.Module, patterns: Sequence[str]) -> bool:
    own = type(module).__module__.startswith("mlx.nn.layers.")
    return own and any(fnmatchcase(type(module).__name__, pattern) for pattern in patterns)


def _is_activation(module: nn.Module) -> bool:
    return type(module).__module__ == "mlx.nn.layers.activations"
