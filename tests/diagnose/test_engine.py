"""Peeling: several faults at once, equivalents, half precision, grades, honest ignorance."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

import parity
from parity.diagnose import Grade, Verdict, diagnose
from parity.localize import Reference
from parity.report.causes import headline
from parity.tensors import Role


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(16)
        self.up = nn.Linear(16, 32)
        self.act = nn.SiLU()
        self.down = nn.Linear(32, 16)

    def forward(self, x):
        return x + self.down(self.act(self.up(self.norm(x))))


class Stack(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(Block(), Block(), Block())
        self.query, self.key = nn.Linear(16, 16), nn.Linear(16, 16)

    def forward(self, x):
        x = self.blocks(x)
        return torch.softmax(self.query(x) @ self.key(x).mT / 4, -1) @ x


@pytest.fixture
def stack():
    torch.manual_seed(0)
    model = Stack().eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, 0.5 if parameter.dim() == 1 else 0.0, 0.4)
    return model


@pytest.fixture
def x():
    return torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(1))


def port(weights, x, faults=frozenset(), *, dtype=torch.float32, taps="all"):
    """The stack written again. Faults: gelu (block 1), eps, skip (block 2), permuted."""
    w = {name: tensor.to(dtype) for name, tensor in weights.items()}

    def tap(name, value):
        wanted = taps == "all" or name in taps
        return parity.tap(name, value, role=Role.OUTPUT) if wanted else value

    def linear(name, v, rows=slice(None)):
        return tap(name, v @ w[f"{name}.weight"][rows].T + w[f"{name}.bias"][rows])

    x = x.to(dtype)
    for i in range(3):
        b = f"blocks.{i}"
        mean, variance = x.mean(-1, keepdim=True), x.var(-1, unbiased=False, keepdim=True)
        h = (x - mean) / torch.sqrt(variance + (1e-3 if "eps" in faults else 1e-5))
        h = tap(f"{b}.norm", h * w[f"{b}.norm.weight"] + w[f"{b}.norm.bias"])
        h = linear(f"{b}.up", h)
        h = functional.gelu(h) if "gelu" in faults and i == 1 else functional.silu(h)
        h = linear(f"{b}.down", tap(f"{b}.act", h))
        x = tap(b, h if "skip" in faults and i == 2 else x + h)
    tap("blocks", x)
    order = torch.arange(16).flip(0) if "permuted" in faults else torch.arange(16)
    scores = linear("query", x, order) @ linear("key", x, order).mT / 4
    tap("(root)", torch.softmax(scores, -1) @ x)


def found(stack, x, tmp_path, faults, **how):
    with torch.no_grad(), parity.record(tmp_path / "port.h5"):
        port(stack.state_dict(), x, frozenset(faults), **how)
    return diagnose(Reference.of_module(stack, x), tmp_path / "port.h5")


def test_a_faithful_port_has_no_fault(stack, x, tmp_path):
    result = found(stack, x, tmp_path, ())
    assert result.verdict is Verdict.NO_FAULT
    assert result.output_error < 1e-6


def test_what_a_candidate_has_not_is_counted(stack, x, tmp_path):
    result = found(stack, x, tmp_path, (), taps=("blocks.0", "blocks.1"))
    assert result.verdict is Verdict.NO_FAULT
    assert result.facts["missing"] > 2
    lacks = f"The candidate lacks {result.facts['missing']} tensors of the reference."
    assert headline(result).endswith(f"come out the same. {lacks}")
    assert found(stack, x, tmp_path, ()).facts["missing"] == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_nor_has_one_in_half_precision(stack, x, tmp_path, dtype):
    result = found(stack, x, tmp_path, (), dtype=dtype)
    assert not result.high
    assert result.facts["precision"] == str(dtype).removeprefix("torch.")


class Rounded(nn.Module):
    def __init__(self, stack) -> None:
        super().__init__()
        self.stack, self.rounded = stack, nn.Identity()

    def forward(self, x):
        y = self.stack(x)
        self.rounded(y.bfloat16())
        return y


def test_one_cast_does_not_make_a_port_one_in_half_precision(stack, x, tmp_path):
    model = Rounded(stack)
    with torch.no_grad(), parity.record(tmp_path / "port.h5", model):
        model(x)
    result = diagnose(Reference.of_module(model, x), tmp_path / "port.h5")
    assert result.verdict is Verdict.NO_FAULT
    assert result.facts["precision"] == "float32"


def test_three_faults_at_once_are_named_with_their_places(stack, x, tmp_path):
    result = found(stack, x, tmp_path, ("gelu", "eps", "skip"))
    named = {(f.cause, f.site.path): f for f in result.findings}
    assert {cause for cause, _ in named} == {
        "activation.function", "norm.eps", "residual.dropped",
    }  # fmt: skip
    gelu = named["activation.function", "blocks.1.act"]
    assert gelu.candidate == "GELU(erf)"
    assert gelu.exceptions == ("blocks.0.act", "blocks.2.act")
    eps = next(f for f in result.findings if f.cause == "norm.eps")
    assert eps.value == pytest.approx(1e-3, rel=0.1)
    assert len(eps.sites) == 3
    assert all(f.grade is Grade.HIGH for f in result.findings)
    assert result.verdict is Verdict.EXPLAINED
    assert result.output_left < 1e-5 < result.output_error
    assert sum(f.explained_output for f in result.findings) == pytest.approx(1.0, abs=1e-3)


def test_one_after_the_other_where_taps_are_few(stack, x, tmp_path):
    result = found(
        stack, x, tmp_path, ("gelu", "eps"), taps=("blocks.0", "blocks.1", "blocks.2", "(root)")
    )
    assert {f.cause for f in result.findings} == {"activation.function", "norm.eps"}


def test_rows_of_queries_and_keys_that_are_permuted_alike_are_no_fault(stack, x, tmp_path):
    result = found(stack, x, tmp_path, ("permuted",))
    assert result.verdict is Verdict.NO_FAULT
    assert set(result.equivalent) == {"query", "key"}


def test_a_run_that_broke_off_is_not_without_fault(stack, x, tmp_path):
    def break_off():
        with torch.no_grad(), parity.record(tmp_path / "port.h5"):
            port(stack.state_dict(), x, frozenset(), taps=("blocks.0", "blocks.1"))
            raise MemoryError

    with pytest.raises(MemoryError):
        break_off()
    result = diagnose(Reference.of_module(stack, x), tmp_path / "port.h5")
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.verdict.exit_status == 3
    assert result.output == ""


class Branch(nn.Module):
    """A branch that next to nothing is kept of, as after a layer scale of 1e-6."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.branch, self.last = nn.Linear(6, 16), nn.Linear(16, 16), nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        return self.last(x + 1e-6 * self.branch(x))


