"""Faults that hide one another: the code of one leaves the other nothing to act on."""

from __future__ import annotations

from benchmarks.faults.pairs.moe.held_out import HELD_OUT_CONFLICTS

__all__ = ["CONFLICTS"]

_HIDDEN_BY: dict[str, tuple[str, ...]] = {
    "top_one": (
        "weights_by_softmax",
        "correction_in_weights",
        "weights_of_other_rank",
        "router_in_half",
        "results_overwritten",
        "experts_averaged",
    ),
    "weights_not_normalised": ("weights_by_softmax",),
    "correction_ignored": ("correction_in_weights",),
    "layer_before_last": (
        "weights_of_other_rank",
        "tokens_flattened_other_way",
        "experts_of_layer_before",
        "out_bias_lost",
        "norm_scale_only",
        "post_norm",
        "residual_twice",
    ),
    "gelu_in_experts": ("up_plus_one",),
    "shared_expert_left_out": ("shared_gate_left_out", "shared_gate_raw", "shared_scaled_too"),
    "shared_gate_left_out": ("shared_gate_raw", "shared_scaled_too"),
    "padding_seen": ("padding_one_more", "padding_of_first_row", "padding_zeroed"),
    "padding_of_first_row": ("padding_zeroed",),
    "mask_after_softmax": ("padding_zeroed",),
    "gelu_tanh": ("gelu_quick", "gelu_left_out"),
    "gelu_left_out": ("gelu_quick",),
    "segments_left_out": ("segments_all_zero",),
    "pool_first": ("pool_padding_too",),
}

CONFLICTS = HELD_OUT_CONFLICTS | frozenset(
    frozenset((hiding, hidden)) for hiding, names in _HIDDEN_BY.items() for hidden in names
)
