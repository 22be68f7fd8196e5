"""Case B's model: the two transformer layers of the real package's Mimi encoder, without state."""

from __future__ import annotations

from pathlib import Path

import torch
from pocket_tts.modules.transformer import StreamingTransformer
from safetensors import safe_open
from torch import nn

__all__ = ["Block", "load_block"]

_PREFIX = "mimi.encoder_transformer.transformer."
_WIDTH, _HEADS, _LAYERS, _LENGTH = 512, 8, 2, 50


class Block(nn.Module):
    """The layers one after the other.

    The package builds its causal mask in Python with `&`, which the converter does not know: here
    it is a buffer.
    """

    mask: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layers = StreamingTransformer(_WIDTH, _HEADS, _LAYERS, layer_scale=0.1).layers
        mask = torch.ones(1, 1, _LENGTH, _LENGTH, dtype=torch.bool).tril()
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Of float32[1, time, width]."""
        for layer in self.layers:
            x = layer(x, None, attn_mask=self.mask)
        return x


def load_block(weights: Path) -> tuple[Block, torch.Tensor]:
    """The block with the subject's seeded weights, and an input for it."""
    block = Block()
    with safe_open(weights, "pt") as file:
        names = [name for name in file.keys() if name.startswith(_PREFIX)]  # noqa: SIM118
        block.load_state_dict({name.removeprefix(_PREFIX): file.get_tensor(name) for name in names})
    generator = torch.Generator().manual_seed(0)
    return block.eval(), torch.randn(1, _LENGTH, _WIDTH, generator=generator)
