"""What the port's switches do."""

from __future__ import annotations

from benchmarks.faults.pairs.gqa_decoder.held_out import HELD_OUT
from benchmarks.faults.planted import Fault

__all__ = ["FAULTS"]


def _in_layers(part: str, layer: str = "*") -> str:
    return f"model.layers.{layer}.{part}"


def _attention(layer: str = "*") -> tuple[str, ...]:
    """Where what happens between projections and output projection shows."""
    return _in_layers("self_attn.o_proj", layer), _in_layers("self_attn", layer)


BLOCK_NORMS = (
    _in_layers("input_layernorm"),
    _in_layers("post_attention_layernorm"),
    "model.norm",
)
HEAD_NORMS = (_in_layers("self_attn.q_norm"), _in_layers("self_attn.k_norm"))
PROJECTIONS = (
    _in_layers("self_attn.q_proj"),
    _in_layers("self_attn.k_proj"),
    _in_layers("self_attn.v_proj"),
)
ACTIVATION = (_in_layers("mlp.act_fn"), _in_layers("mlp"))
# Residuals are added inside the layer; the norm that follows is the first to show the sum.
FIRST_SUM = (_in_layers("post_attention_layernorm"), "model.layers.[0-9]")
ROTARY = ("model.rotary_emb",)
OUTPUT = ("model", "logits")

_ROPE = (
    Fault(
        "rope_interleaved",
        "rotates channels 2i and 2i+1; the reference i and i + 8",
        _attention(),
        ("rope.layout",),
    ),
    Fault("rope_theta", "theta 1e4 for 1e6", ROTARY, ("rope.theta",), 1e4),
    Fault("rope_sign", "rotates the other way round", _attention(), ("rope.sign",)),
    Fault(
        "rope_unscaled",
        "positions count whole; in the reference a fourth",
        ROTARY,
        ("rope.scaling",),
        1.0,
    ),
    Fault(
        "rope_partial",
        "rotates the first half of each head's channels; the reference all",
        _attention(),
        ("rope.fraction",),
        0.5,
    ),
    Fault(
        "rope_query_only",
        "layer 1 does not rotate its keys",
        _attention("1"),
        ("rope.applied",),
    ),
    Fault(
        "rope_along_heads",
        "takes the index of the head for the position",
        _attention(),
        ("rope.axis",),
    ),
    Fault(
        "rope_late_by_one",
        "in generation, positions are one too late",
        ROTARY,
        ("rope.offset", "cache.position"),
        1.0,
    ),
    Fault(
        "rope_restarts",
        "in generation, positions count from 0 again",
        ROTARY,
        ("rope.offset", "cache.position", "cache.reset"),
    ),
    Fault(
        "rope_table_in_half",
        "angles are rounded to bfloat16 before cosine and sine",
        ROTARY,
        ("dtype.precision",),
    ),
    Fault(
        "norm_after_rope",
        "norms queries and keys after their rotation; the reference before",
        (*HEAD_NORMS, *_attention()),
        ("graph.order", "norm.position", "attention.norm"),
    ),
)

_NORM = (
    Fault("norm_eps", "block norms with eps 1e-6 for 1e-5", BLOCK_NORMS, ("norm.eps",), 1e-6),
    Fault(
        "one_eps_for_all",
        "the norms of queries and keys take the blocks' eps, 1e-5 for 1e-6",
        HEAD_NORMS,
        ("norm.eps",),
        1e-5,
    ),
    Fault(
        "qk_norm_left_out",
        "queries and keys are not normed",
        HEAD_NORMS,
        ("norm.omitted", "attention.norm", "graph.omitted"),
    ),
    Fault(
        "qk_norm_over_all_heads",
        "the mean square is over all heads' channels; in the reference over a head's",
        HEAD_NORMS,
        ("norm.axis", "norm.groups", "attention.norm"),
    ),
    Fault(
        "key_norm_by_query_weight",
        "layer 2 norms keys with the weight of the queries' norm",
        (_in_layers("self_attn.k_norm", "2"),),
        ("norm.weight", "weights.source"),
    ),
    Fault(
        "layer_norm_for_rms",
        "the second norm of layer 1 takes the mean off",
        (_in_layers("post_attention_layernorm", "1"),),
        ("norm.kind",),
    ),
    Fault(
        "final_norm_without_one",
        "the last norm multiplies by w; the reference by 1 + w",
        ("model.norm",),
        ("norm.weight_offset",),
        0.0,
    ),
    Fault(
        "final_norm_left_out",
        "the head reads the last layer without a norm",
        ("model.norm",),
        ("norm.omitted", "graph.omitted"),
    ),
    Fault(
        "norm_of_sibling",
        "the second norm of layer 2 has the weight of the first",
        (_in_layers("post_attention_layernorm", "2"),),
        ("norm.weight", "weights.source"),
    ),
    Fault(
        "norm_in_half",
        "block norms compute in float16; the reference in float32",
        BLOCK_NORMS,
        ("norm.precision", "dtype.precision"),
    ),
)

