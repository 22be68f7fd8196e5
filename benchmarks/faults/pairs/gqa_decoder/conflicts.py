"""Faults that hide one another: the code of one leaves the other nothing to act on."""

from __future__ import annotations

from benchmarks.faults.pairs.gqa_decoder.held_out import HELD_OUT_CONFLICTS

__all__ = ["CONFLICTS"]

_HIDDEN_BY: dict[str, tuple[str, ...]] = {
    "rope_interleaved": ("rope_partial",),
    "norm_after_rope": ("rope_query_only", "cache_before_rope"),
    "qk_norm_left_out": (
        "norm_after_rope",
        "one_eps_for_all",
        "qk_norm_over_all_heads",
        "key_norm_by_query_weight",
    ),
    "norm_in_half": ("norm_eps",),
    "qk_norm_over_all_heads": ("key_norm_by_query_weight",),
    "final_norm_left_out": ("final_norm_without_one",),
    "softmax_in_half": ("softmax_plus_one",),
    "fused_by_group": ("key_bias_lost", "value_transposed"),
    "window_ignored": ("window_one_more",),
    "embedding_scale_in_half": ("embedding_unscaled",),
    "gate_up_swapped": ("nibbles_swapped",),
    "gelu_for_silu": ("quick_gelu_in_first", "gate_clamped"),
    "logit_cap_left_out": ("logit_cap_constant",),
}

CONFLICTS = HELD_OUT_CONFLICTS | frozenset(
    frozenset((hiding, hidden)) for hiding, names in _HIDDEN_BY.items() for hidden in names
)
