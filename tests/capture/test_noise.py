"""The noise tape: every draw is recorded, and replayed to the bit."""

import threading

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.init import trunc_normal_

import parity
from parity.errors import NoiseTapeError
from parity.tensors import NoiseDraw


def everything() -> list[torch.Tensor]:
    """One draw of each kind, through functions, methods and the names that others imported."""
    generator = torch.Generator().manual_seed(7)
    return [
        torch.randn(3),
        torch.rand(2, 2),
        torch.randn_like(torch.zeros(2)),
        torch.randint(5, (4,)),
        torch.randperm(6),
        torch.normal(1.0, 2.0, (2,), generator=generator),
        torch.bernoulli(torch.full((4,), 0.5)),
        torch.multinomial(torch.ones(5), 3),
        torch.empty(3).normal_(mean=1, std=0.5),
        torch.empty(3).uniform_(-1, 1, generator=generator),
        torch.empty(3).exponential_(),
        nn.init.normal_(torch.empty(1, 32), std=0.7**0.5),
        trunc_normal_(torch.empty(8), std=0.8, a=-1.0, b=1.0),
        functional.dropout(torch.ones(16), 0.25),
        nn.Dropout1d(0.5)(torch.ones(1, 8, 2)),
        functional.dropout(torch.ones(16), 0.25, inplace=True),
        functional.gumbel_softmax(torch.zeros(4)),
        torch.randn(2, dtype=torch.bfloat16).float(),
        torch.distributions.Normal(0.0, 1.0).sample((2,)),
    ]


KINDS = [
    "normal", "uniform", "normal", "randint", "randperm", "normal", "bernoulli", "multinomial",
    "normal", "uniform", "exponential", "normal", "trunc_normal", "dropout", "dropout", "dropout",
    "exponential", "normal", "normal",
]  # fmt: skip


def same(left: list[torch.Tensor], right: list[torch.Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(left, right, strict=True))


def test_recording_changes_no_draw(recording) -> None:
    plain = everything()
    torch.manual_seed(0)
    with recording() as run:
        recorded = everything()
    assert same(plain, recorded)
    assert [draw.distribution for draw in run.draws] == KINDS
    np.testing.assert_array_equal(run.draws[0].values, plain[0])
    np.testing.assert_array_equal(run.draws[11].values, plain[11])


def test_a_replayed_run_is_bit_identical_whatever_the_seed(recording) -> None:
    with recording() as run:
        first = everything()
    torch.manual_seed(1)
    with recording(noise=run.draws) as again:
        second = everything()
    assert same(first, second)
    assert not same(first, everything())
    for one, other in zip(run.draws, again.draws, strict=True):
        assert one.values.tobytes() == other.values.tobytes()
        assert (one.distribution, one.site) == (other.distribution, other.site)


def test_a_draw_says_where_and_with_what(recording) -> None:
    with recording() as run, parity.phase("generate"):
        nn.init.normal_(torch.empty(1, 4), mean=0.0, std=0.5)
        torch.empty(2).uniform_(-1, 3)
        torch.normal(2.0, 3.0, (1,))
    line = test_a_draw_says_where_and_with_what.__code__.co_firstlineno
    assert [draw.site for draw in run.draws] == [f"test_noise.py:{line + n}" for n in (2, 3, 4)]
    assert [draw.phase for draw in run.draws] == ["generate"] * 3
    assert run.draws[0].parameters == {"mean": 0.0, "std": 0.5}
    assert run.draws[1].parameters == {"from": -1.0, "to": 3.0}
    assert run.draws[2].parameters == {"mean": 2.0, "std": 3.0}


def test_draws_are_made_in_place_and_keep_gradients(recording) -> None:
    with recording() as run:
        torch.randn(3)
    weight = torch.zeros(3, requires_grad=True)
    with recording(noise=run.draws):
        noise = torch.randn(3)
        (noise * weight).sum().backward()
        assert noise.data_ptr() != weight.data_ptr()
    np.testing.assert_array_equal(weight.grad, run.draws[0].values)


TAPE = [NoiseDraw(np.zeros((1, 32), np.float32), "normal", "a.py:1", "", {"mean": 0.0, "std": 1.0})]


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (
            lambda: torch.randn(1, 64),
            r"draw 0 of 1 does not fit: the run draws normal float32\[1,64\], "
            r"the tape holds normal float32\[1,32\]",
        ),
        (
            lambda: torch.rand(1, 32),
            r"the run draws uniform float32\[1,32\], the tape holds normal",
        ),
        (lambda: torch.randn(1, 32, dtype=torch.float64), "the tape holds float32"),
        (
            lambda: torch.empty(1, 32).normal_(std=0.5),
            r"the run draws with std=0\.5, the tape was drawn with std=1",
        ),
        (
            lambda: (torch.randn(1, 32), torch.randn(1, 32)),
            "the run draws more than the tape holds",
        ),
    ],
)
def test_a_tape_that_does_not_fit_is_refused_at_the_draw(recording, draw, message) -> None:
    with pytest.raises(NoiseTapeError, match=message) as caught, recording(noise=TAPE):
        draw()
    assert "test_noise.py:" in caught.value.where
    assert caught.value.hint


def test_draws_left_over_are_refused_at_the_end(recording) -> None:
    with (
        pytest.raises(
            NoiseTapeError, match="made 1 of the tape's 2 draws; the first left over is draw 1"
        ),
        recording(noise=TAPE * 2),
    ):
        torch.randn(1, 32)


def test_a_run_that_draws_nothing_may_have_taken_the_noise_itself(recording) -> None:
    with recording(noise=TAPE) as run:
        pass
    assert run.draws == []


def test_an_error_of_the_run_is_not_hidden_by_draws_left_over(recording) -> None:
    with pytest.raises(ZeroDivisionError, match="by zero"), recording(noise=TAPE * 2):
        assert torch.randn(1, 32).sum() / 0 == 1 / 0


def test_threads_that_draw_in_phases_of_their_own_get_their_own_draws(recording) -> None:
    def run_both(first: str, second: str) -> dict[str, torch.Tensor]:
        drawn = {}
        for name in (first, second):
            with parity.phase(name):
                worker = threading.Thread(target=lambda: drawn.update({name: torch.randn(2)}))  # noqa: B023
                worker.start()
                worker.join()
        return drawn

    with recording() as run:
        recorded = run_both("left", "right")
    with recording(noise=run.draws):
        replayed = run_both("right", "left")
    assert all(torch.equal(recorded[name], replayed[name]) for name in recorded)
    assert not torch.equal(recorded["left"], recorded["right"])


def test_a_run_without_phases_takes_the_tape_in_order(recording) -> None:
    with recording() as run:
        for name in ("b", "a"):
            with parity.phase(name):
                torch.randn(2)
    with recording(noise=run.draws):
        replayed = [torch.randn(2), torch.randn(2)]
    for draw, value in zip(run.draws, replayed, strict=True):
        np.testing.assert_array_equal(draw.values, value)


def test_noise_can_be_left_alone(recording) -> None:
    original = torch.randn
    with recording(noise=False) as run:
        assert torch.randn is original
        torch.randn(2)
    assert run.draws == []
