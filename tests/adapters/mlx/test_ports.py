"""MLX ports of a transformer and a convolutional decoder: clean, and with faults."""

from __future__ import annotations

import pytest

pytest.importorskip("mlx.core", reason="there is no MLX here: pip install 'parity[mlx]'")

import numpy as np
import torch
from adapters.mlx.conftest import Compare
from adapters.mlx.ports import port, reference

import parity

TOKENS = {"tokens": np.random.default_rng(0).integers(0, 30, (2, 9))}


def test_a_transformer_agrees_everywhere(compare: Compare) -> None:
    result = compare(reference(), port(), TOKENS)
    assert result.outcome == "holds"
    assert result.model is not None
    assert result.model.uncompared == {}
    assert result.table.metrics["rel_l2"].max() <= 1e-6


@pytest.mark.parametrize(
    ("fault", "path", "family", "candidate"),
    [
        ("epsilon", "layers.1.norm2", "norm", "0.01"),
        ("gelu", "layers.1.mlp.1", "activation", "GELU(erf)"),
        ("rope", "layers.1.out", "rope", "channels i and i + n/2"),
        ("mask", "layers.1.out", "mask", ""),
    ],
)
def test_a_fault_is_located_and_named(
    fault: str, path: str, family: str, candidate: str, compare: Compare
) -> None:
    result = compare(reference(), port(fault), TOKENS)
    first = result.first_divergence
    assert first is not None
    assert first.key.path == path
    again = parity.Reference.of_module(
        reference(), torch.from_numpy(TOKENS["tokens"]), capture=result.reference
    )
    why = parity.diagnose(again, result.candidate)
    assert [finding.family for finding in why.high] == [family]
    assert candidate in str(why.high[0].candidate)


def test_half_precision_in_one_layer_is_found_there(compare: Compare) -> None:
    first = compare(reference(), port("half"), TOKENS).first_divergence
    assert first is not None
    assert first.key.path == "layers.1.out"


@pytest.mark.parametrize("channels", ["auto", ["*"]])
def test_a_convolutional_decoder_agrees_everywhere(codec, channels, compare: Compare) -> None:
    arrays = dict(codec.cases()[0].arrays)
    moved = {"inputs": {"features": [0, 2, 1]}, "channels": channels}
    result = compare(codec.reference(), codec.port, arrays, **moved)
    assert result.outcome == "holds"
    assert result.model is not None
    assert result.model.uncompared == {}
    assert result.table.metrics["rel_l2"].max() <= 1e-6
    assert any("channels are moved from the last axis" in note for note in result.notes)


def test_the_default_group_norm_is_located_and_named(codec, compare: Compare) -> None:
    arrays = dict(codec.cases()[0].arrays)
    moved = {"inputs": {"features": [0, 2, 1]}, "channels": ["*"]}
    result = compare(codec.reference(), codec.port, arrays, torch_groups=False, **moved)
    first = result.first_divergence
    assert first is not None
    assert first.key.path == "norm"
    features = torch.from_numpy(arrays["features"])
    again = parity.Reference.of_module(codec.reference(), features, capture=result.reference)
    why = parity.diagnose(again, result.candidate)
    named = [(found.family, found.parameter, found.candidate) for found in why.high]
    assert named == [("norm", "groups", "groups of interleaved channels")]


def test_a_wrong_activation_in_the_decoder_is_located_and_named(codec, compare: Compare) -> None:
    import mlx.nn as mlx_nn

    def faulty():
        model = codec.port()
        model.block2.act = mlx_nn.GELU()
        return model

    arrays = dict(codec.cases()[0].arrays)
    moved = {"inputs": {"features": [0, 2, 1]}, "channels": ["*"]}
    result = compare(codec.reference(), faulty, arrays, **moved)
    first = result.first_divergence
    assert first is not None
    assert first.key.path == "block2.act"
    features = torch.from_numpy(arrays["features"])
    again = parity.Reference.of_module(codec.reference(), features, capture=result.reference)
    why = parity.diagnose(again, result.candidate)
    assert [(found.family, found.candidate) for found in why.high] == [("activation", "GELU(erf)")]


def test_an_input_that_is_not_transposed_is_an_error_of_the_port(codec, compare: Compare) -> None:
    with pytest.raises(parity.errors.BackendError, match="the candidate raised ValueError"):
        compare(codec.reference(), codec.port, dict(codec.cases()[0].arrays))
