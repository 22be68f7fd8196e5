"""The faults of the UNet's port: of its layers; those of the pipeline are in `faults_pipeline`."""

from __future__ import annotations

from benchmarks.faults.pairs.unet.faults_pipeline import PIPELINE_FAULTS
from benchmarks.faults.pairs.unet.held_out import HELD_OUT, HELD_OUT_CONFLICTS
from benchmarks.faults.planted import Fault

__all__ = ["CONFLICTS", "FAULTS"]

U = "pipeline.unet"
RESNETS = (f"{U}.*resnet", f"{U}.*resnets.?")
MID, DOWN, UP = f"{U}.mid_block", f"{U}.down_blocks", f"{U}.up_blocks"
BLOCK = "attention.transformer_blocks.0"
FF = (f"{U}.*.ff.net.0", f"{U}.*.ff.net", f"{U}.*.ff")
# What comes out of the mixing of values is tapped first behind the projection of the heads.
ATTN = ("attn?.to_out.0", "attn?.to_out", "attn?")


def _mixing(block: str) -> tuple[str, ...]:
    return tuple(f"{block}.{site}" for site in ATTN)


LAYER_FAULTS = (
    Fault(
        "attention_out_bias_lost", "attention's output maps of one transformer have no bias",
        (f"{UP}.0.{BLOCK}.attn?.to_out.0",), ("weights.bias",),
    ),
    Fault(
        "quick_silu", "SiLU with the slope 1.702 in all residual blocks",
        (f"{U}.*.nonlinearity", *RESNETS), ("activation.slope", "activation.function"), 1.702,
    ),
    Fault(
        "gelu_for_silu", "GELU instead of SiLU before the last convolution",
        (f"{U}.act_out",), ("activation.function",),
    ),
    Fault(
        "gelu_by_tanh", "GELU by its tanh formula in all feed-forwards",
        FF, ("activation.function",),
    ),
    Fault(
        "gelu_by_sigmoid", "GELU by a sigmoid of slope 1.702 in all feed-forwards",
        FF, ("activation.function", "activation.slope"), 1.702,
    ),
    Fault(
        "gate_and_value_swapped", "GELU acts on the first half, not on the second",
        FF, ("graph.chunks",),
    ),
    Fault(
        "group_count", "the last group norm has 4 groups instead of 8",
        (f"{U}.norm_out",), ("norm.groups",), 4.0,
    ),
    Fault(
        "one_eps_for_all", "the transformers' group norms have eps 1e-3 instead of 1e-6",
        (f"{U}.*.attention.norm",), ("norm.eps",), 1e-3,
    ),
    Fault(
        "resnet_group_eps", "the residual blocks' group norms have eps 1e-6 instead of 1e-5",
        (f"{U}.*.norm1", f"{U}.*.norm2"), ("norm.eps",), 1e-6,
    ),
    Fault(
        "group_norm_strided", "one group norm's groups take every eighth channel",
        (f"{MID}.attention.norm",), ("norm.groups", "norm.axis", "norm.statistics"),
    ),
    Fault(
        "group_norm_unbiased", "one group norm divides by the unbiased variance",
        (f"{MID}.resnets.1.norm1",), ("norm.variance",),
    ),
    Fault(
        "group_norm_bias_lost", "one group norm has no bias",
        (f"{UP}.1.resnets.0.norm1",), ("norm.bias", "weights.bias"),
    ),
    Fault(
        "context_norm_left_out", "the context is not normalised",
        (f"{U}.context_norm",), ("norm.omitted",),
    ),
    Fault(
        "layer_norm_eps", "the transformers' layer norms have eps 1e-3 instead of 1e-5",
        (f"{U}.*.transformer_blocks.0.norm?",), ("norm.eps",), 1e-3,
    ),
    Fault(
        "rms_for_layer_norm", "one layer norm does not take the mean off",
        (f"{DOWN}.1.{BLOCK}.norm3",), ("norm.kind",),
    ),
    Fault(
        "norm_weights_of_sibling", "a third norm has weight and bias of the second",
        (f"{MID}.{BLOCK}.norm3",), ("weights.source", "norm.weight"),
    ),
    Fault(
        "kernel_axes_swapped", "one kernel's height and width are swapped",
        (f"{DOWN}.1.resnet.conv2",), ("weights.transposed", "conv.kernel"),
    ),
    Fault(
        "kernel_rotated", "one kernel is rotated by half a turn (convolution, not correlation)",
        (f"{UP}.1.upsampler.conv",), ("conv.kernel",),
    ),
    Fault(
        "replicate_padding", "the last convolution pads with copies of the border, not with zeros",
        (f"{U}.conv_out",), ("padding.mode",),
    ),
    Fault(
        "conv_bias_lost", "one convolution has no bias",
        (f"{UP}.0.resnets.1.conv1",), ("conv.bias", "weights.bias"),
    ),
    Fault(
        "symmetric_downsampling", "the strided convolution is padded on all sides",
        (f"{DOWN}.0.downsampler.conv", f"{DOWN}.0.downsampler"),
        ("padding.side", "conv.alignment"), 1.0,
    ),
    Fault(
        "pool_counts_padding", "means over 3 by 3 pixels count the padding",
        (f"{DOWN}.1.downsampler",), ("padding.mode", "padding.amount"),
    ),
    Fault(
        "nearest_for_bilinear", "one map is enlarged by repetition, not bilinearly",
        (f"{UP}.0.upsampler.conv", f"{UP}.0.upsampler"),
        ("conv.resize", "conv.alignment", "graph.source"),
    ),
    Fault(
        "bilinear_for_nearest", "one map is enlarged bilinearly, not by repetition",
        (f"{UP}.1.upsampler.conv", f"{UP}.1.upsampler"),
        ("conv.resize", "conv.alignment", "graph.source"),
    ),
    Fault(
        "corners_aligned", "one bilinear enlargement aligns the corners",
        (f"{UP}.0.upsampler.conv", f"{UP}.0.upsampler"), ("conv.resize", "conv.alignment"),
    ),
    Fault(
        "keys_values_swapped", "one cross-attention takes keys for values and values for keys",
        _mixing(f"{UP}.0.{BLOCK}"), ("attention.qkv",),
    ),
    Fault(
        "keys_not_loaded", "one cross-attention's keys are left at a random initialisation",
        (f"{UP}.0.{BLOCK}.attn2.to_k",), ("weights.lost", "weights.source"),
    ),
    Fault(
        "projection_transposed", "a square weight is taken transposed",
        (f"{MID}.attention.proj_in",), ("weights.transposed",),
    ),
    Fault(
        "context_pooled", "one cross-attention attends to the mean of the context's tokens",
        (f"{UP}.0.{BLOCK}.attn2.to_[kv]", f"{UP}.0.{BLOCK}.attn2"),
        ("conditioning.source", "conditioning.combine"),
    ),
    Fault(
        "attention_scale_of_model", "scores are scaled by the width of the model, not of a head",
        _mixing(f"{U}.*"), ("attention.scale",), 48**-0.5,
    ),
    Fault(
        "attention_scale_missing", "scores of one transformer are not scaled",
        _mixing(f"{DOWN}.1.{BLOCK}"), ("attention.scale",), 1.0,
    ),
    Fault(
        "mask_ignored", "the context's padding is attended to",
        _mixing(f"{U}.*"), ("mask.padding", "mask.applied"),
    ),
    Fault(
        "mask_added_as_number", "the context's padding gets -1 instead of minus infinity",
        _mixing(f"{U}.*"), ("mask.padding", "attention.bias", "mask.applied"), -1.0,
    ),
    Fault(
        "causal_mask_added", "all self-attentions are causal",
        _mixing(f"{U}.*"), ("mask.causal", "mask.applied"),
    ),
    Fault(
        "heads_merged_without_transpose", "one self-attention's heads are joined in a wrong order",
        _mixing(f"{MID}.{BLOCK}"), ("attention.merge", "layout.transposed", "attention.heads"),
    ),
    Fault(
        "softmax_over_queries", "the softmax of one self-attention runs over the queries",
        _mixing(f"{MID}.{BLOCK}"), ("attention.axis",),
    ),
    Fault(
        "query_norm_left_out", "queries and keys of one self-attention are not normalised",
        (f"{MID}.{BLOCK}.attn1.norm_[qk]", f"{MID}.{BLOCK}.attn1"),
        ("attention.norm", "norm.omitted"),
    ),
    Fault(
        "query_norm_eps", "the norms of queries and keys have eps 1e-2 instead of 1e-6",
        (f"{U}.*.attn1.norm_[qk]", f"{U}.*.attn1"), ("norm.eps",), 1e-2,
    ),
    Fault(
        "query_norm_over_heads", "queries and keys of one block are normalised over all heads",
        (f"{DOWN}.1.{BLOCK}.attn1.norm_[qk]", f"{DOWN}.1.{BLOCK}.attn1"),
        ("attention.norm", "norm.axis", "norm.statistics"),
    ),
    Fault(
        "embedding_not_activated", "the embedding is not activated before the blocks' maps",
        (f"{U}.*.time_emb_proj", *RESNETS), ("adaln.activation", "activation.function"),
    ),
    Fault(
        "shift_before_scale", "the first half of the map is taken for the shift",
        (f"{U}.*.nonlinearity", *RESNETS), ("adaln.order", "graph.chunks"),
    ),
    Fault(
        "scale_and_shift_interleaved", "scale and shift are read alternating in one block",
        (f"{DOWN}.1.resnet.nonlinearity", f"{DOWN}.1.resnet"),
        ("adaln.order", "graph.chunks", "layout.strided"),
    ),
    Fault(
        "scale_without_one", "one block multiplies by the scale, not by one plus it",
        (f"{MID}.resnets.0.nonlinearity", f"{MID}.resnets.0"), ("adaln.scale",), 0.0,
    ),
    Fault(
        "steered_before_norm", "one block scales and shifts before the norm, not behind it",
        (f"{UP}.1.resnets.1.norm2", f"{UP}.1.resnets.1"), ("graph.order", "norm.position"),
    ),
    Fault(
        "resnet_skip_dropped", "one residual block has no skip",
        (f"{MID}.resnets.1",), ("residual.dropped",),
    ),
    Fault(
        "output_scale_lost", "residual sums are not divided by the root of two",
        RESNETS, ("residual.scale",), 1.0,
    ),
    Fault(
        "positions_left_out", "one transformer has no positions",
        (f"{MID}.{BLOCK}.norm1", f"{MID}.{BLOCK}", f"{MID}.attention"), ("positional.applied",),
    ),
    Fault(
        "rows_and_columns_swapped", "positions: sinusoids of the column, then of the row",
        (f"{U}.*.{BLOCK}.norm1", f"{U}.*.{BLOCK}", f"{U}.*.attention"),
        ("positional.order", "positional.layout", "rope.axis"),
    ),
    Fault(
        "position_period", "positions have the longest period 100 instead of 10000",
        (f"{U}.*.{BLOCK}.norm1", f"{U}.*.{BLOCK}", f"{U}.*.attention"),
        ("positional.theta",), 100.0,
    ),
    Fault(
        "positions_from_one", "positions count from one",
        (f"{U}.*.{BLOCK}.norm1", f"{U}.*.{BLOCK}", f"{U}.*.attention"),
        ("positional.offset",), 1.0,
    ),
    Fault(
        "map_without_transpose", "one transformer's tokens are taken for a map as they lie",
        (f"{DOWN}.1.attention",), ("layout.flatten", "layout.transposed"),
    ),
    Fault(
        "transformer_skip_dropped", "one transformer has no skip around it",
        (f"{UP}.0.attention",), ("residual.dropped",),
    ),
    Fault(
        "skip_from_norm", "one feed-forward's skip starts behind the norm",
        (f"{MID}.{BLOCK}",), ("residual.source", "norm.position"),
    ),
    Fault(
        "feed_forward_skip_dropped", "one feed-forward has no skip",
        (f"{DOWN}.1.{BLOCK}",), ("residual.dropped",),
    ),
)  # fmt: skip

