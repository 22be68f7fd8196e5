"""The switches of the vision port, and the truth about each."""

from __future__ import annotations

import math

from benchmarks.faults.pairs.vision.held_out import HELD_OUT, HELD_OUT_CONFLICTS
from benchmarks.faults.pairs.vision.reference import DIM
from benchmarks.faults.pairs.vision.tower_faults import TOWER, TOWER_FAULTS
from benchmarks.faults.planted import Fault

__all__ = ["CONFLICTS", "FAULTS"]

EMBEDDINGS = f"{TOWER}.embeddings"
PATCHES = f"{EMBEDDINGS}.patch_embedding"


PREPROCESS = (
    Fault(
        "channels_bgr",
        "feeds blue, green, red; the reference red, green, blue",
        ("model.preprocess",),
        ("preprocess.channels",),
    ),
    Fault(
        "pixels_reshaped",
        "reads height, width, channels as channels, height, width; the reference permutes",
        ("model.preprocess",),
        ("preprocess.layout", "layout.transposed", "layout.strided"),
    ),
    Fault(
        "pixels_rescaled_twice",
        "divides bytes by 255 twice; the reference once",
        ("model.preprocess",),
        ("preprocess.scale",),
    ),
    Fault(
        "pixels_over_256",
        "divides bytes by 256; the reference by 255",
        ("model.preprocess",),
        ("preprocess.scale",),
    ),
    Fault(
        "pixels_signed",
        "brings pixels to -1 to 1 before mean and deviation; the reference to 0 to 1",
        ("model.preprocess",),
        ("preprocess.scale", "preprocess.mean"),
    ),
    Fault(
        "mean_and_std_half",
        "normalises by 0.5 and 0.5; the reference by the statistics of its data",
        ("model.preprocess",),
        ("preprocess.mean", "preprocess.scale"),
        0.5,
    ),
    Fault(
        "std_is_variance",
        "divides by the variance of the pixels; the reference by the deviation",
        ("model.preprocess",),
        ("preprocess.scale",),
    ),
    Fault(
        "resize_without_antialias",
        "shrinks by plain bilinear sampling; the reference widens the triangle",
        ("model.preprocess",),
        ("preprocess.resize",),
    ),
    Fault(
        "resize_aligns_corners",
        "makes corner samples coincide; the reference the edges of the picture",
        ("model.preprocess",),
        ("preprocess.resize",),
    ),
)

EMBEDDING = (
    Fault(
        "patch_channels_last",
        "cuts patches with channels last for weights with channels first",
        (PATCHES,),
        ("layout.flatten", "weights.permuted", "layout.transposed"),
    ),
    Fault(
        "patch_kernel_transposed",
        "swaps height and width of the patch kernel",
        (PATCHES,),
        ("weights.transposed", "conv.kernel", "layout.transposed"),
    ),
    Fault(
        "grid_by_columns",
        "flattens the grid of patches by columns; the reference by rows",
        (EMBEDDINGS,),
        ("layout.flatten", "layout.transposed"),
    ),
    Fault(
        "class_token_last",
        "appends the class token; the reference prepends it",
        # It is then taken from the end of the tokens: the same fault seen at its other end.
        (EMBEDDINGS,),
        ("conditioning.order", "graph.order", "graph.source"),
    ),
    Fault(
        "class_without_position",
        "adds no position to the class token; the reference the first of the table",
        (EMBEDDINGS,),
        ("positional.applied",),
    ),
    Fault(
        "positions_from_zero",
        "patches begin at row 0 of the table; in the reference at row 1",
        (EMBEDDINGS,),
        ("positional.offset", "embedding.offset"),
        -1.0,
    ),
    Fault(
        "positions_transposed",
        "takes the square table of positions by columns; the reference by rows",
        (EMBEDDINGS,),
        ("layout.transposed", "positional.layout", "positional.order"),
    ),
    Fault(
        "positions_bilinear",
        "resizes positions linearly; the reference by cubic convolution",
        (EMBEDDINGS,),
        ("positional.resize",),
    ),
    Fault(
        "embeddings_scaled",
        "multiplies patch embeddings by the root of the width; the reference does not",
        (EMBEDDINGS,),
        ("embedding.scale",),
        math.sqrt(DIM),
    ),
)

