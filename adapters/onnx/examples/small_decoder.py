"""A small decoder as reference, and its export to ONNX: `python small_decoder.py`."""

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from parity.tensors import Case
from parity_onnx import export

HERE = Path(__file__).resolve().parent


class Layer(nn.Module):
    """Attention and a feed-forward part."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.act, self.down = nn.Linear(width, 64), nn.GELU(), nn.Linear(64, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`x` is [batch, time, width]."""
        q, k, v = (part.unsqueeze(1) for part in self.qkv(self.norm1(x)).chunk(3, -1))
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.squeeze(1))
        return x + self.down(self.act(self.up(self.norm2(x))))


def reference() -> nn.Module:
    """Two layers and a head; `parity` seeds the weights the same each time."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Embedding(50, 32), Layer(32), Layer(32), nn.Linear(32, 50)).eval()


def cases() -> list[Case]:
    """One sentence of seven tokens."""
    tokens = np.random.default_rng(0).integers(0, 50, (1, 7))
    return [Case("sentence", arrays={"input": tokens})]


if __name__ == "__main__":
    tokens = torch.from_numpy(cases()[0].arrays["input"])
    names = export(reference(), (tokens,), HERE / "decoder.onnx")
    print(f"{len(names.named)} outputs of modules have a value, {len(names.unnamed)} have none")  # noqa: T201
