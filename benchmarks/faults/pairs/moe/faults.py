"""What the port's switches do."""

from __future__ import annotations

from benchmarks.faults.pairs.moe.held_out import HELD_OUT
from benchmarks.faults.planted import Fault

__all__ = ["FAULTS"]


def _in_layers(part: str, layer: str = "*") -> str:
    return f"encoder.layers.{layer}.{part}"


def _attention(layer: str = "*") -> tuple[str, ...]:
    """Where what happens between the two projections shows."""
    return _in_layers("attn.out", layer), _in_layers("attn", layer)


# The result of a router is a tap; what is done with the experts' results shows in the mixture.
GATE = (_in_layers("moe.gate"),)
LOGITS = (_in_layers("moe.gate.proj"), _in_layers("moe.gate"))
MIXTURE = (_in_layers("moe"),)
EXPERT_OUT = (_in_layers("moe.experts.*.w2"), _in_layers("moe.experts.*"))
EXPERT_IN = (_in_layers("moe.experts.*.w1"), _in_layers("moe.experts.*.w3"))
TABLE = ("encoder.position_bias.table", "encoder.position_bias")
NORMS = ("encoder.embeddings.norm", _in_layers("norm1"), _in_layers("norm2"))
ACT = ("encoder.layers.0.mlp.act", "encoder.layers.0.mlp")
POOL = ("encoder.pooler.proj", "encoder.pooler")
EMBEDDED = ("encoder.embeddings.norm", "encoder.embeddings")

_ROUTING = (
    Fault("top_one", "each token goes to one expert; in the reference to two", (*GATE, *MIXTURE),
          ("routing.topk",), 1.0),
    Fault("weights_not_normalised", "weights of experts are not divided by their sum", GATE,
          ("routing.normalise",)),
    Fault("weights_by_softmax", "weights of experts are normed by a softmax; in the reference by "
          "their sum", GATE, ("routing.normalise",)),
    Fault("router_softmax", "scores are a softmax over experts; in the reference sigmoids", GATE,
          ("activation.function", "routing.normalise", "routing.topk")),
    Fault("correction_ignored", "experts are chosen without the correction bias", GATE,
          ("routing.bias",)),
    Fault("correction_in_weights", "the correction bias is in the weights too; in the reference "
          "in the choice alone", GATE, ("routing.bias",)),
    Fault("routed_scaling_lost", "weights of experts are not multiplied by 1.5", GATE,
          ("routing.normalise", "residual.scale", "weights.scale"), 1.0),
    Fault("weights_of_other_rank", "layer 2 gives the first expert the second's weight",
          (_in_layers("moe.gate", "2"),), ("routing.order",)),
    Fault("router_unnormed", "the router of layer 1 reads what the norm read",
          (_in_layers("moe.gate.proj", "1"), _in_layers("moe.gate", "1")),
          ("graph.source", "norm.omitted")),
    Fault("router_in_half", "router logits are computed in bfloat16", LOGITS,
          ("dtype.precision",)),
    Fault("tokens_flattened_other_way", "layer 2 flattens positions by rows, and reads rows by "
          "positions", (_in_layers("moe.gate.proj", "2"), _in_layers("moe", "2")),
          ("layout.flatten", "layout.transposed")),
)  # fmt: skip

