"""Paths that mean the same in two naming habits."""

from __future__ import annotations

import pytest

from parity.align.name_likeness import clearly_alike, name_likeness


@pytest.mark.parametrize(
    ("candidate", "meant", "other"),
    [
        ("port_codec_decod_model_1_act", "codec.decoder.model.1.act", "codec.decoder.model.1.conv"),
        ("h.3.attnNorm", "transformer.h.3.attn.norm", "transformer.h.3.mlp.norm"),
        ("layer1", "net.layer1", "net.layer2"),
        ("blk.11.ffn", "blocks.11.ffn", "blocks.1.ffn"),
    ],
)
def test_the_path_with_more_words_in_common_is_meant(candidate, meant, other):
    assert clearly_alike([(other, candidate), (meant, candidate)]) == 1


def test_what_is_cut_to_one_name_stays_open():
    pairs = [("layers.0.linear1", "layer_0_linea"), ("layers.0.linear2", "layer_0_linea")]
    assert clearly_alike(pairs) is None


def test_names_without_a_common_word_decide_nothing():
    assert clearly_alike([("a.b", "t1"), ("c.d", "t2")]) is None
    assert name_likeness("a.b", "t1") == 0.0
    assert name_likeness("", "t1") == 0.0
