"""A text encoder with mixtures of experts: T5's relative bias, top-2 routing, shared experts."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F  # noqa: N812  as model repositories write it
from torch import nn

from parity.tensors import Case

__all__ = ["Program", "build"]

VOCABULARY = 80
DIM = 40
HEADS = 4
HEAD_DIM = 12
HIDDEN = 72  # of the first layer, which is dense
EXPERTS = 12
EXPERT_HIDDEN = 28
SHARED_HIDDEN = 36
TOP_K = 2
ROUTED_SCALING = 1.5
BUCKETS = 16
MAX_DISTANCE = 20
EMBEDDING = 32
EPS = 1e-6


class Embeddings(nn.Module):
    """Words plus segments, normed."""

    def __init__(self) -> None:
        super().__init__()
        self.word = nn.Embedding(VOCABULARY, DIM)
        self.segment = nn.Embedding(2, DIM)
        self.norm = nn.LayerNorm(DIM, eps=EPS)

    def forward(self, tokens: torch.Tensor, segments: torch.Tensor) -> torch.Tensor:
        return self.norm(self.word(tokens) + self.segment(segments))


class PositionBias(nn.Module):
    """A learnt number a head for each bucket of distances, [1, heads, length, length]."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(BUCKETS, HEADS)

    @staticmethod
    def bucket(relative: torch.Tensor) -> torch.Tensor:
        """Half of the buckets for keys behind the query; small distances have one each."""
        half = BUCKETS // 2
        buckets = (relative > 0).long() * half
        distance = relative.abs()
        exact = half // 2
        large = exact + (
            torch.log(distance.clamp(min=1).float() / exact)
            / math.log(MAX_DISTANCE / exact)
            * (half - exact)
        ).long().clamp(max=half - exact - 1)
        return buckets + torch.where(distance < exact, distance, large)

    def forward(self, length: int) -> torch.Tensor:
        context = torch.arange(length)[:, None]
        memory = torch.arange(length)[None, :]
        values = self.table(self.bucket(memory - context))
        return values.permute(2, 0, 1).unsqueeze(0)


class Attention(nn.Module):
    """Self-attention of T5: scores are not scaled, a bias of positions is added."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(DIM, 3 * HEADS * HEAD_DIM)
        self.out = nn.Linear(HEADS * HEAD_DIM, DIM)

    def forward(self, x: torch.Tensor, bias: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        batch, length, _ = x.shape
        qkv = self.qkv(x).reshape(batch, length, 3, HEADS, HEAD_DIM).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        scores = q @ k.transpose(-2, -1) + bias
        scores = scores.masked_fill(~mask[:, None, None, :], torch.finfo(scores.dtype).min)
        x = F.softmax(scores, dim=-1) @ v
        return self.out(x.transpose(1, 2).flatten(2))


class LayerScale(nn.Module):
    """One learnt factor a channel."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(DIM))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gamma