FAULTS = (*LAYER_FAULTS, *PIPELINE_FAULTS, *HELD_OUT)

_CLASHES = (
    ("gelu_by_tanh", "gelu_by_sigmoid"),
    ("nearest_for_bilinear", "corners_aligned"),
    ("mask_ignored", "mask_added_as_number"),
    ("query_norm_left_out", "query_norm_eps"),
    ("context_pooled", "keys_values_swapped"),
    ("shift_before_scale", "scale_and_shift_interleaved"),
    ("rows_and_columns_swapped", "positions_left_out"),
    ("attention_scale_of_model", "attention_scale_missing"),
    ("shuffle_block_first", "shuffle_rows_and_columns_swapped"),
    ("sine_before_cosine", "sinusoids_interleaved"),
    ("label_left_out", "embeddings_averaged"),
    ("label_left_out", "label_shifted"),
    ("trailing_timesteps", "timestep_offset_missing"),
    ("trailing_timesteps", "timesteps_ascending"),
    ("clip_left_out", "clip_at_one"),
    ("clip_left_out", "epsilon_before_clip"),
    ("eta_zero", "variance_for_std"),
    ("another_generator", "noise_channels_last"),
    ("guidance_rescale_left_out", "guidance_spread_of_batch"),
    ("time_from_zero_to_one", "time_in_bfloat16"),
)
CONFLICTS = HELD_OUT_CONFLICTS | frozenset(frozenset(clash) for clash in _CLASHES)
