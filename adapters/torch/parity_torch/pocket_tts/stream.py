"""What a streaming model remembers between two calls."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

__all__ = ["Stream"]


@dataclass(slots=True)
class Stream:
    """The memory of one stream through one model.

    Tensors in it are replaced, never written to, so a fork shares them safely.

    Attributes:
        position: how many positions its transformer has seen.
        tensors: key/value caches, convolution histories and overlaps, by the path that owns them.
    """

    position: int = 0
    tensors: dict[str, torch.Tensor] = field(default_factory=dict)

    def fork(self) -> Stream:
        """A second stream that goes on from the same point."""
        return Stream(self.position, dict(self.tensors))

    def append(self, name: str, piece: torch.Tensor, dim: int) -> torch.Tensor:
        """Add `piece` to the end of tensor `name` along axis `dim`; return the whole of it."""
        past = self.tensors.get(name)
        whole = piece if past is None else torch.cat([past, piece], dim=dim)
        self.tensors[name] = whole
        return whole
