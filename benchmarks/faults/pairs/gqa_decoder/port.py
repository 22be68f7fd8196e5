"""An independent port of the decoder: functions over a dictionary of weights."""

from __future__ import annotations

import torch

from benchmarks.faults.pairs.gqa_decoder import reference
from benchmarks.faults.pairs.gqa_decoder.attention import Cache, attention
from benchmarks.faults.pairs.gqa_decoder.layers import Context, linear, rms_norm, silu
from parity.capture import next_step, phase
from parity.tensors import Case

__all__ = ["Port", "make_port"]

LAYERS = 3
SIZE = 16
HEADS, GROUPS = 6, 3
SCALE_UP = 48**0.5
MULTIPLIER = 0.6
CAP = 30.0


class Port:
    """The decoder with some switches on."""

    name = "gqa_decoder port"

    def __init__(self, context: Context) -> None:
        self._context = context

    @torch.no_grad()
    def run(self, case: Case) -> dict[str, torch.Tensor]:
        """The logits after the prompt and after each forced token, [batch, 1 + steps, words]."""
        c, cache = self._context, Cache()
        tokens, forced = (torch.from_numpy(case.arrays[name]) for name in ("tokens", "forced"))
        if "first_token_unknown" in c.faults:
            tokens = torch.cat([torch.zeros_like(tokens[:, :1]), tokens[:, 1:]], dim=1)
        if "prompt_end_again" in c.faults:
            forced = torch.cat([tokens[:, -1:], forced[:, :-1]], dim=1)
        cache.room = tokens.shape[1]
        with phase("prompt"):
            found = [logits(c, tokens, cache)[:, -1]]
        with phase("generate"):
            for token in forced.unbind(1):
                next_step()
                found.append(logits(c, token[:, None], cache)[:, -1])
        return {"logits": torch.stack(found, dim=1)}


def make_port(faults: frozenset[str], precision: str, variant: str) -> Port:
    """The port with `faults` on, its weights in `precision`, computing as `variant`."""
    dtype: torch.dtype = getattr(torch, precision)
    weights = {name: value.clone() for name, value in reference.build().state_dict().items()}
    if variant == "folded":
        _fold(weights)
    if variant == "interleaved":
        _permute(weights, torch.arange(SIZE).view(2, -1).T.flatten(), norms=True)
    if "rows_permuted_at_conversion" in faults:
        _permute(weights, torch.arange(SIZE).view(-1, 2).T.flatten(), norms=False)
    if variant == "gqa_tile":
        _reorder_heads(weights)
    weights = {name: value.to(dtype) for name, value in weights.items()}
    return Port(Context(weights, faults, variant, dtype))


