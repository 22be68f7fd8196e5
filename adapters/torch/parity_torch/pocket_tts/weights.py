"""The weights by name, and the place in the network that a function works at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from parity.errors import InputError
from parity_torch.pocket_tts import taps

__all__ = ["Site", "load_weights"]


def load_weights(path: Path, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Read a safetensors file and bring every tensor to `dtype`.

    Raises:
        InputError: the file is missing or is not a safetensors file.
    """
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"cannot read the weights: {error}",
            where=str(path),
            hint="build the assets, or point `assets` at the folder that holds them",
        ) from error
    return {name: tensor.to(dtype) for name, tensor in tensors.items()}


@dataclass(frozen=True, slots=True)
class Site:
    """A place in the network, named by a dotted path.

    The weights of the place and the taps it records share that path, as they do in the reference:
    `site / "norm1"` goes down by one name, `site["weight"]` is a weight there, and
    `site.record(value)` says that `value` came out there.
    """

    weights: Mapping[str, torch.Tensor]
    path: str = ""

    def __truediv__(self, name: str | int) -> Site:
        return Site(self.weights, f"{self.path}.{name}" if self.path else str(name))

    def __contains__(self, name: str) -> bool:
        return f"{self.path}.{name}" in self.weights

    def __getitem__(self, name: str) -> torch.Tensor:
        try:
            return self.weights[f"{self.path}.{name}"]
        except KeyError:
            raise InputError(
                "the weights file lacks a tensor that the configuration asks for",
                where=f"{self.path}.{name}",
                hint="use the config.yaml that was written beside the weights",
            ) from None

    def get(self, name: str) -> torch.Tensor | None:
        """The weight `name` of this place, or None where it has none."""
        return self.weights.get(f"{self.path}.{name}")

    def record(self, value: torch.Tensor, slot: str = "") -> torch.Tensor:
        """Record `value`, of any shape, as what came out here, and hand it on."""
        return taps.record(self.path, value, slot)
