"""Faults that were planted when the engine was made, and the truth about each."""

from __future__ import annotations

from benchmarks.faults.planted import held_out

__all__ = ["HELD_OUT", "HELD_OUT_CONFLICTS"]


HELD_OUT = (
    held_out(
        "mean_not_taken_off",
        "divides pixels by their deviation alone; the reference takes the mean off first",
        ("model.preprocess",),
        ("preprocess.mean",),
    ),
    held_out(
        "resize_nearest",
        "takes the nearest pixel; the reference widens a triangle",
        ("model.preprocess",),
        ("preprocess.resize",),
    ),
    held_out(
        "patches_one_late",
        "cuts patches from the second column of pixels on; the reference from the first",
        ("model.visual.embeddings.patch_embedding",),
        (
            "conv.alignment",
            "graph.lag",
            "padding.side",
        ),
        1.0,
    ),
    held_out(
        "heads_interleaved",
        "deals one layer's channels to heads in turn; the reference cuts them",
        (
            "model.visual.layers.2.attn.proj",
            "model.visual.layers.2.attn",
        ),
        (
            "attention.heads",
            "layout.flatten",
        ),
    ),
    held_out(
        "mlp_residual_dropped",
        "hands on one layer's MLP alone; the reference adds it",
        ("model.visual.layers.2",),
        (
            "residual.dropped",
            "graph.omitted",
        ),
    ),
    held_out(
        "narrowing_bias_lost",
        "adds no bias at the end of the first MLP; the reference does",
        (
            "model.visual.layers.0.mlp.fc2",
            "model.visual.layers.0.mlp",
        ),
        ("weights.bias",),
    ),
    held_out(
        "pool_adds_probe",
        "adds the learnt query to what it found; the reference does not",
        ("model.pool.norm",),
        (
            "residual.added",
            "conditioning.combine",
        ),
    ),
    held_out(
        "projection_shared",
        "projects regions as the whole picture; the reference by weights of their own",
        ("model.region_projection",),
        ("weights.source",),
    ),
    held_out(
        "scale_divides",
        "divides cosines by the scale, as by a temperature; the reference multiplies",
        ("model.head",),
        (
            "graph.function",
            "weights.scale",
        ),
    ),
    held_out(
        "logit_bias_scaled",
        "adds the bias to cosines; the reference to scaled ones",
        ("model.head",),
        (
            "graph.order",
            "weights.scale",
        ),
    ),
)

# Of these, each pair would act on the same operation, where one hides or alters the other.
HELD_OUT_CONFLICTS = frozenset(
    frozenset(pair)
    for pair in (
        ("mean_not_taken_off", "mean_and_std_half"),
        ("resize_nearest", "resize_without_antialias"),
        ("resize_nearest", "resize_aligns_corners"),
        ("heads_interleaved", "heads_merged_untransposed"),
        ("heads_interleaved", "qkv_grouped_by_head"),
        ("mlp_residual_dropped", "layer_scale_omitted"),
        ("mlp_residual_dropped", "hidden_last_layer"),
        ("pool_adds_probe", "pool_residual_dropped"),
        ("pool_adds_probe", "region_forgotten"),
        ("projection_shared", "region_forgotten"),
        ("scale_divides", "logit_scale_not_exponentiated"),
        ("scale_divides", "logit_scale_clamped"),
        ("logit_bias_scaled", "logit_bias_lost"),
        ("logit_bias_scaled", "scale_divides"),
    )
)
