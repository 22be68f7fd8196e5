"""The tape in other precisions: nothing falls back unseen, and writes are rounded."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from parity.localize.execute import Machine, Precision
from parity.localize.precision import positional
from parity.localize.reference import Reference
from parity.localize.tape import Tape
from parity.localize.whole_run import forward

Tensor = torch.Tensor


def tape_of(module: nn.Module, *args: object) -> Tape:
    return Reference.of_module(module, *args).tape


class Does(nn.Module):
    """A function as a module, with a weight."""

    def __init__(self, function: Callable[..., Tensor], *weights: Tensor) -> None:
        super().__init__()
        self.function = function
        self.weights = nn.ParameterList([nn.Parameter(w, requires_grad=False) for w in weights])

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *self.weights)


def run(module: nn.Module, x: Tensor, precision: Precision | None) -> Tensor:
    tape = tape_of(module, x)
    last = [tap for tap in tape.taps if tap.key.role.value == "output"][-1]
    return forward(tape, [last], precision=precision)[0]


def cached(x: Tensor, weight: Tensor) -> Tensor:
    cache = torch.zeros(2, 4, 8)
    window = cache[:, 1:3]
    window.add_(F.linear(x, weight)[:, None])
    cache[:, 0] = torch.tanh(x)
    return cache.cumsum(-1).sum(1)


def positions(x: Tensor, weight: Tensor) -> Tensor:
    angle = torch.arange(300, 308, dtype=torch.float32) * torch.exp(torch.arange(8) / -8.0)
    return x @ weight * torch.cos(angle).to(torch.float32)


def bits(x: Tensor, weight: Tensor) -> Tensor:
    return (F.linear(x, weight).view(torch.int32) & -256).view(torch.float32)


def mixed(x: Tensor, weight: Tensor) -> Tensor:
    y = x.double().cumsum(-1).float() @ weight.type(torch.float32)
    out = torch.empty(y.shape, dtype=torch.float32)
    torch.mul(y, torch.tensor(1.5), out=out)
    return torch.where(out > 0, out, torch.full_like(out, 0.1)).to("cpu", torch.float32)


def indexed(x: Tensor, weight: Tensor) -> Tensor:
    order = torch.argsort(x, dim=-1)
    y = torch.gather(x, -1, order)
    y = y.index_add(0, torch.tensor([0]), F.linear(x[:1], weight))
    y[torch.tensor([1])] = x[:1] * 2
    return y.scatter(-1, order[:, :1], 0.5)


def complex_rotation(x: Tensor, weight: Tensor) -> Tensor:
    pairs = torch.view_as_complex(F.linear(x, weight).reshape(2, 4, 2))
    turned = pairs * torch.polar(torch.ones(4), torch.arange(4, dtype=torch.float32))
    return torch.view_as_real(turned).flatten(1)


def attention(x: Tensor, weight: Tensor) -> Tensor:
    q = F.linear(x, weight).reshape(1, 2, 2, 4)
    bias = torch.zeros(2, 2).masked_fill(torch.ones(2, 2).triu(1).bool(), float("-inf"))
    return F.scaled_dot_product_attention(q, q, q, attn_mask=bias).reshape(2, 8)


CASES = [cached, positions, mixed, indexed, complex_rotation, attention]


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def weight() -> Tensor:
    return torch.randn(8, 8, generator=torch.Generator().manual_seed(2)) / 3


@pytest.mark.parametrize("function", CASES, ids=lambda f: f.__name__)
def test_float64_is_float64_all_along(
    function: Callable[..., Tensor], x: Tensor, weight: Tensor
) -> None:
    module = Does(function, weight)
    tape = tape_of(module, x)
    machine = Machine(tape, precision=Precision(torch.float64))
    with torch.no_grad():
        for node in tape.nodes:
            machine.step(node)
            for value in node.outputs:
                known = tape.values[value]
                assert machine.env[value].shape == known.shape, node.name
                assert machine.env[value].dtype not in (torch.float32, torch.complex64), node.name
    exact = run(module, x, Precision(torch.float64))
    own = run(module, x, None)
    error = float((own.double() - exact).norm() / exact.norm())
    assert 0 < error < 1e-5  # at an angle of 300, rounding is 3e-6


def test_bits_are_read_as_they_were_recorded(x: Tensor, weight: Tensor) -> None:
    module = Does(bits, weight)
    exact = run(module, x, Precision(torch.float64))
    assert exact.dtype is torch.float64
    torch.testing.assert_close(exact, run(module, x, None).double(), rtol=1e-4, atol=0)


@pytest.mark.parametrize("function", CASES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_rounds_every_result(
    function: Callable[..., Tensor], dtype: torch.dtype, x: Tensor, weight: Tensor
) -> None:
    module = Does(function, weight)
    found = run(module, x, Precision(torch.float32, dtype))
    assert torch.equal(found, found.to(dtype).float())
    own = run(module, x, None)
    error = float((own - found).norm() / own.norm())
    assert 1e-5 < error < 20 * torch.finfo(dtype).eps


def test_a_write_into_a_view_reaches_what_it_views(x: Tensor, weight: Tensor) -> None:
    found = run(Does(cached, weight), x, Precision(torch.float32, torch.float16))
    # The rows written through the window are there: without them a quarter would be left.
    torch.testing.assert_close(found, run(Does(cached, weight), x, None), rtol=0.02, atol=0.02)


def test_tables_of_positions_stay_in_float32(x: Tensor, weight: Tensor) -> None:
    module = Does(positions, weight)
    tape = tape_of(module, x)
    tables = positional(tape)
    names = {node.name for node in tape.nodes if set(node.outputs) <= tables and node.outputs}
    assert names >= {"arange", "exp", "cos"}
    assert "matmul" not in names
    # An angle of 300 rounded to bfloat16 would be off by up to a radian.
    found, own = run(module, x, Precision(torch.float32, torch.bfloat16)), run(module, x, None)
    assert float((found - own).norm() / own.norm()) < 0.02


def test_too_large_for_float16_is_its_largest_and_infinity_stays(x: Tensor) -> None:
    far = Does(lambda x: x * torch.tensor([1e30, -1e30, float("inf"), 1, 1, 1, 1, 1]))
    found = run(far, torch.ones(1, 8), Precision(torch.float32, torch.float16))
    assert found[0, :4].tolist() == [65504, -65504, float("inf"), 1]


@pytest.mark.parametrize(
    "module",
    [
        nn.LSTM(8, 6, num_layers=2, bidirectional=True),
        nn.GRU(8, 6),
        nn.Conv1d(2, 4, 3, padding=1),
        nn.ConvTranspose1d(2, 4, 3, stride=2),
        nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval(),
        nn.MultiheadAttention(8, 2),
        nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8).eval(), nn.GroupNorm(2, 8)),
    ],
    ids=lambda module: type(module).__name__,
)
def test_modules_of_torch_run_in_every_precision(module: nn.Module, x: Tensor) -> None:
    args = (x, x, x) if isinstance(module, nn.MultiheadAttention) else (x,)
    tape = tape_of(module, *args)
    last = tape.taps[-1]
    for precision, bound in (
        (Precision(torch.float64), 1e-6),
        (Precision(torch.float32, torch.float16), 1e-2),
    ):
        (own,), (found,) = forward(tape, [last]), forward(tape, [last], precision=precision)
        assert found.dtype is precision.compute
        assert 0 < float((own.double() - found).norm() / own.norm()) < bound
