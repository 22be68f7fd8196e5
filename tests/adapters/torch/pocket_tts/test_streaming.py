"""Pieces of a stream give what the whole gives, wherever it is cut."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from parity_torch.pocket_tts.config import TransformerConfig
from parity_torch.pocket_tts.conv import conv, transposed_conv
from parity_torch.pocket_tts.stream import Stream
from parity_torch.pocket_tts.transformer import transformer
from parity_torch.pocket_tts.weights import Site

few = settings(deadline=None, max_examples=40)
lengths = st.lists(st.integers(1, 4), min_size=1, max_size=4)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def in_pieces(function, x: torch.Tensor, sizes: list[int], axis: int) -> torch.Tensor:
    stream = Stream()
    return torch.cat([function(piece, stream) for piece in torch.split(x, sizes, axis)], axis)


@few
@given(
    sizes=lengths,
    kernel=st.integers(1, 5),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 3),
    pad_mode=st.sampled_from(["constant", "replicate"]),
)
def test_a_convolution_may_be_cut(sizes, kernel, stride, dilation, pad_mode):
    kernel = max(kernel, stride)
    dilation = dilation if stride == 1 else 1
    site = Site({"a.conv.weight": random(3, 2, kernel), "a.conv.bias": random(3)}, "a")
    sizes = [size * stride for size in sizes]
    x = random(1, 2, sum(sizes), seed=1)

    def run(piece, stream):
        return conv(site, piece, stream, stride=stride, dilation=dilation, pad_mode=pad_mode)

    torch.testing.assert_close(in_pieces(run, x, sizes, -1), run(x, Stream()))


@few
@given(sizes=lengths, stride=st.integers(1, 4), depthwise=st.booleans(), bias=st.booleans())
def test_a_transposed_convolution_may_be_cut(sizes, stride, depthwise, bias):
    groups = 2 if depthwise else 1
    weights = {"a.convtr.weight": random(2, 2 // groups, 2 * stride)}
    if bias:
        weights["a.convtr.bias"] = random(2)
    site = Site(weights, "a")
    x = random(1, 2, sum(sizes), seed=1)

    def run(piece, stream):
        return transposed_conv(site, piece, stream, stride=stride, groups=groups)

    whole = run(x, Stream())
    assert whole.shape == (1, 2, sum(sizes) * stride)
    torch.testing.assert_close(in_pieces(run, x, sizes, -1), whole)


@few
@given(sizes=lengths, context=st.sampled_from([None, 1, 3]))
def test_a_transformer_may_be_cut(sizes, context):
    site, config = _transformer(context)
    x = random(1, sum(sizes), 8, seed=1)

    def run(piece, stream):
        return transformer(site, piece, config, stream)

    torch.testing.assert_close(in_pieces(run, x, sizes, 1), run(x, Stream()))


@pytest.mark.parametrize(("context", "reached"), [(None, 0), (3, 4)])
def test_a_context_ends_what_is_seen(context, reached):
    site, config = _transformer(context)
    x = random(1, 7, 8, seed=1).requires_grad_()
    transformer(site, x, config, Stream())[0, -1].sum().backward()
    seen = x.grad.abs().sum(-1)[0].nonzero().flatten()
    assert int(seen.min()) == reached


def test_the_future_is_not_seen():
    site, config = _transformer(None)
    x = random(1, 5, 8, seed=1).requires_grad_()
    transformer(site, x, config, Stream())[0, 2].sum().backward()
    assert (x.grad[0, 3:] == 0).all()
    assert (x.grad[0, :3] != 0).any(-1).all()


def test_a_fork_goes_its_own_way():
    stream = Stream()
    stream.append("a", random(1, 2), dim=1)
    fork = stream.fork()
    fork.append("a", random(1, 3), dim=1)
    assert stream.tensors["a"].shape == (1, 2)
    assert fork.tensors["a"].shape == (1, 5)


def _transformer(context: int | None) -> tuple[Site, TransformerConfig]:
    shapes = {
        "norm1.weight": (8,),
        "norm1.bias": (8,),
        "norm2.weight": (8,),
        "norm2.bias": (8,),
        "self_attn.in_proj.weight": (24, 8),
        "self_attn.out_proj.weight": (8, 8),
        "linear1.weight": (16, 8),
        "linear2.weight": (8, 16),
    }
    weights = {
        f"t.layers.0.{name}": random(*shape, seed=seed)
        for seed, (name, shape) in enumerate(shapes.items())
    }
    return Site(weights, "t"), TransformerConfig(dim=8, heads=2, layers=1, context=context)
