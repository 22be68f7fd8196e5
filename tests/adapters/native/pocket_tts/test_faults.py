"""The fourteen faults of the story, switched on in Rust: each is seen where it is."""

from __future__ import annotations

import pytest

# Where the first tap stands that a fault changes.
PLACES = {
    "character_tokens": "text_prompt flow_lm.conditioner.embed",
    "rope_halves": "voice_prompt mimi.encoder_transformer.transformer.rope",
    "rms_norm": "voice_prompt mimi.encoder_transformer.transformer.layers.0.norm1",
    "sin_cos": "voice_prompt flow_lm.flow_net.time_embed.0.mlp.0",
    "flow_gelu": "voice_prompt flow_lm.flow_net.res_blocks.0.mlp.1",
    "adaln_order": "voice_prompt flow_lm.flow_net.res_blocks.0.adaLN_modulation.0",
    "one_time": "voice_prompt flow_lm.flow_net.time_embed.0.mlp.0",
    "seanet_gelu": "decode mimi.decoder.model.1",
    "voice_mean": "voice_prompt flow_lm",
    "text_first": "voice_prompt flow_lm",
    "no_final_norm": "voice_prompt flow_lm.flow_net.final_layer",
    "tanh_output": "decode mimi.decoder",
    "alpha_only": "voice_prompt flow_lm.flow_net.time_embed.0.mlp.3",
    "denormalise_in_loop": "generate flow_lm.input_linear",
}


def test_all_fourteen_are_there():
    assert len(PLACES) == 14


@pytest.mark.parametrize("fault", PLACES)
def test_a_fault_is_seen_where_it_is(fault, reference, port, compare):
    noisy, taps = reference("alba-greeting")
    # A fault that skips a pass uses up fewer draws, never more; but it may speak for longer.
    tape = noisy.noise * 4
    found = compare(taps, port(noisy.with_noise(tape), faults=fault))
    assert found is not None
    assert found.startswith(PLACES[fault])
