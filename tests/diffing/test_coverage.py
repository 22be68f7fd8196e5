"""How much of the reference's model a comparison covers."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import parity
from parity.diffing import DiffResult, Share
from parity.report.machine import to_dict
from parity.report.markdown import to_markdown
from parity.report.words import model_line
from parity.tensors import Role, TapPlan

Compare = Callable[..., DiffResult]


class Idle(nn.Module):
    """Passes its argument on, and holds a layer that it never calls: 4 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.never = nn.Linear(2, 2, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2


def network() -> nn.Module:
    """Layers with 10, no and 6 parameters, and one with a layer that never runs."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 2), nn.GELU(), nn.Linear(2, 2), Idle())


@pytest.fixture
def compare(tmp_path: Path) -> Compare:
    """Compares a run of the network with another one, recorded under `plan`."""

    def run(
        plan: TapPlan | None = None, *, reference: TapPlan | None = None, **options: Any
    ) -> DiffResult:
        for name, chosen in (("reference.h5", reference), ("port.h5", plan)):
            net = network()
            with torch.no_grad(), parity.record(tmp_path / name, net, plan=chosen):
                net(torch.linspace(-1, 1, 12).reshape(3, 4))
        return parity.diff(tmp_path / "reference.h5", tmp_path / "port.h5", **options)

    return run


def test_a_layer_that_never_ran_is_not_covered(compare: Compare) -> None:
    covered = compare().model
    assert covered is not None
    assert (covered.modules, covered.parameters) == (Share(5, 6), Share(16, 20))
    assert covered.edges == Share(4, 4)
    assert covered.uncompared == {"3.never": "the reference did not record it"}


def test_a_tap_that_the_candidate_lacks_takes_its_parameters_and_edges_along(
    compare: Compare,
) -> None:
    covered = compare(TapPlan(exclude=("0",)), allow_missing=("0",)).model
    assert covered is not None
    assert (covered.modules, covered.parameters) == (Share(4, 6), Share(6, 20))
    assert covered.edges == Share(3, 4)
    assert covered.uncompared["0"] == "the candidate has no such tensor"


def test_what_the_selection_leaves_out_is_not_covered(compare: Compare) -> None:
    chosen = TapPlan(exclude=("1",), roles=frozenset({Role.OUTPUT}))
    covered = compare(plan=chosen, reference=chosen).model
    assert covered is not None
    assert covered.modules == Share(4, 6)
    assert covered.uncompared["1"] == "the reference did not record it"
    late = compare(chosen).model
    assert late is not None
    assert late.uncompared["1"] == "the candidate has no such tensor"
    assert compare(plan=chosen, reference=None, allow_missing=("1",)).model == late


def test_a_selection_at_the_comparison_is_told_apart(compare: Compare) -> None:
    result = compare()
    again = parity.diff(result.reference, result.candidate, plan=TapPlan(exclude=("1",)))
    assert again.model is not None
    assert again.model.uncompared["1"] == "left out of the comparison"


def test_one_of_several_calls_missing_is_no_coverage(capture_of: Callable[..., Path]) -> None:
    x = np.arange(4, dtype=np.float32)
    reference = capture_of("reference.h5", [("a", x), ("a", x + 1), ("b", x + 2)])
    port = capture_of("port.h5", [("a", x), ("b", x + 2)])
    covered = parity.diff(reference, port).model
    assert covered is not None
    assert (covered.modules, covered.parameters.total) == (Share(1, 2), 0)


def test_a_capture_without_a_list_counts_what_it_recorded(tmp_path: Path) -> None:
    path = tmp_path / "reference.h5"
    with parity.record(path, network(), operations=True) as recorder:
        recorder.sink.describe({"modules": "{}"})  # as if it were from before they were listed
        torch.nn.functional.gelu(network()(torch.ones(2, 4)))
    with parity.open(path) as capture:
        assert capture.modules == {}
    with parity.record(path, functions=["torch.nn.functional.gelu"], operations=True):
        torch.nn.functional.gelu(torch.ones(2, 4) / 3)
        torch.ones(2, 4).cos()
    covered = parity.diff(path, path).model
    assert covered is not None
    assert covered.modules == Share(1, 1)


def test_every_report_says_it(compare: Compare) -> None:
    result = compare()
    line = "5 of 6 modules (83.3 %), 16 of 20 parameters (80 %), 4 of 4 edges between taps (100 %)"
    assert model_line(result) == line
    assert f"- model compared: {line}" in to_markdown(result)
    assert to_dict(result)["model"]["parameters"] == {"compared": 16, "total": 20}
    assert to_dict(result)["model"]["uncompared"] == {"3.never": "the reference did not record it"}
    said = "1 module is not compared, the reference did not record it: 3.never"
    assert said in result.notes


def test_all_but_one_is_not_all() -> None:
    assert Share(9_999, 10_000).value < 1
    result = parity.diff({"a": np.arange(3.0)}, {"a": np.arange(3.0)})
    assert "100 %" in model_line(result)
    assert result.model is not None
    almost = replace(result, model=replace(result.model, modules=Share(9_999, 10_000)))
    assert "(99.9 %)" in model_line(almost)


def test_what_a_backend_skipped_is_a_note(tmp_path: Path) -> None:
    for name in ("reference.h5", "port.h5"):
        with parity.record(tmp_path / name, facts={"skipped": "pool (it has no output)"}):
            parity.tap("a", np.arange(3.0))
    notes = parity.diff(tmp_path / "reference.h5", tmp_path / "port.h5").notes
    assert f"{tmp_path / 'port.h5'} has not recorded pool (it has no output)" in notes


def test_one_result_of_several_may_be_allowed_to_be_missing(tmp_path: Path) -> None:
    """Ports of recurrent layers often hand out no states."""
    layer, x = nn.LSTM(3, 4), torch.ones(2, 3)
    with torch.no_grad(), parity.record(tmp_path / "reference.h5", {"lstm": layer}, inputs=False):
        y, _ = layer(x)
    port = {"lstm": y.numpy()}
    states = ["lstm:output.1.*"]
    result = parity.diff(tmp_path / "reference.h5", port, allow_missing=states)
    assert result.outcome == "holds"
    assert result.model is not None
    assert result.model.uncompared == {"lstm": "the candidate has no such tensor"}
    other = parity.diff(tmp_path / "reference.h5", {"x": port["lstm"]}, allow_missing=states)
    assert "lstm:output#0" in [str(row.key) for row in other.failures]
