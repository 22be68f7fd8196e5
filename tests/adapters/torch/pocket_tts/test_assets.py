"""Unusable configurations, weights, options and cases are said to be so."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import torch
import yaml

from parity.errors import ConfigError, InputError
from parity.tensors import Case
from parity_torch.pocket_tts import Program, load_config
from parity_torch.pocket_tts.weights import Site


@pytest.fixture
def copied(assets, tmp_path):
    for name in ("config.yaml", "weights.safetensors", "tokenizer.model"):
        shutil.copy(assets / name, tmp_path / name)
    return tmp_path


def change(folder, **flow_lm):
    path = folder / "config.yaml"
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    data["flow_lm"].update(flow_lm)
    path.write_text(yaml.safe_dump(data), encoding="utf-8")


def test_the_shape_of_the_tiny_model(assets):
    config = load_config(assets / "config.yaml")
    assert (config.latent_dim, config.flow_depth) == (8, 2)
    assert config.language_model.head_dim == 16
    assert config.language_model.context is None
    assert config.mimi.frame_samples == 1920
    assert config.mimi.transformer_steps_per_frame == 16
    assert config.mimi.transformer.context == 250


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"z_dim": 8}, "does not have flow_lm.z_dim = 8"),
        ({"insert_bos_before_voice": True}, "does not have flow_lm.insert_bos_before_voice"),
        ({"flow": {"depth": 2, "dim": 32, "type": "drifting"}}, "does not have a 'drifting' flow"),
        ({"transformer": None}, "not a Pocket TTS configuration"),
    ],
)
def test_a_configuration_it_cannot_run(setting, message, copied):
    change(copied, **setting)
    with pytest.raises(ConfigError, match=message):
        Program(assets=copied)


@pytest.mark.parametrize("content", ["", "[1, 2]", "flow_lm: {}", "a: [1"])
def test_a_file_that_is_no_configuration(content, copied):
    (copied / "config.yaml").write_text(content)
    with pytest.raises(ConfigError, match="configuration"):
        Program(assets=copied)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("config.yaml", ConfigError),
        ("weights.safetensors", InputError),
        ("tokenizer.model", InputError),
    ],
)
def test_a_missing_file(name, kind, copied):
    (copied / name).unlink()
    with pytest.raises(kind, match="cannot read") as caught:
        Program(assets=copied)
    assert name in str(caught.value)


@pytest.mark.parametrize("name", ["weights.safetensors", "tokenizer.model"])
def test_a_damaged_file(name, copied):
    (copied / name).write_bytes(b"\xff" * 64)
    with pytest.raises(InputError, match="cannot read"):
        Program(assets=copied)


def test_a_weight_that_is_not_there():
    with pytest.raises(InputError, match="lacks a tensor") as caught:
        Site({}, "flow_lm.out_norm")["weight"]
    assert "flow_lm.out_norm.weight" in str(caught.value)


@pytest.mark.parametrize("option", ["decode", "prompt", "dtype"])
def test_an_unknown_option(option, make_program):
    with pytest.raises(ConfigError, match="unknown value 'sideways'"):
        make_program(**{option: "sideways"})


def test_a_case_without_text_or_voice(make_program, greeting):
    program = make_program()
    with pytest.raises(InputError, match="no text to speak"):
        program.run(replace(greeting, inputs={}))
    with pytest.raises(InputError, match="no voice to speak with"):
        program.run(replace(greeting, arrays={}))


def test_what_a_case_leaves_out_comes_from_the_model(make_program, greeting):
    program = make_program()
    bare = Case("bare", {"text": greeting.inputs["text"]}, greeting.arrays, seed=3)
    said = {**bare.inputs, "temperature": 0.3, "decode_steps": 1, "eos_threshold": -4.0}
    assert torch.equal(
        program.run(bare)["waveform"], program.run(replace(bare, inputs=said))["waveform"]
    )
