"""The switches inside the tower's blocks, and in its norms."""

from __future__ import annotations

from benchmarks.faults.pairs.vision.reference import DIM, HEADS
from benchmarks.faults.planted import Fault

__all__ = ["TOWER", "TOWER_FAULTS"]

TOWER = "model.visual"
LAYERS = f"{TOWER}.layers.*"
EVERY_ATTENTION = (f"{LAYERS}.attn.proj", f"{LAYERS}.attn")
EVERY_NORM = ("model.*norm1", "model.*norm2", "model.*_layernorm", "model.pool.norm")


def _attention(layer: int) -> tuple[str, ...]:
    name = f"{TOWER}.layers.{layer}.attn"
    return f"{name}.proj", name


NORM = (
    Fault(
        "pre_norm_omitted",
        "has no norm between embeddings and blocks; the reference has",
        (f"{TOWER}.pre_layernorm",),
        ("norm.omitted", "graph.omitted"),
    ),
    Fault(
        "post_norm_omitted",
        "takes the class token as it is; the reference norms it",
        (f"{TOWER}.post_layernorm",),
        ("norm.omitted", "graph.omitted"),
    ),
    Fault(
        "norm_eps",
        "adds 1e-5 to variances in the tower; the reference 1e-6",
        EVERY_NORM[:3],
        ("norm.eps",),
        1e-5,
    ),
    Fault(
        "post_norm_eps",
        "adds 1e-2 to the variance in the last norm; the reference 1e-6",
        (f"{TOWER}.post_layernorm",),
        ("norm.eps",),
        1e-2,
    ),
    Fault(
        "norm_unbiased",
        "divides by n - 1 in every variance; the reference by n",
        EVERY_NORM,
        ("norm.variance",),
    ),
    Fault(
        "norm_in_half",
        "computes the norms of blocks in half precision; the reference in single",
        EVERY_NORM[:2],
        ("norm.precision", "dtype.precision"),
    ),
    Fault(
        "norm_rms",
        "does not centre before one norm, as an RMS norm; the reference does",
        (f"{TOWER}.layers.2.norm1",),
        ("norm.kind",),
    ),
    Fault(
        "norm_bias_lost",
        "adds no bias in one norm; the reference does",
        (f"{TOWER}.layers.0.norm1",),
        ("norm.bias", "weights.bias"),
    ),
    Fault(
        "norm_of_sibling",
        "gives one norm the weights of the norm before it",
        (f"{TOWER}.layers.1.norm2",),
        ("weights.source", "norm.weight"),
    ),
)

ATTENTION = (
    Fault(
        "scale_of_model_width",
        "scales scores by the model's width; the reference by a head's",
        EVERY_ATTENTION,
        ("attention.scale",),
        DIM**-0.5,
    ),
    Fault(
        "scale_applied_twice",
        "scales scores of one layer twice; the reference once",
        _attention(1),
        ("attention.scale",),
        HEADS / DIM,
    ),
    Fault(
        "attention_softcap",
        "bends scores by 2 tanh(s / 2); the reference does not",
        EVERY_ATTENTION,
        ("attention.softcap",),
        2.0,
    ),
    Fault(
        "attention_sink",
        "adds a key of score 0 and value 0 to every softmax; the reference does not",
        (*EVERY_ATTENTION, "model.pool.attention"),
        ("attention.sink",),
        0.0,
    ),
    Fault(
        "scores_in_half",
        "computes scores in half precision; the reference in single",
        EVERY_ATTENTION,
        ("dtype.precision",),
    ),
    Fault(
        "mask_causal",
        "hides later tokens, as the text tower does; the reference hides none",
        EVERY_ATTENTION,
        ("mask.causal", "mask.applied"),
    ),
    Fault(
        "softmax_over_queries",
        "normalises one layer's scores over queries; the reference over keys",
        _attention(2),
        ("attention.axis",),
    ),
    Fault(
        "heads_merged_untransposed",
        "reshapes heads, tokens into tokens, width; the reference transposes first",
        EVERY_ATTENTION,
        ("attention.merge", "layout.transposed"),
    ),
    Fault(
        "qkv_grouped_by_head",
        "splits the fused projection by head first; the reference by q, k, v first",
        EVERY_ATTENTION,
        ("attention.qkv", "attention.heads", "weights.permuted"),
    ),
    Fault(
        "query_key_swapped",
        "takes keys for queries in one layer; the reference does not",
        _attention(0),
        ("attention.qkv", "graph.chunks"),
    ),
    Fault(
        "value_bias_lost",
        "adds no bias to the values of one layer; the reference does",
        (f"{TOWER}.layers.1.attn.qkv", f"{TOWER}.layers.1.attn"),
        ("weights.bias",),
    ),
    Fault(
        "proj_bias_lost",
        "adds no bias after attention; the reference does",
        EVERY_ATTENTION,
        ("weights.bias",),
    ),
    Fault(
        "proj_transposed",
        "transposes the square projection of one layer; the reference does not",
        _attention(1),
        ("weights.transposed",),
    ),
)

FEED_FORWARD = (
    Fault(
        "gelu_erf",
        "GELU by the normal distribution; the reference by a sigmoid",
        (f"{LAYERS}.mlp.act",),
        ("activation.function",),
    ),
    Fault(
        "silu",
        "x sigmoid(x); the reference x sigmoid(1.702 x)",
        (f"{LAYERS}.mlp.act",),
        ("activation.slope", "activation.function"),
        1.0,
    ),
    Fault(
        "quick_gelu_slope",
        "x sigmoid(1.7 x); the reference x sigmoid(1.702 x)",
        (f"{LAYERS}.mlp.act",),
        ("activation.slope", "activation.function"),
        1.7,
    ),
    Fault(
        "activation_clamped",
        "keeps activations at 1.5 or below; the reference does not bound them",
        (f"{LAYERS}.mlp.act",),
        ("activation.clamp",),
        1.5,
    ),
    Fault(
        "weights_int8",
        "rounds one layer's first matrix to bytes; the reference does not",
        (f"{TOWER}.layers.2.mlp.fc1",),
        ("dtype.precision",),
    ),
    Fault(
        "dequantisation_scale_twice",
        "multiplies one layer's second matrix by a stored scale, 0.5, that it contains already",
        (f"{TOWER}.layers.2.mlp.fc2",),
        ("weights.scale",),
        0.5,
    ),
    Fault(
        "pool_gelu_tanh",
        "GELU of the pool by tanh; the reference by the normal distribution",
        ("model.pool.mlp.act",),
        ("activation.function",),
    ),
)

TOWER_FAULTS = (*NORM, *ATTENTION, *FEED_FORWARD)
