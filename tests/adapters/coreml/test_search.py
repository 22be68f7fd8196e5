"""Which operations have to stay in float32."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

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
def found(tmp_path_factory):
    torch.manual_seed(0)
    phases = 500 + 1500 * torch.rand(1, 8)
    package = tmp_path_factory.mktemp("mixed") / "mixed.mlpackage"
    return search(Timed(60).eval(), (phases,), 3e-3, package=package)


def test_two_operations_among_hundreds_are_named(found):
    assert found.operations > 200
    assert found.before > 0.1
    assert sorted(each.kind for each in found.kept) == ["cos", "sin"]
    assert all(each.alone > 0.05 and each.without > 0.05 for each in found.kept)


def test_the_program_converted_with_the_selector_meets_the_target(found):
    assert found.converted <= 3e-3
    assert found.met


def test_the_selector_and_the_table_are_printed(found):
    text = search_to_text(found)
    assert "ct.transform.FP16ComputePrecision(op_selector=lambda op: op.name not in {" in text
    assert text.startswith("✓ 2 of ")
    assert search_to_dict(found)["selector"] == found.selector
    compile(found.selector, "selector", "eval")


def test_a_target_that_half_precision_meets_keeps_nothing():
    torch.manual_seed(0)
    found = search(nn.Sequential(nn.Linear(8, 8), nn.Tanh()).eval(), (torch.randn(1, 8),), 1e-2)
    assert found.kept == ()
    assert found.met
