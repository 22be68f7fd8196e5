"""Faults that were planted when the engine was made, and the truth about each."""

from __future__ import annotations

from benchmarks.faults.planted import held_out

__all__ = ["HELD_OUT", "HELD_OUT_CONFLICTS"]


HELD_OUT = (
    held_out(
        "three_experts",
        "each token goes to three experts; in the reference to two",
        (
            "encoder.layers.*.moe.gate",
            "encoder.layers.*.moe",
        ),
        ("routing.topk",),
        3.0,
    ),
    held_out(
        "experts_from_one",
        "layer 1 counts experts from one",
        (
            "encoder.layers.1.moe.experts.*.w1",
            "encoder.layers.1.moe.experts.*.w3",
            "encoder.layers.1.moe.experts.*",
        ),
        (
            "routing.order",
            "weights.source",
            "weights.permuted",
        ),
    ),
    held_out(
        "gate_not_activated",
        "routed experts multiply gate and up as they are",
        (
            "encoder.layers.*.moe.experts.*.w2",
            "encoder.layers.*.moe.experts.*",
        ),
        (
            "activation.function",
            "graph.omitted",
        ),
    ),
    held_out(
        "widening_bias_lost",
        "the dense layer widens without bias",
        ("encoder.layers.0.mlp.fc1",),
        ("weights.bias",),
    ),
    held_out(
        "value_bias_lost",
        "layer 1 adds no bias to its values",
        ("encoder.layers.1.attn.qkv",),
        ("weights.bias",),
    ),
    held_out(
        "layer_scale_of_layer_before",
        "layer 2 scales attention's result by the factors of layer 1",
        ("encoder.layers.2.ls1",),
        (
            "weights.source",
            "residual.scale",
        ),
    ),
    held_out(
        "segments_from_one",
        "segments are counted from one and wrap round",
        ("encoder.embeddings.segment",),
        (
            "embedding.offset",
            "tokenization.ids",
        ),
        1.0,
    ),
    held_out(
        "pool_largest",
        "the largest of each feature is pooled; in the reference the mean",
        (
            "encoder.pooler.proj",
            "encoder.pooler",
        ),
        ("graph.pooling",),
    ),
    held_out(
        "normalised_before_projection",
        "the mean is brought to length one; in the reference its projection",
        (
            "encoder.pooler.proj",
            "encoder.pooler",
        ),
        (
            "graph.order",
            "norm.position",
        ),
    ),
)

# Of these, each pair would act on the same operation, where one hides or alters the other.
HELD_OUT_CONFLICTS = frozenset(
    frozenset(pair)
    for pair in (
        ("three_experts", "top_one"),
        ("three_experts", "weights_of_other_rank"),
        ("experts_from_one", "experts_sorted_as_text"),
        ("gate_not_activated", "gelu_in_experts"),
        ("gate_not_activated", "up_plus_one"),
        ("layer_scale_of_layer_before", "layer_scale_lost"),
        ("layer_scale_of_layer_before", "layer_before_last"),
        ("segments_from_one", "segments_left_out"),
        ("segments_from_one", "segments_all_zero"),
        ("pool_largest", "pool_first"),
        ("pool_largest", "pool_padding_too"),
        ("normalised_before_projection", "embedding_not_normalised"),
    )
)