_ATTENTION = (
    Fault(
        "scale_by_head_size",
        "scores over the root of 16, the head's size; in the reference of 24",
        _attention(),
        ("attention.scale",),
        0.25,
    ),
    Fault(
        "scale_twice",
        "layer 1 scales queries, and scores again",
        _attention("1"),
        ("attention.scale",),
        1 / 24,
    ),
    Fault(
        "attention_capped",
        "scores are capped by 20 tanh(s / 20), as in an earlier model of the family",
        _attention(),
        ("attention.softcap",),
        20.0,
    ),
    Fault(
        "softmax_plus_one",
        "one more is added to the softmax's denominator",
        _attention(),
        ("attention.sink",),
        0.0,
    ),
    Fault(
        "softmax_over_queries",
        "layer 0 takes the softmax over the axis of the queries",
        _attention("0"),
        ("attention.axis",),
    ),
    Fault(
        "softmax_in_half",
        "the softmax computes in bfloat16; in the reference in float32",
        _attention(),
        ("dtype.precision",),
    ),
    Fault(
        "gqa_tile",
        "query head h reads group h mod 3; in the reference h div 2",
        _attention(),
        ("attention.heads",),
    ),
    Fault(
        "merge_without_transpose",
        "heads by positions are reshaped to positions by heads",
        _attention(),
        ("attention.merge",),
    ),
    Fault(
        "fused_by_group",
        "a fused weight stored group by group is cut into queries, keys, values",
        PROJECTIONS,
        ("attention.qkv", "weights.permuted"),
    ),
    Fault("causal_missing", "queries see later positions", _attention(), ("mask.causal",)),
    Fault(
        "mask_added_as_bool",
        "adds 1 where a query may look and 0 elsewhere; the reference 0 and minus infinity",
        _attention(),
        ("mask.applied", "mask.causal", "attention.bias"),
    ),
    Fault("window_ignored", "layer 1 sees everything", _attention("1"), ("mask.window",)),
    Fault(
        "window_one_more",
        "layer 1 sees six positions; in the reference five",
        _attention("1"),
        ("mask.window",),
        6.0,
    ),
)

_CACHE = (
    Fault(
        "static_cache_unmasked",
        "in generation, a query sees the empty slots of a cache of fixed size",
        _attention(),
        ("cache.region", "mask.padding", "mask.applied"),
    ),
    Fault(
        "cache_overwritten",
        "each generated key overwrites the one before",
        _attention(),
        ("cache.position", "cache.region", "cache.wrap"),
    ),
    Fault(
        "cache_first_slot_zero",
        "layer 2 leaves the first slot of its cache empty",
        _attention("2"),
        ("cache.region",),
    ),
    Fault(
        "cache_before_rope",
        "keys go into the cache before they are rotated",
        _attention(),
        ("rope.applied", "cache.region", "graph.order"),
    ),
    Fault(
        "cache_in_half",
        "the cache keeps bfloat16",
        _attention(),
        ("dtype.precision",),
    ),
    Fault(
        "prompt_end_again",
        "generation begins with the last token of the prompt, fed a second time",
        ("model.embed_tokens",),
        ("control.prefill", "tokenization.ids", "control.calls"),
    ),
    Fault(
        "first_token_unknown",
        "the first token of the prompt is lost to the id 0",
        ("model.embed_tokens",),
        ("tokenization.ids",),
    ),
)