class MLP(nn.Module):
    """The dense layer's."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(DIM, HIDDEN)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(HIDDEN, DIM)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(self.act(self.fc1(x)))


class Router(nn.Module):
    """Chooses experts by sigmoid scores plus a correction, which the weights do without."""

    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Linear(DIM, EXPERTS, bias=False)
        self.register_buffer("e_score_correction_bias", torch.zeros(EXPERTS))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scores = self.proj(x.float()).sigmoid()
        chosen = torch.topk(scores + self.e_score_correction_bias, TOP_K, dim=-1).indices
        weights = scores.gather(1, chosen)
        weights = weights / (weights.sum(dim=-1, keepdim=True) + 1e-20)
        return weights * ROUTED_SCALING, chosen


class Expert(nn.Module):
    """w2(silu(w1 x) * w3 x)."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.w1 = nn.Linear(DIM, hidden, bias=False)
        self.w2 = nn.Linear(hidden, DIM, bias=False)
        self.w3 = nn.Linear(DIM, hidden, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class MixtureOfExperts(nn.Module):
    """The weighted results of the chosen experts, plus the gated result of a shared one."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = Router()
        self.experts = nn.ModuleList(Expert(EXPERT_HIDDEN) for _ in range(EXPERTS))
        self.shared_expert = Expert(SHARED_HIDDEN)
        self.shared_expert_gate = nn.Linear(DIM, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = x.reshape(-1, x.shape[-1])
        weights, chosen = self.gate(tokens)
        result = torch.zeros_like(tokens)
        for index, expert in enumerate(self.experts):
            rows, ranks = torch.where(chosen == index)
            if rows.numel():
                result.index_add_(0, rows, expert(tokens[rows]) * weights[rows, ranks, None])
        shared = self.shared_expert(tokens)
        result = result + torch.sigmoid(self.shared_expert_gate(tokens)) * shared
        return result.view_as(x)


class Layer(nn.Module):
    """Attention, then a dense MLP in the first layer and a mixture in the others."""

    def __init__(self, index: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(DIM, eps=EPS)
        self.attn = Attention()
        self.ls1 = LayerScale()
        self.norm2 = nn.LayerNorm(DIM, eps=EPS)
        if index == 0:
            self.mlp: nn.Module = MLP()
        else:
            self.moe: nn.Module = MixtureOfExperts()

    def forward(self, x: torch.Tensor, bias: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        x = x + self.ls1(self.attn(self.norm1(x), bias, mask))
        feed = self.mlp if hasattr(self, "mlp") else self.moe
        return x + feed(self.norm2(x))


class RMSNorm(nn.Module):
    """x / rms(x) * weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(DIM))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPS))


class Pooler(nn.Module):
    """The mean of what is not padding, projected."""

    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Linear(DIM, EMBEDDING)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        real = mask.unsqueeze(-1).to(x.dtype)
        return self.proj((x * real).sum(1) / real.sum(1).clamp(min=1e-9))


class Encoder(nn.Module):
    """Tokens and segments, int64[batch, length] -> embeddings of unit length."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = Embeddings()
        self.position_bias = PositionBias()
        self.layers = nn.ModuleList(Layer(index) for index in range(3))
        self.final_norm = RMSNorm()
        self.pooler = Pooler()

    def forward(
        self, tokens: torch.Tensor, segments: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        x = self.embeddings(tokens, segments)
        bias = self.position_bias(tokens.shape[1])
        for layer in self.layers:
            x = layer(x, bias, mask)
        return F.normalize(self.pooler(self.final_norm(x), mask), dim=-1)


def build() -> Encoder:
    """The encoder with weights that leave no parameter at a value that hides it."""
    model = Encoder()
    generator = torch.Generator().manual_seed(31)
    values = [*model.named_parameters(), *model.named_buffers()]
    for name, value in values:
        mean, spread = _spread(name, value)
        value.data = mean + spread * torch.randn(value.shape, generator=generator)
    return model.eval()


def _spread(name: str, value: torch.Tensor) -> tuple[float, float]:
    if "norm" in name and name.endswith("weight"):
        return 1.0, 0.2
    if "gamma" in name:
        return 0.7, 0.2
    if value.ndim == 1:
        return 0.0, 0.12
    if "table" in name:
        return 0.0, 0.8
    if "embeddings" in name:
        return 0.02, 0.08  # the mean is for the norm to take off
    gains = {"qkv": 0.6, "gate.proj": 1.5, "w1": 1.4, "w3": 1.2, "w2": 1.2}
    gain = next((gain for part, gain in gains.items() if part in name), 1.0)
    return 0.0, float(gain * value.shape[1] ** -0.5)


class Program:
    """One call of the encoder."""

    name = "moe"

    def __init__(self) -> None:
        self._model = build()
        self.modules: Mapping[str, nn.Module] = {"encoder": self._model}

    @torch.no_grad()
    def run(self, case: Case) -> dict[str, torch.Tensor]:
        """The embeddings, [batch, 32]."""
        tokens, segments, lengths = (
            torch.from_numpy(case.arrays[name]) for name in ("tokens", "segments", "lengths")
        )
        mask = torch.arange(tokens.shape[1])[None, :] < lengths[:, None]
        return {"embedding": self._model(tokens, segments, mask)}
