"""Faults that were planted when the engine was made, and the truth about each."""

from __future__ import annotations

import math

from benchmarks.faults.planted import held_out

__all__ = ["HELD_OUT", "HELD_OUT_CONFLICTS"]


HELD_OUT = (
    held_out(
        "rope_rates_by_head_size",
        "rates fall by the pair over the head's size; in the reference over half of it",
        ("model.rotary_emb",),
        (
            "rope.theta",
            "rope.scaling",
        ),
    ),
    held_out(
        "powers_of_two",
        "a softmax on powers of two without log2(e) in the scale",
        (
            "model.layers.*.self_attn.o_proj",
            "model.layers.*.self_attn",
        ),
        ("attention.scale",),
        24.0**-0.5 * math.log(2),
    ),
    held_out(
        "window_in_other_layers",
        "layers 0 and 2 have the window; in the reference layer 1",
        (
            "model.layers.*.self_attn.o_proj",
            "model.layers.*.self_attn",
        ),
        ("mask.window",),
    ),
    held_out(
        "second_norm_left_out",
        "layer 2 has no norm before its MLP",
        (
            "model.layers.2.post_attention_layernorm",
            "model.layers.2",
        ),
        (
            "norm.omitted",
            "graph.omitted",
        ),
    ),
    held_out(
        "head_norms_without_one",
        "norms of queries and keys multiply by the weight; in the reference by 1 plus it",
        (
            "model.layers.*.self_attn.q_norm",
            "model.layers.*.self_attn.k_norm",
        ),
        ("norm.weight_offset",),
        0.0,
    ),
    held_out(
        "merged_channels_outside",
        "layer 0 merges channels by heads; the reference heads by channels",
        (
            "model.layers.0.self_attn.o_proj",
            "model.layers.0.self_attn",
        ),
        (
            "attention.merge",
            "layout.transposed",
            "layout.flatten",
        ),
    ),
    held_out(
        "values_turned",
        "layer 2 turns values by their positions too",
        (
            "model.layers.2.self_attn.o_proj",
            "model.layers.2.self_attn",
        ),
        (
            "rope.applied",
            "graph.added",
        ),
    ),
    held_out(
        "product_activated",
        "layer 1 activates the product of gate and up; the reference the gate",
        (
            "model.layers.1.mlp.act_fn",
            "model.layers.1.mlp.down_proj",
            "model.layers.1.mlp",
        ),
        (
            "graph.order",
            "graph.source",
        ),
    ),
    held_out(
        "sum_multiplied",
        "layer 1 multiplies the sum with attention's result; the reference that result",
        (
            "model.layers.1.post_attention_layernorm",
            "model.layers.1",
        ),
        (
            "residual.scale",
            "graph.order",
        ),
    ),
)

# Of these, each pair would act on the same operation, where one hides or alters the other.
HELD_OUT_CONFLICTS = frozenset(
    frozenset(pair)
    for pair in (
        ("rope_rates_by_head_size", "rope_theta"),
        ("powers_of_two", "scale_by_head_size"),
        ("powers_of_two", "scale_twice"),
        ("window_in_other_layers", "window_ignored"),
        ("window_in_other_layers", "window_one_more"),
        ("second_norm_left_out", "norm_of_sibling"),
        ("head_norms_without_one", "qk_norm_left_out"),
        ("head_norms_without_one", "qk_norm_over_all_heads"),
        ("merged_channels_outside", "merge_without_transpose"),
        ("product_activated", "gate_up_swapped"),
        ("sum_multiplied", "residual_dropped"),
        ("sum_multiplied", "residual_multiplier_lost"),
        ("second_norm_left_out", "norm_in_half"),
    )
)
