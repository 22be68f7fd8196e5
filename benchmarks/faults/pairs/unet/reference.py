"""A small diffusion pipeline: a UNet under text and class, guidance, a DDIM sampler."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn

import parity
from benchmarks.faults.pairs.unet.blocks import (
    Downsample,
    ResnetBlock,
    SpatialTransformer,
    Upsample,
)
from parity.tensors import Case

__all__ = ["Pipeline", "Program"]

CLASSES = 6  # the row after them stands for no class
CONTEXT = 24
EMB = 64


class Timesteps(nn.Module):
    """Cosines, then sines, of the time at frequencies from 1 down to 1 / 10000."""

    def __init__(self, dim: int):
        super().__init__()
        exponent = -math.log(10000) * torch.arange(dim // 2, dtype=torch.float32) / (dim // 2)
        self.register_buffer("frequencies", exponent.exp(), persistent=False)

    def forward(self, time: torch.Tensor) -> torch.Tensor:
        """[batch] -> [batch, dim]."""
        angles = time[:, None].float() * self.frequencies[None]
        return torch.cat([angles.cos(), angles.sin()], dim=-1)


class TimestepEmbedding(nn.Module):
    """An MLP over the sinusoids."""

    def __init__(self, dim: int, out_dim: int):
        super().__init__()
        self.linear_1 = nn.Linear(dim, out_dim)
        self.act = nn.SiLU()
        self.linear_2 = nn.Linear(out_dim, out_dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, dim] -> [batch, out_dim]."""
        return self.linear_2(self.act(self.linear_1(x)))


class DownBlock(nn.Module):
    """A residual block, maybe a transformer, then half the size."""

    def __init__(self, in_dim: int, dim: int, downsampler: nn.Module, attention: bool):
        super().__init__()
        self.resnet = ResnetBlock(in_dim, dim, EMB)
        self.attention = SpatialTransformer(dim, CONTEXT) if attention else None
        self.downsampler = downsampler


class MidBlock(nn.Module):
    """Residual block, transformer, residual block."""

    def __init__(self, dim: int):
        super().__init__()
        self.resnets = nn.ModuleList([ResnetBlock(dim, dim, EMB) for _ in range(2)])
        self.attention = SpatialTransformer(dim, CONTEXT)

    def forward(
        self, x: torch.Tensor, emb: torch.Tensor, context: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """[batch, dim, h, w] -> the same."""
        x = self.resnets[0](x, emb)
        x = self.attention(x, context, mask)
        return self.resnets[1](x, emb)


class UpBlock(nn.Module):
    """Twice the size, then residual blocks that each take a skip, then maybe a transformer."""

    def __init__(self, in_dim: int, dim: int, skips: tuple[int, ...], mode: str, attention: bool):
        super().__init__()
        self.upsampler = Upsample(in_dim, dim, mode)
        self.resnets = nn.ModuleList([ResnetBlock(dim + skip, dim, EMB) for skip in skips])
        self.attention = SpatialTransformer(dim, CONTEXT) if attention else None

    def forward(
        self, x: torch.Tensor, skips: list[torch.Tensor], emb: torch.Tensor,
        context: torch.Tensor, mask: torch.Tensor,
    ) -> torch.Tensor:  # fmt: skip
        """[batch, in_dim, h, w] -> [batch, dim, 2h, 2w]; takes skips off the end of the list."""
        x = self.upsampler(x)
        for resnet in self.resnets:
            x = resnet(torch.cat([x, skips.pop()], dim=1), emb)
        return x if self.attention is None else self.attention(x, context, mask)


class UNet(nn.Module):
    """Predicts the velocity of an image, from the image, its time, a class and a context."""

    def __init__(self) -> None:
        super().__init__()
        self.time_proj = Timesteps(32)
        self.time_embedding = TimestepEmbedding(32, EMB)
        self.class_embedding = nn.Embedding(CLASSES + 1, EMB)
        self.context_norm = nn.LayerNorm(CONTEXT)
        self.conv_in = nn.Conv2d(12, 32, 3, padding=1)
        pool = nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)
        self.down_blocks = nn.ModuleList([
            DownBlock(32, 32, Downsample(32), attention=False),
            DownBlock(32, 48, pool, attention=True),
        ])  # fmt: skip
        self.mid_block = MidBlock(48)
        self.up_blocks = nn.ModuleList([
            UpBlock(48, 48, (48, 32), "bilinear", attention=True),
            UpBlock(48, 32, (32, 32), "nearest", attention=False),
        ])  # fmt: skip
        self.norm_out = nn.GroupNorm(8, 32)
        self.act_out = nn.SiLU()
        self.conv_out = nn.Conv2d(32, 12, 3, padding=1)

    def forward(
        self, image: torch.Tensor, time: torch.Tensor, label: torch.Tensor,
        context: torch.Tensor, mask: torch.Tensor,
    ) -> torch.Tensor:  # fmt: skip
        """Predict the velocity.

        Args:
            image: [batch, 3, height, width].
            time: [batch], 0 to 999.
            label: int64[batch].
            context: [batch, tokens, 24].
            mask: bool[batch, tokens], true where a token may be attended to.
        """
        emb = self.time_embedding(self.time_proj(time)) + self.class_embedding(label)
        context = self.context_norm(context)
        x = self.conv_in(nn.functional.pixel_unshuffle(image, 2))
        skips = [x]
        for block in self.down_blocks:
            x = block.resnet(x, emb)
            if block.attention is not None:
                x = block.attention(x, context, mask)
            skips.append(x)
            x = block.downsampler(x)
            if block is self.down_blocks[0]:
                skips.append(x)
        x = self.mid_block(x, emb, context, mask)
        for block in self.up_blocks:
            x = block(x, skips, emb, context, mask)
        x = self.conv_out(self.act_out(self.norm_out(x)))
        return nn.functional.pixel_shuffle(x, 2)


