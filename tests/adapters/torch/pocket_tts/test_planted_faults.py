"""Faults of real ports, put into one convention each: the comparison sees every one, and where."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from parity_torch.pocket_tts import (
    attention,
    conv,
    flow_net,
    generate,
    layers,
    rope,
    seanet,
    transformer,
)


def split_halves(x, turn):
    real, imaginary = x.chunk(2, dim=-1)
    return torch.cat(
        [real * turn.cos - imaginary * turn.sin, real * turn.sin + imaginary * turn.cos], dim=-1
    )


def sine_first(site, time):
    angles = time * site["freqs"]
    x = torch.cat([torch.sin(angles), torch.cos(angles)], dim=-1)
    mlp = site / "mlp"
    x = layers.activation(mlp / 1, functional.silu, layers.linear(mlp / 0, x))
    x = layers.linear(mlp / 2, x)
    return site.record(mlp.record(layers.rms_norm(mlp / 3, x)))


def only_scaled(site, x, *, eps=1e-5):
    return site.record(site["alpha"] * x)


def target_time_only(site, start, target):
    flow_net.embed_time(site / "time_embed" / 0, start)
    return flow_net.embed_time(site / "time_embed" / 1, target)


def plain_scale(x, shift, scale):
    return x * scale + shift


def everything_visible(start, length, context):
    return torch.ones(length, start + length, dtype=torch.bool)


def zeros_before(x, reach, pad_mode):
    return torch.zeros_like(x[..., :1]).expand(-1, -1, reach)


def as_it_is(audio, sample_rate):
    return audio


def keep_bias(site, x, stream, *, stride, groups=1):
    weight, bias = (site / "convtr")["weight"], (site / "convtr").get("bias")
    y = functional.conv_transpose1d(x, weight, bias, stride=stride, groups=groups)
    (site / "convtr").record(y)
    overlap = weight.shape[-1] - stride
    done, tail = y[..., :-overlap], y[..., -overlap:]
    past = stream.tensors.get(site.path)
    if past is not None:
        done = torch.cat([done[..., :overlap] + past, done[..., overlap:]], dim=-1)
    stream.tensors[site.path] = tail
    return site.record(done)


FAULTS = {
    "rope_split_halves": (rope, "rotate", split_halves, "voice_prompt mimi.encoder_transformer"),
    "gelu_exact": (transformer, "gelu", functional.gelu, "voice_prompt mimi.encoder_transformer"),
    "acausal": (
        attention,
        "causal_mask",
        everything_visible,
        "voice_prompt mimi.encoder_transformer",
    ),
    "zero_padding": (conv, "before_first", zeros_before, "voice_prompt mimi.downsample"),
    "voice_as_it_is": (generate, "end_on_pause", as_it_is, "voice_prompt mimi"),
    "sine_first": (flow_net, "embed_time", sine_first, "voice_prompt flow_lm.flow_net.time_embed"),
    "alpha_only": (flow_net, "rms_norm", only_scaled, "voice_prompt flow_lm.flow_net.time_embed"),
    "one_time": (flow_net, "time_context", target_time_only, "voice_prompt flow_lm.flow_net.res"),
    "scale_not_1_plus": (flow_net, "modulate", plain_scale, "voice_prompt flow_lm.flow_net.res"),
    "bias_kept": (seanet, "transposed_conv", keep_bias, "decode mimi.decoder.model.2"),
}


@pytest.fixture
def first_difference(greeting, reference, make_program, record, compare):
    return lambda: compare(reference(greeting), record(make_program(), greeting))


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_seen_where_it_is(name, monkeypatch, first_difference):
    module, attribute, replacement, place = FAULTS[name]
    monkeypatch.setattr(module, attribute, replacement)
    found = first_difference()
    assert found is not None
    assert found.startswith(place)
