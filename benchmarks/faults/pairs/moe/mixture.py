"""The port's mixture of experts: assignments sorted by expert, results laid back by rank."""

from __future__ import annotations

import torch

from benchmarks.faults.pairs.moe.layers import Context, linear

__all__ = ["mixture"]

EXPERTS = 12
SCALING = 1.5
CAPACITY = 4


def mixture(c: Context, layer: int, x: torch.Tensor, unnormed: torch.Tensor) -> torch.Tensor:
    """Routed experts plus the shared one; [batch, length, dim] -> the same.

    `unnormed` is what the norm before read; a faulty router reads it too.
    """
    path = f"layers.{layer}.moe"
    swapped = "tokens_flattened_other_way" in c.faults and layer == 2
    flat = x.transpose(0, 1).flatten(0, 1) if swapped else x.flatten(0, 1)
    routed_by = unnormed.flatten(0, 1) if "router_unnormed" in c.faults and layer == 1 else flat
    weights, chosen = _route(c, f"{path}.gate", layer, routed_by)
    if c.variant == "dense_dispatch":
        routed = _all_experts(c, layer, flat, weights, chosen)
    else:
        routed = _sorted_experts(c, layer, flat, weights, chosen)
    if "experts_averaged" in c.faults:
        routed = routed / chosen.shape[1]
    out = _with_shared(c, path, flat, routed)
    return c.tap(path, out.view_as(x))


def _with_shared(c: Context, path: str, flat: torch.Tensor, routed: torch.Tensor) -> torch.Tensor:
    """Add the shared expert's gated result; [tokens, dim] -> [tokens, dim]."""
    if "shared_expert_left_out" in c.faults:
        return routed
    shared = _expert(c, f"{path}.shared_expert", f"{path}.shared_expert", flat)
    if "shared_gate_left_out" in c.faults:
        return routed + shared
    gate = linear(c, f"{path}.shared_expert_gate", flat)
    if "shared_gate_raw" not in c.faults:
        gate = 1 / (1 + torch.exp(-gate))
    if "shared_scaled_too" in c.faults:
        gate = gate * SCALING
    return routed + gate * shared


