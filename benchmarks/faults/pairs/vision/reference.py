"""A contrastive image encoder, as repositories of that kind write it."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from parity.tensors import Case

__all__ = ["DEPTH", "DIM", "GRID", "HEADS", "PATCH", "Program", "build"]

DIM, HEADS, DEPTH, HIDDEN, JOINT = 48, 4, 3, 112, 40
PATCH, GRID = 8, 4  # the table of positions was learnt on 4 by 4 patches
EPS = 1e-6


class Preprocess(nn.Module):
    """Bytes of any size -> a normalised picture of the wanted size."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def forward(self, pixels: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """uint8[batch, height, width, 3] -> [batch, 3, *size]."""
        x = pixels.permute(0, 3, 1, 2).float() / 255
        x = functional.interpolate(
            x, size=size, mode="bilinear", align_corners=False, antialias=True
        )
        return (x - self.mean) / self.std


class Embeddings(nn.Module):
    """Patches, the class token before them, and learnt positions that follow the grid."""

    def __init__(self) -> None:
        super().__init__()
        self.patch_embedding = nn.Conv2d(3, DIM, PATCH, stride=PATCH, bias=False)
        self.class_embedding = nn.Parameter(torch.zeros(DIM))
        self.position_embedding = nn.Embedding(1 + GRID * GRID, DIM)

    def positions(self, height: int, width: int) -> torch.Tensor:
        """[1, 1 + height * width, dim]."""
        table = self.position_embedding.weight
        grid = table[1:].reshape(1, GRID, GRID, DIM).permute(0, 3, 1, 2)
        grid = functional.interpolate(
            grid, size=(height, width), mode="bicubic", align_corners=False
        )
        return torch.cat([table[None, :1], grid.flatten(2).transpose(1, 2)], dim=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, 3, height, width] -> [batch, 1 + patches, dim]."""
        x = self.patch_embedding(x)
        height, width = x.shape[-2:]
        x = x.flatten(2).transpose(1, 2)
        x = torch.cat([self.class_embedding.expand(len(x), 1, -1), x], dim=1)
        return x + self.positions(height, width)


class QuickGELU(nn.Module):
    """A sigmoid in place of the normal distribution."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Any shape."""
        return x * torch.sigmoid(1.702 * x)


class Mlp(nn.Module):
    """Up, activation, down."""

    def __init__(self, act: nn.Module) -> None:
        super().__init__()
        self.fc1 = nn.Linear(DIM, HIDDEN)
        self.act = act
        self.fc2 = nn.Linear(HIDDEN, DIM)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., dim] -> [..., dim]."""
        return self.fc2(self.act(self.fc1(x)))


class Attention(nn.Module):
    """Self-attention of every token to every token."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = (DIM // HEADS) ** -0.5
        self.qkv = nn.Linear(DIM, 3 * DIM)
        self.proj = nn.Linear(DIM, DIM)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, tokens, dim] -> [batch, tokens, dim]."""
        batch, tokens, _ = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, HEADS, DIM // HEADS).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        weights = (q * self.scale @ k.transpose(-2, -1)).softmax(dim=-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(batch, tokens, DIM))


class LayerScale(nn.Module):
    """One learnt factor a channel."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(DIM))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., dim] -> [..., dim]."""
        return x * self.gamma


class Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(DIM, eps=EPS)
        self.attn = Attention()
        self.ls1 = LayerScale()
        self.norm2 = nn.LayerNorm(DIM, eps=EPS)
        self.mlp = Mlp(QuickGELU())
        self.ls2 = LayerScale()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, tokens, dim] -> [batch, tokens, dim]."""
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class Tower(nn.Module):
    """The transformer over patches."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = Embeddings()
        self.pre_layernorm = nn.LayerNorm(DIM, eps=EPS)
        self.layers = nn.ModuleList(Block() for _ in range(DEPTH))
        self.post_layernorm = nn.LayerNorm(DIM, eps=EPS)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The class token at the end, [batch, dim], and the patches one layer before the end."""
        x = self.pre_layernorm(self.embeddings(x))
        hidden = [x]
        for layer in self.layers:
            x = layer(x)
            hidden.append(x)
        return self.post_layernorm(x[:, 0]), hidden[-2][:, 1:]


class AttentionPool(nn.Module):
    """A learnt query that looks at all patches."""

    def __init__(self) -> None:
        super().__init__()
        self.probe = nn.Parameter(torch.zeros(1, 1, DIM))
        self.attention = nn.MultiheadAttention(DIM, HEADS, batch_first=True)
        self.norm = nn.LayerNorm(DIM, eps=EPS)
        self.mlp = Mlp(nn.GELU())

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """[batch, patches, dim] -> [batch, dim]."""
        probe = self.probe.expand(len(tokens), -1, -1)
        x, _ = self.attention(probe, tokens, tokens, need_weights=False)
        return (x + self.mlp(self.norm(x)))[:, 0]


class ContrastiveHead(nn.Module):
    """Scaled cosines of pictures and texts."""

    def __init__(self) -> None:
        super().__init__()
        self.logit_scale = nn.Parameter(torch.tensor(math.log(13.5)))
        self.logit_bias = nn.Parameter(torch.tensor(-1.5))

    def forward(self, image: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        """[batch, joint], [texts, joint] -> [batch, texts]."""
        image = functional.normalize(image, dim=-1)
        text = functional.normalize(text, dim=-1)
        return self.logit_scale.exp() * image @ text.t() + self.logit_bias


class VisionModel(nn.Module):
    """Picture and texts -> how well they fit."""

    def __init__(self) -> None:
        super().__init__()
        self.preprocess = Preprocess()
        self.visual = Tower()
        self.pool = AttentionPool()
        self.visual_projection = nn.Linear(DIM, JOINT, bias=False)
        self.region_projection = nn.Linear(DIM, JOINT, bias=False)
        self.head = ContrastiveHead()

    def forward(
        self, pixels: torch.Tensor, text: torch.Tensor, size: tuple[int, int]
    ) -> torch.Tensor:
        """uint8[batch, height, width, 3], [texts, joint] -> [batch, texts]."""
        pooled, tokens = self.visual(self.preprocess(pixels, size))
        regions = self.pool(tokens)
        image = self.visual_projection(pooled) + self.region_projection(regions)
        return self.head(image, text)


def build() -> VisionModel:
    """The model with weights of trained scales, the same in every process."""
    model = VisionModel().eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(71)
    for name, parameter in model.named_parameters():
        if parameter.dim():
            scale, offset = _scale(name, parameter)
            parameter.copy_(offset + scale * torch.randn(parameter.shape, generator=generator))
    return model


def _scale(name: str, parameter: torch.Tensor) -> tuple[float, float]:
    """Standard deviation and mean of the weights called `name`."""
    if name.endswith(("layernorm.weight", "norm.weight", "norm1.weight", "norm2.weight")):
        # Trained encoders shrink what follows the first norm, so that eps is not nothing.
        return (0.08, 0.3) if "pre_" in name else (0.25, 1.0)
    if name.endswith("bias"):
        return (0.05, 0.0) if "pre_" in name else (0.15, 0.0)
    if name.endswith("gamma"):
        return 0.15, 0.4
    if "embedding" in name and "patch" not in name:
        return 0.25, 0.0
    if name.endswith("probe"):
        return 1.0, 0.0
    fan_in = parameter[0].numel()
    gain = {"qkv": 1.6, "in_proj": 1.6, "patch": 0.6, "_projection": 0.25}
    return next((g for key, g in gain.items() if key in name), 1.0) / math.sqrt(fan_in), 0.0


class Program:
    """The reference."""

    name = "vision reference"

    def __init__(self) -> None:
        self.model = build()
        self.modules: dict[str, nn.Module] = {"model": self.model}

    @torch.no_grad()
    def run(self, case: Case) -> dict[str, torch.Tensor]:
        """The fit of each picture to each text, [batch, texts]."""
        pixels = torch.from_numpy(case.arrays["pixels"])
        text = torch.from_numpy(case.arrays["text"])
        height, width = case.inputs["size"]
        return {"logits": self.model(pixels, text, (height, width))}