_EXPERTS = (
    Fault("experts_sorted_as_text", "experts were stacked in the order 0, 1, 10, 11, 2, ...",
          (*EXPERT_IN, *EXPERT_OUT), ("weights.permuted", "routing.order", "weights.source")),
    Fault("experts_of_layer_before", "layer 2 has the experts of layer 1",
          (_in_layers("moe.experts.*.w1", "2"), _in_layers("moe.experts.*.w3", "2"),
           _in_layers("moe.experts.*", "2")), ("weights.source",)),
    Fault("weights_before_experts", "experts read weighted tokens; in the reference their results "
          "are weighted", (*EXPERT_IN, *MIXTURE), ("graph.order", "routing.order")),
    Fault("capacity_limited", "an expert takes four tokens and drops the rest",
          (*EXPERT_IN, *EXPERT_OUT, *MIXTURE), ("routing.topk", "graph.omitted")),
    Fault("results_overwritten", "the last of a token's experts overwrites the first", MIXTURE,
          ("graph.omitted", "routing.topk")),
    Fault("experts_averaged", "results of experts are averaged; in the reference summed", MIXTURE,
          ("residual.scale", "routing.normalise"), 0.5),
    Fault("gate_up_swapped", "experts have w1 and w3 exchanged",
          (*EXPERT_IN, _in_layers("moe.shared_expert.w1"), _in_layers("moe.shared_expert.w3")),
          ("graph.chunks", "weights.source")),
    Fault("gelu_in_experts", "GELU for SiLU in routed experts", EXPERT_OUT,
          ("activation.function",)),
    Fault("experts_clamped", "routed experts clamp gate and up at 1.5, before SiLU", EXPERT_OUT,
          ("activation.clamp",), 1.5),
    Fault("up_plus_one", "routed experts multiply by up + 1, as another family does", EXPERT_OUT,
          ("graph.added", "activation.added", "activation.function"), 1.0),
    Fault("shared_expert_left_out", "the shared expert is not added", MIXTURE,
          ("graph.omitted", "residual.dropped")),
    Fault("shared_gate_left_out", "the shared expert is added whole; in the reference gated",
          MIXTURE, ("graph.omitted", "residual.scale")),
    Fault("shared_gate_raw", "the shared expert's gate is not put through a sigmoid", MIXTURE,
          ("activation.function", "graph.omitted")),
    Fault("shared_scaled_too", "the shared expert is multiplied by 1.5, as the routed are",
          MIXTURE, ("residual.scale", "graph.order"), 1.5),
)  # fmt: skip

_POSITION = (
    Fault("bias_of_decoder", "buckets look back only; in the reference both ways", TABLE,
          ("positional.buckets",)),
    Fault("bias_direction", "distances are from key to query; in the reference the other way",
          TABLE, ("positional.buckets",)),
    Fault("bias_max_distance", "the last bucket begins at 128; in the reference at 20", TABLE,
          ("positional.buckets",), 128.0),
    Fault("bias_linear_buckets", "far buckets are equally wide; in the reference logarithmic",
          TABLE, ("positional.buckets",)),
    Fault("bias_reshaped", "the heads of the bias were moved by reshaping",
          ("encoder.position_bias",),
          ("layout.transposed", "layout.flatten", "attention.bias")),
    Fault("bias_in_first_layer_only", "layers 1 and 2 have no position bias",
          (*_attention("1"), *_attention("2")), ("positional.applied", "attention.bias")),
    Fault("bias_in_base_two", "the bias is not converted for a softmax on powers of two",
          _attention(), ("attention.bias",), 0.6931472),
    Fault("bias_scaled_too", "the bias is over the root of the head's size", _attention(),
          ("attention.bias", "attention.scale"), 12**-0.5),
)  # fmt: skip

_ATTENTION = (
    Fault("attention_scaled", "scores are over the root of the head's size; in the reference "
          "unscaled", _attention(), ("attention.scale",), 12**-0.5),
    Fault("padding_seen", "padding is attended to", _attention(), ("mask.padding", "mask.applied")),
    Fault("padding_one_more", "the last real token is hidden too", _attention(),
          ("mask.padding",), -1.0),
    Fault("padding_of_first_row", "every row has the padding of the first", _attention(),
          ("mask.padding",)),
    Fault("padding_zeroed", "scores of padding are 0; in the reference minus infinity",
          _attention(), ("mask.padding", "mask.applied")),
    Fault("mask_after_softmax", "padding is zeroed after the softmax, which counts it",
          _attention(), ("mask.applied", "mask.padding", "graph.order")),
    Fault("qkv_by_head", "layer 1 cuts its fused result by heads first",
          _attention("1"), ("attention.qkv",)),
    Fault("qkv_order", "the fused result is read as keys, values, queries", _attention(),
          ("attention.qkv", "graph.chunks")),
    Fault("heads_last", "heads are the inner axis of the channels; in the reference the outer",
          _attention(), ("attention.heads", "attention.merge", "layout.transposed")),
    Fault("merge_without_transpose", "heads by positions are reshaped to positions by heads",
          _attention(), ("attention.merge",)),
    Fault("out_bias_lost", "layer 2 projects attention's result without bias", _attention("2"),
          ("weights.bias",)),
)  # fmt: skip

