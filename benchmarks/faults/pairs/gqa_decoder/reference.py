"""A decoder in the manner of Qwen 3 and Gemma: grouped queries, RoPE, QK-norm, gated MLP, cache."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F  # noqa: N812  as model repositories write it
from torch import nn

import parity
from parity.tensors import Case

__all__ = ["Program", "build"]

VOCABULARY = 96
DIM = 48
HEADS = 6
KV_HEADS = 3
HEAD_DIM = 16
HIDDEN = 80
WINDOWS = (None, 5, None)  # the middle layer sees the last five positions
THETA = 1e6
ROPE_FACTOR = 4.0  # positions count a fourth of their number
BLOCK_EPS = 1e-5
QK_EPS = 1e-6
QUERY_SCALAR = 24.0  # the scores are divided by its root, which is not the root of the head's size
RESIDUAL_MULTIPLIER = 0.6
LOGIT_CAP = 30.0


class RMSNorm(nn.Module):
    """x / rms(x) * (1 + weight), computed in float32."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.zeros(dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = x.float()
        h = h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + self.eps)
        return (h * (1.0 + self.weight.float())).type_as(x)


class ScaledEmbedding(nn.Embedding):
    """Rows of the table times a constant."""

    def __init__(self, count: int, dim: int, scale: float) -> None:
        super().__init__(count, dim)
        self.register_buffer("embed_scale", torch.tensor(scale), persistent=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return super().forward(tokens) * self.embed_scale.to(self.weight.dtype)


class RotaryEmbedding(nn.Module):
    """Cosines and sines of the positions, each [length, head dim], its halves equal."""

    def __init__(self) -> None:
        super().__init__()
        exponent = torch.arange(0, HEAD_DIM, 2, dtype=torch.float32) / HEAD_DIM
        self.register_buffer("inv_freq", 1.0 / (THETA**exponent) / ROPE_FACTOR, persistent=False)

    def forward(self, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        freqs = torch.outer(positions.float(), self.inv_freq)
        emb = torch.cat((freqs, freqs), dim=-1)
        return emb.cos(), emb.sin()


def rotate_half(x: torch.Tensor) -> torch.Tensor:
    x1, x2 = x.chunk(2, dim=-1)
    return torch.cat((-x2, x1), dim=-1)


class KVCache:
    """Keys and values by layer, [batch, kv heads, length, head dim]."""

    def __init__(self) -> None:
        self.entries: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def update(
        self, layer: int, key: torch.Tensor, value: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if layer in self.entries:
            keys, values = self.entries[layer]
            key, value = torch.cat((keys, key), dim=2), torch.cat((values, value), dim=2)
        self.entries[layer] = key, value
        return key, value

    def length(self) -> int:
        return self.entries[0][0].shape[2] if self.entries else 0


class Attention(nn.Module):
    """Grouped-query attention with normed queries and keys."""

    def __init__(self, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.window = WINDOWS[layer]
        self.q_proj = nn.Linear(DIM, HEADS * HEAD_DIM)
        self.k_proj = nn.Linear(DIM, KV_HEADS * HEAD_DIM)
        self.v_proj = nn.Linear(DIM, KV_HEADS * HEAD_DIM)
        self.o_proj = nn.Linear(HEADS * HEAD_DIM, DIM, bias=False)
        self.q_norm = RMSNorm(HEAD_DIM, QK_EPS)
        self.k_norm = RMSNorm(HEAD_DIM, QK_EPS)

    def forward(
        self, x: torch.Tensor, rotary: tuple[torch.Tensor, torch.Tensor], cache: KVCache
    ) -> torch.Tensor:
        batch, length, _ = x.shape
        q = self.q_norm(self.q_proj(x).view(batch, length, HEADS, HEAD_DIM)).transpose(1, 2)
        k = self.k_norm(self.k_proj(x).view(batch, length, KV_HEADS, HEAD_DIM)).transpose(1, 2)
        v = self.v_proj(x).view(batch, length, KV_HEADS, HEAD_DIM).transpose(1, 2)
        cos, sin = rotary
        q = q * cos + rotate_half(q) * sin
        k = k * cos + rotate_half(k) * sin
        k, v = cache.update(self.layer, k, v)
        k = k.repeat_interleave(HEADS // KV_HEADS, dim=1)
        v = v.repeat_interleave(HEADS // KV_HEADS, dim=1)
        scores = torch.matmul(q, k.transpose(-2, -1)) * QUERY_SCALAR**-0.5
        scores = scores + self.mask(length, k.shape[2])
        weights = F.softmax(scores, dim=-1, dtype=torch.float32).to(q.dtype)
        out = torch.matmul(weights, v).transpose(1, 2).reshape(batch, length, -1)
        return self.o_proj(out)

    def mask(self, queries: int, keys: int) -> torch.Tensor:
        """0 where a query may look, else minus infinity; [queries, keys]."""
        age = torch.arange(keys - queries, keys)[:, None] - torch.arange(keys)[None, :]
        hidden = age < 0
        if self.window is not None:
            hidden |= age >= self.window
        return torch.zeros(queries, keys).masked_fill(hidden, float("-inf"))


class MLP(nn.Module):
    """down(silu(gate(x)) * up(x))."""

    def __init__(self) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(DIM, HIDDEN, bias=False)
        self.up_proj = nn.Linear(DIM, HIDDEN, bias=False)
        self.down_proj = nn.Linear(HIDDEN, DIM, bias=False)
        self.act_fn = nn.SiLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down_proj(self.act_fn(self.gate_proj(x)) * self.up_proj(x))


class DecoderLayer(nn.Module):
    """Attention and MLP, each normed before and scaled before it is added."""

    def __init__(self, layer: int) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(DIM, BLOCK_EPS)
        self.self_attn = Attention(layer)
        self.post_attention_layernorm = RMSNorm(DIM, BLOCK_EPS)
        self.mlp = MLP()

    def forward(
        self, x: torch.Tensor, rotary: tuple[torch.Tensor, torch.Tensor], cache: KVCache
    ) -> torch.Tensor:
        x = x + self.self_attn(self.input_layernorm(x), rotary, cache) * RESIDUAL_MULTIPLIER
        return x + self.mlp(self.post_attention_layernorm(x)) * RESIDUAL_MULTIPLIER


class Decoder(nn.Module):
    """Tokens -> logits, one call for a prompt and one for each further token."""

    def __init__(self) -> None:
        super().__init__()
        self.embed_tokens = ScaledEmbedding(VOCABULARY, DIM, DIM**0.5)
        self.rotary_emb = RotaryEmbedding()
        self.layers = nn.ModuleList(DecoderLayer(layer) for layer in range(len(WINDOWS)))
        self.norm = RMSNorm(DIM, BLOCK_EPS)
        self.lm_head = nn.Linear(DIM, VOCABULARY, bias=False)

    def forward(self, tokens: torch.Tensor, cache: KVCache) -> torch.Tensor:
        start = cache.length()
        x = self.embed_tokens(tokens)
        rotary = self.rotary_emb(torch.arange(start, start + tokens.shape[1]))
        for layer in self.layers:
            x = layer(x, rotary, cache)
        logits = self.lm_head(self.norm(x))
        return torch.tanh(logits / LOGIT_CAP) * LOGIT_CAP


def build() -> Decoder:
    """The decoder with weights that leave no parameter at a value that hides it."""
    model = Decoder()
    generator = torch.Generator().manual_seed(20)
    for name, weight in model.named_parameters():
        noise = torch.randn(weight.shape, generator=generator)
        weight.data = noise * _scale(name, weight) + (0.5 if "q_norm" in name else 0.0)
        if "k_norm" in name:
            weight.data += 0.4
    return model.eval()


def _scale(name: str, weight: torch.Tensor) -> float:
    if weight.ndim == 1:
        return 0.06 if name.endswith("bias") else 0.25
    if "embed_tokens" in name:
        return 0.05
    gains = {"q_proj": 0.25, "k_proj": 0.25, "o_proj": 0.7, "gate_proj": 1.4, "lm_head": 5.0}
    gain = next((gain for part, gain in gains.items() if part in name), 1.0)
    return float(gain * weight.shape[1] ** -0.5)


class Program:
    """A prompt, then the forced tokens one by one through the cache."""

    name = "gqa_decoder"

    def __init__(self) -> None:
        self._model = build()
        self.modules: Mapping[str, nn.Module] = {"model": self._model}

    @torch.no_grad()
    def run(self, case: Case) -> dict[str, torch.Tensor]:
        """The logits after the prompt and after each forced token, [batch, 1 + steps, words]."""
        cache = KVCache()
        with parity.phase("prompt"):
            found = [self._model(torch.from_numpy(case.arrays["tokens"]), cache)[:, -1]]
        forced = torch.from_numpy(case.arrays["forced"])
        with parity.phase("generate"):
            for step in range(forced.shape[1]):
                parity.next_step()
                found.append(self._model(forced[:, step : step + 1], cache)[:, -1])
        return {"logits": torch.stack(found, dim=1)}
