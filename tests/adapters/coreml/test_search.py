"""Which operations have to stay in float32."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from parity_coreml.check import check
from parity_coreml.search import search, search_to_dict, search_to_text


class Timed(nn.Module):
    """Phases of hundreds of turns, whose sine and cosine half precision loses; then many layers."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(16, 16) for _ in range(layers))

    def forward(self, phase: torch.Tensor) -> torch.Tensor:
        x = torch.cat([torch.cos(phase), torch.sin(phase)], -1)
        for layer in self.layers:
            x = x + 0.1 * functional.silu(layer(x))
        return x


@pytest.fixture(scope="module")
def timed():
    torch.manual_seed(0)
    return Timed(60).eval(), 500 + 1500 * torch.rand(1, 8)


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return tmp_path_factory.mktemp("mixed") / "mixed.mlpackage"


@pytest.fixture(scope="module")
def found(timed, package):
    module, phases = timed
    return search(module, (phases,), 3e-3, package=package)


def test_two_operations_among_hundreds_are_named(found):
    assert found.operations > 200
    assert found.before > 0.1
    assert sorted(each.kind for each in found.kept) == ["cos", "sin"]
    assert all(each.alone > 0.05 and each.without > 0.05 for each in found.kept)


def test_the_program_converted_with_the_selector_meets_the_target(found):
    assert found.converted <= 3e-3
    assert found.met


def test_that_package_can_be_checked(found, timed, package):
    module, phases = timed
    checked = check(module, [(phases,)], package)
    assert checked.holds
    assert checked.precision == "mixed"
    assert {row.precision for row in checked.rows} == {"float16", "float32"}
    assert checked.outputs == pytest.approx({checked.rows[-1].value: found.converted})


def test_the_selector_and_the_table_are_printed(found):
    text = search_to_text(found)
    assert "ct.transform.FP16ComputePrecision(op_selector=lambda op: op.name not in {" in text
    assert text.startswith("✓ 2 of ")
    assert "No smaller set will do" in text
    assert search_to_dict(found)["selector"] == found.selector
    assert search_to_dict(found)["smallest"] is True
    compile(found.selector, "selector", "eval")


def test_a_target_that_half_precision_meets_keeps_nothing():
    torch.manual_seed(0)
    found = search(nn.Sequential(nn.Linear(8, 8), nn.Tanh()).eval(), (torch.randn(1, 8),), 1e-2)
    assert found.kept == ()
    assert found.met


class Even(nn.Module):
    """Eleven operations of which none stands out."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Linear(8, 8) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.tanh(self.a(x))
        h = functional.layer_norm(h + torch.sin(4 * self.b(h)), (8,))
        return self.c(h) * torch.exp(0.5 * h)


def test_where_no_operation_stands_out_what_saves_most_is_kept():
    torch.manual_seed(0)
    module, x = Even().eval(), torch.randn(1, 8)
    before = search(module, (x,), 1.0).before
    found = search(module, (x,), 0.7 * before)
    # The dearest alone would be three.
    assert len(found.kept) == 1
    assert found.met
    assert not found.smallest
    assert "that no other set is smaller is not proven" in search_to_text(found)


def test_progress_counts_evaluations():
    seen: list[int] = []
    found = search(nn.Linear(4, 4).eval(), (torch.ones(1, 4),), 1e-2, progress=seen.append)
    assert seen == list(range(1, found.evaluations + 1))