_NORM = (
    Fault("norm_eps", "layer norms with eps 1e-5 for 1e-6", NORMS, ("norm.eps",), 1e-5),
    Fault("variance_unbiased", "layer norms divide by n - 1", NORMS, ("norm.variance",)),
    Fault("norm_bias_lost", "the first norm of layer 1 adds no bias",
          (_in_layers("norm1", "1"),), ("norm.bias",)),
    Fault("norms_exchanged", "the two norms of layer 0 have each other's weights",
          (_in_layers("norm1", "0"), _in_layers("norm2", "0")),
          ("norm.weight", "weights.source")),
    Fault("norm_over_tokens", "the second norm of layer 0 is over positions",
          (_in_layers("norm2", "0"),), ("norm.axis",)),
    Fault("norm_scale_only", "the norms of layer 2 do not take the mean off",
          (_in_layers("norm1", "2"), _in_layers("norm2", "2")), ("norm.kind",)),
    Fault("layer_norm_for_rms", "the last norm takes the mean off", ("encoder.final_norm",),
          ("norm.kind",)),
    Fault("embedding_norm_left_out", "embeddings are not normed", EMBEDDED,
          ("norm.omitted", "graph.omitted")),
    Fault("post_norm", "layer 2 norms after adding attention's result; the reference before",
          (_in_layers("attn.qkv", "2"), _in_layers("norm1", "2"), "encoder.layers.2"),
          ("norm.position", "graph.order")),
)  # fmt: skip

_BLOCK = (
    Fault("gelu_tanh", "GELU (tanh) for GELU (erf)", ACT, ("activation.function",)),
    Fault("gelu_quick", "x sigmoid(1.702 x) for GELU (erf)", ACT, ("activation.function",)),
    Fault("gelu_left_out", "the dense layer has no activation", ACT,
          ("activation.function", "graph.omitted")),
    Fault("layer_scale_lost", "attention's result is added without its factors",
          (_in_layers("ls1"),), ("residual.scale",)),
    Fault("residual_dropped", "layer 1 hands on the mixture's result alone",
          ("encoder.layers.1",), ("residual.dropped",)),
    Fault("residual_twice", "layer 2 adds the mixture's result twice", ("encoder.layers.2",),
          ("residual.added", "residual.scale"), 2.0),
    Fault("residual_in_half", "what goes from layer to layer is rounded to bfloat16",
          ("encoder.layers.[0-9]",), ("dtype.precision",)),
    Fault("segments_left_out", "embeddings of segments are not added", EMBEDDED,
          ("conditioning.combine", "graph.omitted")),
    Fault("segments_all_zero", "all tokens are of segment 0",
          ("encoder.embeddings.segment",), ("conditioning.source", "tokenization.ids")),
    Fault("dropout_as_scale", "normed embeddings are multiplied by 0.9, what dropout keeps",
          ("encoder.embeddings",), ("embedding.scale", "graph.added", "weights.scale",
           "residual.scale"), 0.9),
    Fault("layer_before_last", "the last norm reads layer 1; in the reference layer 2",
          ("encoder.final_norm",), ("graph.source",)),
    Fault("pool_first", "the first token is pooled; in the reference the mean", POOL,
          ("graph.source", "graph.pooling", "graph.omitted")),
    Fault("pool_padding_too", "the mean counts padding", POOL, ("mask.padding", "mask.applied")),
    Fault("embedding_not_normalised", "embeddings keep their length", ("encoder", "embedding"),
          ("norm.omitted", "graph.omitted")),
)  # fmt: skip

FAULTS = _ROUTING + _EXPERTS + _POSITION + _ATTENTION + _NORM + _BLOCK + HELD_OUT