class Guidance(nn.Module):
    """Goes beyond the conditional prediction, and takes most of the gain in contrast back."""

    rescale = 0.7

    def forward(self, pair: torch.Tensor, scale: float) -> torch.Tensor:
        """[2 * batch, ...], unconditional ones first -> [batch, ...]."""
        without, under = pair.chunk(2)
        guided = without + scale * (under - without)
        axes = list(range(1, pair.ndim))
        factor = under.std(dim=axes, keepdim=True) / guided.std(dim=axes, keepdim=True)
        return self.rescale * (guided * factor) + (1 - self.rescale) * guided


class DDIMScheduler(nn.Module):
    """Steps from noise to image, for a model that predicts velocities."""

    def __init__(self, eta: float = 0.6, clip: float = 1.5):
        super().__init__()
        betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
        self.register_buffer("alphas", (1 - betas).cumprod(0), persistent=False)
        self.eta, self.clip = eta, clip

    def timesteps(self, steps: int) -> list[int]:
        """Times evenly spread, offset by one, the last of them first."""
        return [index * (1000 // steps) + 1 for index in reversed(range(steps))]

    def forward(
        self, velocity: torch.Tensor, time: int, before: int, x: torch.Tensor, noise: torch.Tensor
    ) -> torch.Tensor:
        """From `time` to the earlier time `before`; all tensors [batch, 3, height, width]."""
        now = self.alphas[time]
        then = self.alphas[max(before, 0)]
        image = now.sqrt() * x - (1 - now).sqrt() * velocity
        image = image.clamp(-self.clip, self.clip)
        epsilon = (x - now.sqrt() * image) / (1 - now).sqrt()
        variance = (1 - then) / (1 - now) * (1 - now / then)
        std = self.eta * variance.sqrt()
        return then.sqrt() * image + (1 - then - std**2).sqrt() * epsilon + std * noise


class Denormalize(nn.Module):
    """From what the model works on to colours."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.481, 0.457, 0.408]))
        self.register_buffer("std", torch.tensor([0.268, 0.261, 0.275]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, 3, height, width] -> the same."""
        return x * self.std[:, None, None] + self.mean[:, None, None]


class Pipeline(nn.Module):
    """All of it, with what stands for no context."""

    def __init__(self) -> None:
        super().__init__()
        self.unet = UNet()
        self.guidance = Guidance()
        self.scheduler = DDIMScheduler()
        self.denormalize = Denormalize()
        self.null_context = nn.Parameter(torch.empty(1, 1, CONTEXT))

    def sample(self, case: Case) -> torch.Tensor:
        """Draw an image for each row of the case; [batch, 3, height, width]."""
        context = torch.from_numpy(case.arrays["context"])
        mask = torch.from_numpy(case.arrays["mask"])
        label = torch.from_numpy(case.arrays["label"])
        batch = len(label)
        contexts = torch.cat([self.null_context.expand_as(context), context])
        masks = torch.cat([torch.ones_like(mask), mask])
        labels = torch.cat([torch.full_like(label, CLASSES), label])
        steps = int(case.inputs["steps"])
        x = torch.randn(batch, 3, int(case.inputs["height"]), int(case.inputs["width"]))
        for time in self.scheduler.timesteps(steps):
            parity.next_step()
            times = torch.full((2 * batch,), time)
            pair = self.unet(torch.cat([x, x]), times, labels, contexts, masks)
            velocity = self.guidance(pair, float(case.inputs["guidance"]))
            noise = torch.randn(x.shape)
            x = self.scheduler(velocity, time, time - 1000 // steps, x, noise)
        return self.denormalize(x)


GAINS: Mapping[str, float] = {"time_emb_proj": 0.5, ".to_": 1.4, ".conv1.": 0.4}


def _value(name: str, tensor: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    """Weights of the scale that trained ones have, none of them neutral."""
    noise = torch.randn(tensor.shape, generator=draw)
    if name.startswith("denormalize"):
        return tensor
    if name.endswith("bias"):
        return 0.12 * noise
    if tensor.ndim == 1:
        return 1.0 + 0.25 * noise
    if "null_context" in name or "class_embedding" in name:
        return 0.7 * noise
    gain = next((g for part, g in GAINS.items() if part in name), 1.0)
    return gain * noise / math.prod(tensor.shape[1:]) ** 0.5


class Program:
    """The pipeline, run over a case."""

    name = "unet reference"

    def __init__(self, seed: int = 3) -> None:
        with torch.random.fork_rng():
            self.pipeline = Pipeline().eval()
        draw = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, tensor in self.pipeline.state_dict().items():
                tensor.copy_(_value(name, tensor, draw))
        self.modules: Mapping[str, nn.Module] = {"pipeline": self.pipeline}

    def run(self, case: Case) -> dict[str, torch.Tensor]:
        """Sample for `label`, `context` and `mask` at the case's size, steps and guidance."""
        with torch.no_grad():
            return {"image": self.pipeline.sample(case)}