_WEIGHTS = (
    Fault(
        "embedding_unscaled",
        "embeddings are not multiplied by the root of 48",
        ("model.embed_tokens",),
        ("embedding.scale", "weights.scale"),
        1.0,
    ),
    Fault(
        "embedding_scale_in_half",
        "the root of 48 is rounded to bfloat16",
        ("model.embed_tokens",),
        ("embedding.scale", "dtype.precision"),
        6.9375,
    ),
    Fault(
        "table_shifted",
        "a row was put in front of the table of embeddings",
        ("model.embed_tokens",),
        ("embedding.offset",),
        -1.0,
    ),
    Fault(
        "key_bias_lost",
        "keys are projected without their bias",
        (_in_layers("self_attn.k_proj"),),
        ("weights.bias",),
    ),
    Fault(
        "value_transposed",
        "layer 1 has the square weight of its values transposed",
        (_in_layers("self_attn.v_proj", "1"),),
        ("weights.transposed", "layout.transposed"),
    ),
    Fault(
        "rows_permuted_at_conversion",
        "rows of queries and keys are permuted for halves although they stood so",
        PROJECTIONS[:2],
        ("weights.permuted", "rope.layout"),
    ),
    Fault(
        "down_of_layer_before",
        "layer 2 has the down projection of layer 1",
        (_in_layers("mlp.down_proj", "2"),),
        ("weights.source",),
    ),
    Fault(
        "nibbles_swapped",
        "layer 1 unpacks pairs of columns of its up projection in the wrong order",
        (_in_layers("mlp.up_proj", "1"),),
        ("weights.permuted",),
    ),
    Fault(
        "scales_shifted",
        "layer 0 multiplies a quantised row of its gate by the scale of the row before",
        (_in_layers("mlp.gate_proj", "0"),),
        ("weights.scale",),
    ),
    Fault(
        "head_tied", "the head has the embedding's table", ("model.lm_head",), ("weights.source",)
    ),
)

_BLOCK = (
    Fault("gelu_for_silu", "GELU (tanh) for SiLU", ACTIVATION, ("activation.function",)),
    Fault(
        "quick_gelu_in_first",
        "layer 0 has x sigmoid(1.702 x); the reference x sigmoid(x)",
        (_in_layers("mlp.act_fn", "0"), _in_layers("mlp", "0")),
        ("activation.slope", "activation.function"),
        1.702,
    ),
    Fault(
        "gate_clamped",
        "the gate is clamped to 2 from above before SiLU",
        ACTIVATION,
        ("activation.clamp", "activation.function"),
        2.0,
    ),
    Fault(
        "gate_up_swapped",
        "SiLU of the up projection times the gate",
        ACTIVATION,
        ("graph.chunks", "graph.source"),
    ),
    Fault(
        "residual_dropped",
        "layer 1 does not add its input to the attention's result",
        (_in_layers("post_attention_layernorm", "1"), "model.layers.1"),
        ("residual.dropped",),
    ),
    Fault(
        "residual_multiplier_lost",
        "branches are added whole; in the reference times 0.6",
        FIRST_SUM,
        ("residual.scale",),
        1.0,
    ),
    Fault(
        "residual_after_norm",
        "the MLP's result of layer 2 is added to its normed input",
        ("model.layers.2",),
        ("residual.source", "norm.position"),
    ),
    Fault(
        "parallel_block",
        "the second norm of layer 0 reads the layer's input",
        (_in_layers("post_attention_layernorm", "0"), "model.layers.0"),
        ("graph.source", "graph.order", "residual.dropped"),
    ),
    Fault(
        "logit_cap_left_out",
        "logits are not capped; in the reference by 30 tanh(x / 30)",
        OUTPUT,
        ("activation.function", "graph.omitted", "activation.clamp"),
    ),
    Fault(
        "logit_cap_constant",
        "logits are capped at 50; in the reference at 30",
        OUTPUT,
        ("activation.clamp", "activation.slope"),
        50.0,
    ),
)

FAULTS = _ROPE + _NORM + _ATTENTION + _CACHE + _WEIGHTS + _BLOCK + HELD_OUT