def _route(c: Context, path: str, layer: int, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights and indices of the chosen experts, [tokens, chosen] each."""
    table = c.weights[f"{path}.proj.weight"]
    if "router_in_half" in c.faults:
        logits = torch.matmul(x.bfloat16(), table.bfloat16().T).float()
    else:
        logits = torch.matmul(x.float(), table.float().T)
    c.tap(f"{path}.proj", logits)
    scores = 1 / (1 + torch.exp(-logits))
    if "router_softmax" in c.faults:
        scores = logits.softmax(dim=-1)
    correction = c.weights[f"{path}.e_score_correction_bias"].float()
    if "correction_ignored" in c.faults:
        correction = torch.zeros_like(correction)
    count = 1 if "top_one" in c.faults else 2
    if "three_experts" in c.faults:
        count = 3
    ranked = (scores + correction).argsort(dim=-1, descending=True, stable=True)
    chosen = ranked[:, :count]
    if "correction_in_weights" in c.faults:
        scores = scores + correction
    weights = torch.take_along_dim(scores, chosen, dim=1)
    weights = _normalised(c, weights)
    if "weights_of_other_rank" in c.faults and layer == 2:
        weights = weights.flip(1)
    c.tap(path, weights.to(c.dtype))
    c.tap(path, chosen, slot="1")
    return weights, chosen


def _normalised(c: Context, weights: torch.Tensor) -> torch.Tensor:
    scaling = 1.0 if "routed_scaling_lost" in c.faults or c.variant == "scale_folded" else SCALING
    if "weights_not_normalised" in c.faults:
        return weights * scaling
    if "weights_by_softmax" in c.faults:
        return weights.softmax(dim=-1) * scaling
    return weights / weights.sum(dim=-1, keepdim=True) * scaling


def _sorted_experts(
    c: Context, layer: int, x: torch.Tensor, weights: torch.Tensor, chosen: torch.Tensor
) -> torch.Tensor:
    """Run each expert on its tokens, in the order of tokens; [tokens, dim]."""
    count = chosen.shape[1]
    places = chosen.flatten().argsort(stable=True)
    sizes = torch.bincount(chosen.flatten(), minlength=EXPERTS).tolist()
    slots = x.new_zeros(x.shape[0] * count, x.shape[1])
    last = torch.zeros_like(x)
    factors = weights.flatten()[:, None].to(x.dtype)
    for index, at in enumerate(places.split(sizes)):
        if "capacity_limited" in c.faults:
            at = at[:CAPACITY]  # noqa: PLW2901  the rest is dropped
        if not at.numel():
            continue
        rows = at // count
        given = x[rows]
        if "weights_before_experts" in c.faults:
            slots[at] = _expert(c, *_named(c, layer, index), given * factors[at])
            continue
        slots[at] = _expert(c, *_named(c, layer, index), given) * factors[at]
        last[rows] = slots[at]
    if "results_overwritten" in c.faults:
        return last
    return slots.view(x.shape[0], count, -1).sum(dim=1)


def _named(c: Context, layer: int, index: int) -> tuple[str, str]:
    """Where an expert is recorded, and where its weights come from."""
    source, at = index, layer
    if "experts_sorted_as_text" in c.faults:
        source = sorted(range(EXPERTS), key=str)[index]
    if "experts_from_one" in c.faults and layer == 1:
        source = (index + 1) % EXPERTS
    if "experts_of_layer_before" in c.faults and layer == 2:
        at = 1
    return f"layers.{layer}.moe.experts.{index}", f"layers.{at}.moe.experts.{source}"


def _all_experts(
    c: Context, layer: int, x: torch.Tensor, weights: torch.Tensor, chosen: torch.Tensor
) -> torch.Tensor:
    """Run every expert on every token and weigh most by zero; [tokens, dim]."""
    prefix = f"layers.{layer}.moe.experts"
    w1, w2, w3 = (
        torch.stack([c.weights[f"{prefix}.{index}.{name}.weight"] for index in range(EXPERTS)])
        for name in ("w1", "w2", "w3")
    )
    gate, up = torch.einsum("nd,ehd->enh", x, w1), torch.einsum("nd,ehd->enh", x, w3)
    y = torch.einsum("enh,edh->end", gate / (1 + torch.exp(-gate)) * up, w2)
    for index in range(EXPERTS):
        rows = (chosen == index).any(dim=1)
        if rows.any():
            for name, value in ((".w1", gate), (".w3", up), (".w2", y), ("", y)):
                c.tap(f"{prefix}.{index}{name}", value[index, rows])
    mix = weights.new_zeros(x.shape[0], EXPERTS).scatter(1, chosen, weights)
    return torch.einsum("ne,end->nd", mix.to(x.dtype), y)


def _expert(c: Context, path: str, source: str, x: torch.Tensor) -> torch.Tensor:
    """A gated MLP, [tokens, dim] -> [tokens, dim]."""
    first, second = (c.weights[f"{source}.{name}.weight"] for name in ("w1", "w3"))
    if "gate_up_swapped" in c.faults:
        first, second = second, first
    routed = "shared" not in path
    gate = c.tap(f"{path}.w1", x @ first.T)
    up = c.tap(f"{path}.w3", x @ second.T)
    if "experts_clamped" in c.faults and routed:
        gate, up = gate.clamp(max=1.5), up.clamp(-1.5, 1.5)
    if "gelu_in_experts" in c.faults and routed:
        h = torch.nn.functional.gelu(gate) * up
    elif "gate_not_activated" in c.faults and routed:
        h = gate * up
    elif "up_plus_one" in c.faults and routed:
        h = gate / (1 + torch.exp(-gate)) * (up + 1)
    else:
        h = gate / (1 + torch.exp(-gate)) * up
    return c.tap(path, c.tap(f"{path}.w2", h @ c.weights[f"{source}.w2.weight"].T))
