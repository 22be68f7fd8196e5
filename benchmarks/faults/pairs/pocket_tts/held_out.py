"""Faults that were planted when the engine was made, and the truth about each."""

from __future__ import annotations

import math

from benchmarks.faults.planted import held_out

__all__ = ["HELD_OUT", "HELD_OUT_CONFLICTS"]


HELD_OUT = (
    held_out(
        "sees_next",
        "a query sees the next key too; none behind it",
        (
            "mimi.encoder_transformer.transformer.layers.*.self_attn*",
            "flow_lm.transformer.layers.*.self_attn*",
        ),
        ("mask.causal",),
    ),
    held_out(
        "rope_skips_one",
        "positions behind the first pass one further; without a gap",
        (
            "flow_lm.transformer.rope",
            "mimi.decoder_transformer.transformer.rope",
        ),
        (
            "rope.offset",
            "cache.position",
        ),
        1.0,
    ),
    held_out(
        "gelu_left_out",
        "no activation in the language model's first feed-forward; GELU",
        ("flow_lm.transformer.layers.0.linear2",),
        (
            "activation.function",
            "graph.omitted",
        ),
    ),
    held_out(
        "feed_forward_skip_dropped",
        "feed-forward of the encoder's first layer alone; added to what it read",
        ("mimi.encoder_transformer.transformer.layers.0",),
        (
            "residual.dropped",
            "graph.omitted",
        ),
    ),
    held_out(
        "norm_weight_lost",
        "first norms of the decoder's transformer without weight; with it",
        ("mimi.decoder_transformer.transformer.layers.*.norm1",),
        (
            "norm.weight",
            "weights.lost",
        ),
    ),
    held_out(
        "alpha_lost",
        "norm of the time embeddings without its factors; with them",
        ("flow_lm.flow_net.time_embed.?.mlp.3",),
        (
            "norm.weight",
            "weights.lost",
        ),
    ),
    held_out(
        "condition_left_out",
        "flow network steered by the times alone; by what the language model knows as well",
        ("flow_lm.flow_net.res_blocks.0.adaLN_modulation*",),
        (
            "conditioning.combine",
            "graph.omitted",
        ),
    ),
    held_out(
        "normalised_again",
        "latents normalised once more before the decoder; denormalised",
        ("mimi.quantizer*",),
        ("schedule.denormalise",),
    ),
    held_out(
        "tail_halved",
        "half of the tail kept in the upsampling; all of it",
        ("mimi.upsample*",),
        (
            "streaming.overlap",
            "streaming.state",
        ),
    ),
    held_out(
        "leaky_relu",
        "leaky ReLU at the beginning of unit 3; ELU",
        ("mimi.decoder.model.3.block.0",),
        ("activation.function",),
    ),
    held_out(
        "unit_sum_scaled",
        "sum of unit 6 over the root of two; as it is",
        ("mimi.decoder.model.6",),
        ("residual.scale",),
        math.sqrt(0.5),
    ),
)

# Of these, each pair would act on the same operation, where one hides or alters the other.
HELD_OUT_CONFLICTS = frozenset(
    frozenset(pair)
    for pair in (
        ("sees_next", "story18"),
        ("sees_next", "story18a"),
        ("sees_next", "context_and_one"),
        ("rope_skips_one", "rope_restarts"),
        ("rope_skips_one", "voice_forgotten"),
        ("gelu_left_out", "gelu_exact"),
        ("norm_weight_lost", "norm_eps"),
        ("alpha_lost", "story13"),
        ("alpha_lost", "rms_biased"),
        ("alpha_lost", "rms_mean_square"),
        ("normalised_again", "story14"),
        ("normalised_again", "mean_forgotten"),
        ("normalised_again", "mean_before_scale"),
        ("tail_halved", "story19"),
        ("leaky_relu", "story08"),
        ("unit_sum_scaled", "unit_skip_dropped"),
        ("feed_forward_skip_dropped", "relu"),
        ("feed_forward_skip_dropped", "layer_scale_of_sibling"),
    )
)
