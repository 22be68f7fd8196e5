"""Noise from a tape and from a seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from parity.errors import NoiseTapeError
from parity.tensors import Case, NoiseDraw
from parity_torch.pocket_tts.noise import NoiseSource, noise_source


def source(case: Case, *, clamp: float | None = None, dtype=torch.float32) -> NoiseSource:
    return noise_source(case, latent_dim=4, temperature=0.49, clamp=clamp, dtype=dtype)


def draw(*shape: int, value: float) -> NoiseDraw:
    return NoiseDraw(np.full(shape, value, dtype=np.float32), "normal")


def test_a_tape_gives_its_draws_in_order_and_leaves_out_other_shapes():
    noise = source(Case("a", noise=(draw(1, 4, value=1), draw(9, value=2), draw(1, 4, value=3))))
    assert [float(noise.draw()[0, 0]) for _ in range(2)] == [1, 3]


def test_a_tape_that_is_too_short_is_an_error():
    noise = source(Case("a", noise=(draw(1, 4, value=1),)))
    noise.draw()
    with pytest.raises(NoiseTapeError, match="the tape ends after 1 draws") as caught:
        noise.draw()
    assert "compare where speech ends" in str(caught.value)


def test_a_seed_gives_what_torch_gives_after_seeding():
    noise = source(Case("a", seed=7))
    torch.manual_seed(7)
    for _ in range(3):
        expected = torch.nn.init.normal_(torch.empty(1, 4), std=0.49**0.5)
        assert torch.equal(noise.draw(), expected)


def test_a_clamp_bounds_the_draws_as_torch_does():
    noise = source(Case("a", seed=7), clamp=0.2)
    torch.manual_seed(7)
    expected = torch.nn.init.trunc_normal_(torch.empty(1, 4), std=0.49**0.5, a=-0.2, b=0.2)
    drawn = noise.draw()
    assert torch.equal(drawn, expected)
    assert drawn.abs().max() <= 0.2


def test_draws_are_rounded_not_redrawn_for_another_precision():
    single, double = source(Case("a")), source(Case("a"), dtype=torch.float64)
    assert torch.equal(single.draw().double(), double.draw())