GRAPH = (
    Fault(
        "residual_from_norm",
        "adds one layer's attention to what was normed; the reference to what was not",
        (f"{TOWER}.layers.1.norm2", f"{TOWER}.layers.1"),
        ("residual.source", "norm.position"),
    ),
    Fault(
        "mlp_beside_attention",
        "one layer's MLP reads the block's input; the reference what attention added to",
        (f"{TOWER}.layers.2.norm2", f"{TOWER}.layers.2"),
        ("graph.source", "graph.order", "residual.source"),
    ),
    Fault(
        "layer_scale_omitted",
        "adds the MLP unscaled; the reference scales each channel",
        (f"{TOWER}.layers.*.ls2",),
        ("residual.scale", "graph.omitted"),
    ),
    Fault(
        "layer_scale_of_sibling",
        "scales one layer's MLP by the factors of its attention",
        (f"{TOWER}.layers.0.ls2",),
        ("weights.source", "residual.scale"),
    ),
    Fault(
        "drop_path_scale",
        "keeps 0.9 of the MLP's update, as stochastic depth would; the reference all",
        (f"{TOWER}.layers.?",),
        ("residual.scale",),
        0.9,
    ),
    Fault(
        "residual_over_root_two",
        "divides what attention was added to by the root of two; the reference does not",
        (f"{TOWER}.layers.?",),
        ("residual.scale",),
        math.sqrt(0.5),
    ),
    Fault(
        "hidden_last_layer",
        "pools patches of the last layer; the reference of the one before",
        (TOWER,),
        ("graph.source",),
    ),
    Fault(
        "tokens_keep_class",
        "pools over class token and patches; the reference over patches",
        (TOWER,),
        ("graph.source", "graph.omitted"),
    ),
    Fault(
        "pooled_by_mean",
        "norms the mean of the patches; the reference the class token",
        (f"{TOWER}.post_layernorm", TOWER),
        ("graph.source",),
    ),
)

HEAD = (
    Fault(
        "pool_first_of_batch",
        "pools the first picture's patches for all, as a trace of one would",
        ("model.pool.attention",),
        ("graph.source", "conditioning.source"),
    ),
    Fault(
        "pool_norm_eps",
        "adds 1e-3 to the variance in the pool; the reference 1e-6",
        ("model.pool.norm",),
        ("norm.eps",),
        1e-3,
    ),
    Fault(
        "pool_key_value_swapped",
        "takes q, v, k from the pool's fused weights; the reference q, k, v",
        ("model.pool.attention",),
        ("attention.qkv", "weights.permuted"),
    ),
    Fault(
        "pool_scale_missing",
        "does not scale scores of the pool; the reference by a head's width",
        ("model.pool.attention",),
        ("attention.scale",),
        1.0,
    ),
    Fault(
        "pool_residual_dropped",
        "keeps only the MLP's update in the pool; the reference adds it",
        ("model.pool",),
        ("residual.dropped",),
    ),
    Fault(
        "region_forgotten",
        "leaves the pooled regions out; the reference adds them",
        ("model", "model.head"),
        ("conditioning.combine", "graph.omitted", "residual.dropped"),
    ),
    Fault(
        "image_not_normalised",
        "dots the picture's vector as it is; the reference brings it to length one",
        ("model.head",),
        ("norm.omitted", "graph.omitted"),
    ),
    Fault(
        "text_not_normalised",
        "dots the texts' vectors as they are; the reference brings them to length one",
        ("model.head",),
        ("norm.omitted", "graph.omitted"),
    ),
    Fault(
        "normalised_over_batch",
        "brings each feature to length one over the batch; the reference each picture",
        ("model.head",),
        ("norm.axis",),
    ),
    Fault(
        "logit_scale_not_exponentiated",
        "multiplies by the logarithm of the scale; the reference by the scale",
        ("model.head",),
        ("weights.scale", "graph.omitted", "activation.function"),
        math.log(13.5),
    ),
    Fault(
        "logit_scale_clamped",
        "keeps the scale at 10 or below; the reference does not bound it",
        ("model.head",),
        ("activation.clamp", "weights.scale"),
        10.0,
    ),
    Fault(
        "logit_bias_lost",
        "adds no bias to the logits; the reference does",
        ("model.head",),
        ("weights.bias",),
    ),
)

FAULTS = (*PREPROCESS, *EMBEDDING, *TOWER_FAULTS, *GRAPH, *HEAD, *HELD_OUT)

# Of these, each pair would act on the same operation, where one hides or alters the other.
_EXCLUSIVE = (
    ("mean_and_std_half", "std_is_variance"),
    ("class_token_last", "pooled_by_mean", "tokens_keep_class", "class_without_position"),
    ("positions_from_zero", "positions_transposed"),
    ("pre_norm_omitted", "norm_eps"),
    ("post_norm_omitted", "post_norm_eps", "norm_eps", "norm_unbiased"),
    ("norm_bias_lost", "norm_rms", "norm_in_half", "norm_unbiased", "norm_eps"),
    ("scale_of_model_width", "scale_applied_twice", "attention_softcap", "attention_sink"),
    ("qkv_grouped_by_head", "query_key_swapped"),
    ("mask_causal", "softmax_over_queries", "attention_sink"),
    ("gelu_erf", "silu", "quick_gelu_slope", "activation_clamped"),
    ("layer_scale_omitted", "layer_scale_of_sibling"),
    ("image_not_normalised", "normalised_over_batch"),
    ("logit_scale_not_exponentiated", "logit_scale_clamped"),
    ("region_forgotten", "pool_first_of_batch", "pool_norm_eps"),
    ("post_norm_omitted", "pooled_by_mean"),
    ("region_forgotten", "hidden_last_layer", "tokens_keep_class", "pool_residual_dropped"),
    ("region_forgotten", "pool_key_value_swapped", "pool_scale_missing", "pool_gelu_tanh"),
)
CONFLICTS = HELD_OUT_CONFLICTS | frozenset(
    frozenset((first, second))
    for group in _EXCLUSIVE
    for first in group
    for second in group
    if first != second
)