def test_a_fault_in_a_branch_that_hardly_counts_is_one(tmp_path):
    torch.manual_seed(1)
    branch, port, x = Branch().eval(), Branch().eval(), torch.randn(4, 6)
    port.load_state_dict(branch.state_dict())
    with torch.no_grad(), parity.record(tmp_path / "port.h5", port):
        port.branch.bias.zero_()
        port(x)
    result = diagnose(Reference.of_module(branch, x), tmp_path / "port.h5")
    assert [finding.cause for finding in result.findings] == ["weights.bias"]
    assert result.equivalent == ()


def test_what_nobody_knows_stays_unexplained(stack, x, tmp_path):
    def strange(weights, x):
        with torch.no_grad(), parity.record(tmp_path / "port.h5"):
            h = x @ weights["blocks.0.up.weight"].T + weights["blocks.0.up.bias"]
            noise = torch.randn(h.shape, generator=torch.Generator().manual_seed(9))
            parity.tap("blocks.0.up", h + noise, role=Role.OUTPUT)

    strange(stack.state_dict(), x)
    result = diagnose(Reference.of_module(stack, x), tmp_path / "port.h5")
    assert result.verdict is Verdict.UNEXPLAINED
    assert not result.high
    (unexplained,) = result.unexplained
    assert unexplained.tap == "blocks.0.up"
    assert unexplained.description


def test_nothing_compared_is_no_verdict(stack, x, tmp_path):
    with parity.record(tmp_path / "port.h5"):
        parity.tap("elsewhere", x)
    result = diagnose(Reference.of_module(stack, x), tmp_path / "port.h5")
    assert result.verdict is Verdict.INVALID


def test_nan_is_an_origin_and_never_explained_away(stack, x, tmp_path):
    with torch.no_grad(), parity.record(tmp_path / "port.h5"):
        h = stack.blocks[0].norm(x).clone()
        h[0, 0, 0] = torch.nan
        parity.tap("blocks.0.norm", h, role=Role.OUTPUT)
    result = diagnose(Reference.of_module(stack, x), tmp_path / "port.h5")
    assert not result.findings
    assert "not finite" in result.unexplained[0].description


def test_blocks_that_have_but_a_number_are_of_one_kind(x, tmp_path):
    torch.manual_seed(2)
    model = nn.Sequential(Block(), Block(), Block()).eval()
    theirs = nn.Sequential(Block(), Block(), Block()).eval()
    theirs.load_state_dict(model.state_dict())
    for block in theirs:
        block.norm.eps = 1e-2
    theirs[1].act = nn.GELU()
    with torch.no_grad(), parity.record(tmp_path / "ours.h5", model):
        model(x)
    with torch.no_grad(), parity.record(tmp_path / "theirs.h5", theirs, inputs=False):
        theirs(x)
    reference = Reference.of_module(model, x, capture=tmp_path / "ours.h5")
    eps, activation = diagnose(reference, tmp_path / "theirs.h5").findings
    assert (eps.cause, eps.exceptions) == ("norm.eps", ())
    assert {site.path for site in eps.sites} == {"0.norm", "1.norm", "2.norm"}
    assert (activation.cause, set(activation.exceptions)) == (
        "activation.function",
        {"0.act", "2.act"},
    )
