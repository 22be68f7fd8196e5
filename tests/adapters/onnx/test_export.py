"""What `export` writes down, and what becomes of it when the model is changed afterwards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import pytest
import torch
from adapters.onnx.conftest import Compare
from onnx import helper, numpy_helper
from torch import nn

from parity_onnx import export
from parity_onnx.names import Names

X = torch.linspace(-1, 1, 12).reshape(3, 4)


class Branch(nn.Module):
    """Adds twice what is scaled to next to nothing, as deep networks begin to be trained."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)
        self.scale = nn.Parameter(torch.full((4,), 3e-5))

    def forward(self, x):
        x = x + self.scale * self.one(x)
        return x, x + self.scale * self.two(x)


class Counting(nn.Module):
    """Counts its runs, branches on its input, and returns one tensor twice."""

    def __init__(self) -> None:
        super().__init__()
        self.branch, self.act, self.head = Branch(), nn.ReLU(), nn.Linear(4, 4)
        self.register_buffer("runs", torch.zeros(1))

    def forward(self, x):
        self.runs += 1
        x = torch.cond(x.sum() > -9, lambda x: x + 1, lambda x: x - 1, (x,))
        y = self.head(self.act(self.act(self.branch(x)[1] + self.runs)))
        return {"y": y, "same": y, "none": None}


class Made(NamedTuple):
    module: Counting
    path: Path
    names: Names


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    torch.manual_seed(0)
    module = Counting().eval()
    path = tmp_path_factory.mktemp("counting") / "model.onnx"
    return Made(module, path, export(module, (X,), path, optimize=False))


def edited(made: Made, folder: Path, *, scale: float) -> Path:
    """The model with its first output scaled by one step more, as its output of another name."""
    proto = onnx.load(str(made.path))
    graph = proto.graph
    graph.initializer.append(numpy_helper.from_array(np.float32(scale), "scale"))
    graph.node.append(helper.make_node("Mul", [graph.output[0].name, "scale"], ["scaled"]))
    graph.output[0].name = "scaled"
    path = folder / made.path.name
    onnx.save(proto, str(path))
    names = made.path.with_suffix(".parity.json").read_bytes()
    path.with_suffix(".parity.json").write_bytes(names)
    return path


def test_the_export_leaves_the_module_as_it_was(made: Made) -> None:
    assert made.module.runs.item() == 0


def test_every_module_is_named_and_agrees(made: Made, compare: Compare) -> None:
    assert made.names.unnamed == ()
    values = {(one.path, one.slot, one.call): one.value for one in made.names.named}
    assert values["act", "", 0] != values["act", "", 1]  # the same numbers, by two nodes
    assert values["branch", "", 0] != values["branch", "1", 0]  # nearly the same
    assert [one.slot for one in made.names.named if one.path == "(root)"] == ["y", "same"]
    result = compare(made.module, made.path, {"x": X.numpy()})
    made.module.runs.zero_()
    assert result.outcome == "holds"
    # One sum for the other would be off by 2e-5.
    assert result.table.metrics["rel_l2"].max() <= 1e-6


def test_a_step_behind_the_last_module_is_compared(
    made: Made, compare: Compare, tmp_path: Path
) -> None:
    result = compare(made.module, edited(made, tmp_path, scale=1.5), {"x": X.numpy()})
    made.module.runs.zero_()
    assert [str(row.key) for row in result.failures] == ["(root):output.y#0"]
    assert any("model.onnx has other nodes than" in note for note in result.notes)


def test_other_weights_are_no_other_graph(made: Made, compare: Compare, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    proto = onnx.load(str(made.path))
    weights = proto.graph.initializer[0]
    weights.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights) * 2, weights.name))
    onnx.save(proto, str(path))
    names = made.path.with_suffix(".parity.json").read_text()
    path.with_suffix(".parity.json").write_text(names)
    result = compare(made.module, path, {"x": X.numpy()})
    made.module.runs.zero_()
    assert not any("has other nodes" in note for note in result.notes)
    # A map that was written before there was a digest is taken as it is.
    old = {key: value for key, value in json.loads(names).items() if key != "graph"}
    changed = edited(made, tmp_path, scale=1.0)
    changed.with_suffix(".parity.json").write_text(json.dumps(old))
    result = compare(made.module, changed, {"x": X.numpy()})
    made.module.runs.zero_()
    assert result.outcome == "holds"
    assert not any("has other nodes" in note for note in result.notes)
