"""Faults that were planted when the engine was made, and the truth about each."""

from __future__ import annotations

import math

from benchmarks.faults.planted import held_out

__all__ = ["HELD_OUT", "HELD_OUT_CONFLICTS"]


HELD_OUT = (
    held_out(
        "betas_of_paper",
        "betas grow to 0.02, not to 0.012",
        ("pipeline.scheduler",),
        (
            "schedule.values",
            "graph.constant",
        ),
    ),
    held_out(
        "guidance_one_less",
        "the scale of guidance is one less",
        ("pipeline.guidance",),
        ("conditioning.guidance",),
    ),
    held_out(
        "eta_one",
        "all of the variance is drawn anew (eta 1, not 0.6)",
        ("pipeline.scheduler",),
        (
            "sampling.scale",
            "graph.constant",
        ),
        1.0,
    ),
    held_out(
        "normalised_again",
        "colours are normalised once more, not brought back",
        ("pipeline.denormalize",),
        ("schedule.denormalise",),
    ),
    held_out(
        "time_mlp_relu",
        "ReLU instead of SiLU in the time's MLP",
        ("pipeline.unet.time_embedding.act",),
        ("activation.function",),
    ),
    held_out(
        "context_norm_over_tokens",
        "the context is normalised over tokens, not over channels",
        ("pipeline.unet.context_norm",),
        ("norm.axis",),
    ),
    held_out(
        "steering_of_sibling",
        "one block is steered by the map of the block before",
        ("pipeline.unet.mid_block.resnets.1.time_emb_proj",),
        ("weights.source",),
    ),
    held_out(
        "downsampling_from_left",
        "the strided convolution is padded at the left and the top",
        ("pipeline.unet.down_blocks.0.downsampler.conv",),
        (
            "padding.side",
            "conv.alignment",
        ),
    ),
    held_out(
        "pool_maximum",
        "the largest of 3 by 3 pixels, not their mean",
        ("pipeline.unet.down_blocks.1.downsampler",),
        ("conv.pool",),
    ),
    held_out(
        "output_halved",
        "residual sums of the way down are divided by 2, not by its root",
        ("pipeline.unet.down_blocks.?.resnet",),
        ("residual.scale",),
        0.5,
    ),
    held_out(
        "skips_scaled",
        "skips to the way up are multiplied by the root of a half",
        ("pipeline.unet.up_blocks.*.conv_shortcut", "pipeline.unet.up_blocks.*.norm1"),
        (
            "conditioning.scale",
            "graph.scale",
        ),
        math.sqrt(0.5),
    ),
    held_out(
        "enlarged_last",
        "one map is convolved, then enlarged",
        (
            "pipeline.unet.up_blocks.1.upsampler.conv",
            "pipeline.unet.up_blocks.1.upsampler",
        ),
        ("graph.order",),
    ),
    held_out(
        "key_norm_by_query_weight",
        "keys are normalised by the queries' weight",
        ("pipeline.unet.*.attn1.norm_k",),
        (
            "weights.source",
            "norm.weight",
        ),
    ),
    held_out(
        "heads_interleaved",
        "one self-attention deals channels to heads in turn",
        (
            "pipeline.unet.up_blocks.0.*.attn1.norm_q",
            "pipeline.unet.up_blocks.0.*.attn1.norm_k",
        ),
        (
            "attention.heads",
            "layout.flatten",
        ),
    ),
)

# Of these, each pair would act on the same operation, where one hides or alters the other.
HELD_OUT_CONFLICTS = frozenset(
    frozenset(pair)
    for pair in (
        ("guidance_one_less", "guidance_from_conditional"),
        ("guidance_one_less", "guidance_halves_swapped"),
        ("betas_of_paper", "linear_betas"),
        ("eta_one", "eta_zero"),
        ("eta_one", "variance_for_std"),
        ("normalised_again", "plain_denormalisation"),
        ("normalised_again", "colours_reversed"),
        ("context_norm_over_tokens", "context_norm_left_out"),
        ("downsampling_from_left", "symmetric_downsampling"),
        ("pool_maximum", "pool_counts_padding"),
        ("output_halved", "output_scale_lost"),
        ("enlarged_last", "bilinear_for_nearest"),
        ("enlarged_last", "kernel_rotated"),
        ("key_norm_by_query_weight", "query_norm_left_out"),
        ("key_norm_by_query_weight", "query_norm_over_heads"),
        ("steering_of_sibling", "embedding_not_activated"),
    )
)