def _fold(weights: dict[str, torch.Tensor]) -> None:
    """Multiply every block norm's gain into the columns of the layers after it."""
    for layer in range(LAYERS):
        for norm, readers in (
            ("input_layernorm", ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")),
            ("post_attention_layernorm", ("mlp.gate_proj", "mlp.up_proj")),
        ):
            for reader in readers:
                weights[f"layers.{layer}.{reader}.weight"] *= (
                    1 + weights[f"layers.{layer}.{norm}.weight"]
                )
    weights["lm_head.weight"] *= 1 + weights["norm.weight"]


def _permute(weights: dict[str, torch.Tensor], order: torch.Tensor, *, norms: bool) -> None:
    """Reorder the rows of queries and keys within each head, and the norms' gains if `norms`."""
    for layer in range(LAYERS):
        prefix = f"layers.{layer}.self_attn."
        for name in ("q_proj", "k_proj"):
            for kind in ("weight", "bias"):
                value = weights[f"{prefix}{name}.{kind}"]
                weights[f"{prefix}{name}.{kind}"] = value.unflatten(0, (-1, SIZE))[
                    :, order
                ].flatten(0, 1)
            if norms:
                norm = f"{prefix}{name[0]}_norm.weight"
                weights[norm] = weights[norm][order]


def _reorder_heads(weights: dict[str, torch.Tensor]) -> None:
    """Put the query heads in the order in which tiled keys meet their own."""
    order = torch.arange(HEADS).view(GROUPS, -1).T.flatten()
    for layer in range(LAYERS):
        prefix = f"layers.{layer}.self_attn."
        for name in (f"{prefix}q_proj.weight", f"{prefix}q_proj.bias"):
            weights[name] = weights[name].unflatten(0, (HEADS, SIZE))[order].flatten(0, 1)
        out = weights[f"{prefix}o_proj.weight"]
        weights[f"{prefix}o_proj.weight"] = out.unflatten(1, (HEADS, SIZE))[:, order].flatten(1)


def logits(c: Context, tokens: torch.Tensor, cache: Cache) -> torch.Tensor:
    """One call of the decoder; int64[batch, length] -> [batch, length, words]."""
    x = _embed(c, tokens)
    angles = _angles(c, tokens.shape[1], cache)
    for layer in range(LAYERS):
        x = _block(c, layer, x, angles, cache)
    cache.seen += tokens.shape[1]
    x = c.tap("norm", x) if "final_norm_left_out" in c.faults else rms_norm(c, "norm", x, _eps(c))
    y = linear(c, "lm_head", x)
    cap = 50.0 if "logit_cap_constant" in c.faults else CAP
    return c.tap("", y if "logit_cap_left_out" in c.faults else cap * torch.tanh(y / cap))


def _eps(c: Context) -> float:
    return 1e-6 if "norm_eps" in c.faults else 1e-5


def _embed(c: Context, tokens: torch.Tensor) -> torch.Tensor:
    table = c.weights["embed_tokens.weight"]
    if "table_shifted" in c.faults:
        table = table.roll(1, dims=0)  # a row for padding was put in front
    scale = SCALE_UP
    if "embedding_unscaled" in c.faults:
        scale = 1.0
    if "embedding_scale_in_half" in c.faults:
        scale = float(torch.tensor(SCALE_UP, dtype=torch.bfloat16))
    return c.tap("embed_tokens", table[tokens] * torch.tensor(scale, dtype=c.dtype))


def _angles(c: Context, length: int, cache: Cache) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines of the call's positions, [length, head size] each."""
    first = cache.seen
    if "rope_late_by_one" in c.faults and cache.seen:
        first += 1
    if "rope_restarts" in c.faults and cache.seen:
        first -= cache.room
    theta = 1e4 if "rope_theta" in c.faults else 1e6
    factor = 1.0 if "rope_unscaled" in c.faults else 4.0
    pairs = SIZE if "rope_rates_by_head_size" in c.faults else SIZE // 2
    steps = torch.arange(SIZE // 2, dtype=torch.float64) / pairs
    # Rounded as the reference rounds them, so that late positions agree.
    rates = (1 / torch.tensor(theta) ** steps.float()) / factor
    turns = torch.arange(first, first + length, dtype=torch.float32)[:, None] * rates
    if "rope_table_in_half" in c.faults:
        turns = (turns.bfloat16()).float()
    if c.variant == "interleaved":
        turns = turns.repeat_interleave(2, dim=-1)
    else:
        turns = torch.cat([turns, turns], dim=-1)
    cos, sin = turns.cos().to(c.dtype), turns.sin().to(c.dtype)
    return c.tap("rotary_emb", cos), c.tap("rotary_emb", sin, slot="1")


def _block(
    c: Context,
    layer: int,
    x: torch.Tensor,
    angles: tuple[torch.Tensor, torch.Tensor],
    cache: Cache,
) -> torch.Tensor:
    """One layer; [batch, length, dim] -> the same."""
    path = f"layers.{layer}"
    factor = 1.0 if "residual_multiplier_lost" in c.faults else MULTIPLIER
    before = x
    h = rms_norm(c, f"{path}.input_layernorm", x, _eps(c))
    x = attention(c, layer, h, angles, cache) * factor
    if not ("residual_dropped" in c.faults and layer == 1):
        x = x + before * (factor if "sum_multiplied" in c.faults and layer == 1 else 1.0)
    sibling = "norm_of_sibling" in c.faults and layer == 2
    h = rms_norm(
        c,
        f"{path}.post_attention_layernorm",
        before if "parallel_block" in c.faults and layer == 0 else x,
        _eps(c),
        weight=f"{path}.input_layernorm" if sibling else "",
    )
    if "residual_after_norm" in c.faults and layer == 2:
        x = h
    return c.tap(path, x + _mlp(c, layer, h) * factor)


def _mlp(c: Context, layer: int, x: torch.Tensor) -> torch.Tensor:
    path = f"layers.{layer}.mlp"
    gate = linear(c, f"{path}.gate_proj", x)
    if "gate_up_swapped" in c.faults:
        other = torch.matmul(x, c.weights[f"{path}.up_proj.weight"].mT)
        y = silu(c, f"{path}.act_fn", layer, other) * gate
        c.tap(f"{path}.up_proj", other)
    else:
        up = linear(c, f"{path}.up_proj", x)
        if "product_activated" in c.faults and layer == 1:
            y = silu(c, f"{path}.act_fn", layer, gate * up)
        else:
            y = silu(c, f"{path}.act_fn", layer, gate) * up
    return c.tap(path, linear(c, f"{path}.down_proj", y))
