"""Faults planted into exported graphs are found at the layer that they were planted into."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from adapters.onnx.conftest import Compare, Exported
from onnx import TensorProto, helper, numpy_helper
from tests_toys import toy

import parity
from parity.tensors import Case
from parity_onnx import export
from parity_onnx.metadata import scopes_of


class Edited:
    """A copy of an exported model, to plant something into."""

    def __init__(self, model: Path, folder: Path) -> None:
        self._from = model
        self.path = folder / model.name
        self.proto = onnx.load(str(model))
        self.graph = self.proto.graph

    def node(self, kind: str, scope: str, number: int = 0) -> Any:
        found = [
            n for n in self.graph.node if n.op_type == kind and (scopes_of(n) or ("",))[-1] == scope
        ]
        return found[number]

    def weights(self, name: str) -> Any:
        return next(one for one in self.graph.initializer if one.name == name)

    def save(self) -> Path:
        onnx.save(self.proto, str(self.path))
        names = self._from.with_suffix(".parity.json")
        self.path.with_suffix(".parity.json").write_bytes(names.read_bytes())
        return self.path


def set_attribute(node: Any, name: str, value: Any) -> None:
    kept = [one for one in node.attribute if one.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(name, value)])


def wrong_epsilon(model: Edited) -> None:
    set_attribute(model.node("LayerNormalization", "layers.1.norm2"), "epsilon", 1e-2)


def wrong_gelu(model: Edited) -> None:
    set_attribute(model.node("Gelu", "layers.0.act"), "approximate", "tanh")


def half_weights(model: Edited) -> None:
    weights = model.weights("layers.1.up.weight")
    rounded = numpy_helper.to_array(weights).astype(np.float16).astype(np.float32)
    weights.CopyFrom(numpy_helper.from_array(rounded, weights.name))


def reused_norm(model: Edited) -> None:
    first, second = (model.node("LayerNormalization", f"layers.1.norm{i}") for i in (1, 2))
    second.input[1] = first.input[1]
    weights = model.weights(first.input[1])
    weights.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights) * 1.05, weights.name))


@pytest.mark.parametrize(
    ("plant", "path"),
    [
        (wrong_epsilon, "layers.1.norm2"),
        (wrong_gelu, "layers.0.act"),
        (half_weights, "layers.1.up"),
        (reused_norm, "layers.1.norm1"),
    ],
)
def test_a_fault_is_found_at_its_layer(
    plant: Any, path: str, exported: Exported, compare: Compare, tmp_path: Path
) -> None:
    model = Edited(exported("vit"), tmp_path)
    plant(model)
    module, arrays = toy("vit")
    first = compare(module, model.save(), arrays).first_divergence
    assert first is not None
    assert first.key.path == path


def test_a_wrong_layout_is_found_behind_the_attention_that_has_it(
    exported: Exported, compare: Compare, tmp_path: Path
) -> None:
    """Heads and time are not exchanged back before they are joined."""
    model = Edited(exported("decoder"), tmp_path)
    node = model.node("Transpose", "layers.0.attention", -1)
    node.op_type = "Identity"
    del node.attribute[:]
    module, arrays = toy("decoder")
    first = compare(module, model.save(), arrays).first_divergence
    assert first is not None
    assert first.key.path == "layers.0.attention.out"


@pytest.mark.parametrize(
    ("plant", "named"),
    [(wrong_epsilon, ("norm", "0.01")), (wrong_gelu, ("activation", "GELU(tanh)"))],
)
def test_a_fault_is_named(
    plant: Any, named: tuple[str, str], exported: Exported, compare: Compare, tmp_path: Path
) -> None:
    model = Edited(exported("vit"), tmp_path)
    plant(model)
    module, arrays = toy("vit")
    result = compare(module, model.save(), arrays)
    reference = parity.Reference.of_module(
        module, *map(torch.from_numpy, arrays.values()), capture=result.reference
    )
    why = parity.diagnose(reference, result.candidate)
    assert [finding.family for finding in why.high] == [named[0]]
    assert named[1] in why.high[0].candidate


class Loop:
    """A reference that takes three steps, each on the cache of the one before."""

    name = "loop"

    def __init__(self, module: torch.nn.Module) -> None:
        self._module = module
        self.modules = {"": module}

    def run(self, case: Case) -> Mapping[str, torch.Tensor]:
        x, keys, values = (torch.from_numpy(array) for array in case.arrays.values())
        for _ in range(3):
            x, keys, values = self._module(x, keys, values)
        return {"last": x}


def three_steps(run: Any, case: Case) -> None:
    x, keys, values = case.arrays.values()
    for _ in range(3):
        x, keys, values = run({"x": x, "keys": keys, "values": values}).values()


@pytest.fixture(scope="module")
def growing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One step of a decoder whose cache may be of any length."""
    module, arrays = toy("step")
    path = tmp_path_factory.mktemp("step") / "step.onnx"
    longer = {1: torch.export.Dim.DYNAMIC}
    shapes = {"x": None, "keys": longer, "values": longer}
    args = tuple(map(torch.from_numpy, arrays.values()))
    export(module, args, path, dynamic_shapes=shapes, optimize=False)
    return path


def test_a_cache_is_carried_from_run_to_run(growing: Path, compare: Compare) -> None:
    module, arrays = toy("step")
    result = compare(Loop(module), growing, arrays, driver=three_steps)
    missing = {row.key.path for row in result.failures}
    assert missing == {"last"}  # what the program returns besides the module's own outputs
    assert [row.key.call for row in result["out"]] == [0, 1, 2]
    assert [row.reference.shape for row in result["(root)"]][1::3] == [
        (1, 4, 16),
        (1, 5, 16),
        (1, 6, 16),
    ]


def test_a_dropped_cache_is_found_where_it_is_read(
    growing: Path, compare: Compare, tmp_path: Path
) -> None:
    model = Edited(growing, tmp_path)
    joined = next(n for n in model.graph.node if n.op_type == "Concat" and "keys" in n.input)
    model.graph.initializer.append(helper.make_tensor("nothing", TensorProto.FLOAT, [], [0.0]))
    dropped = helper.make_node("Mul", ["keys", "nothing"], ["dropped"])
    joined.input[list(joined.input).index("keys")] = "dropped"
    model.graph.node.insert(0, dropped)
    module, arrays = toy("step")
    result = compare(Loop(module), model.save(), arrays, driver=three_steps)
    first = result.first_divergence
    assert first is not None
    assert (first.key.path, first.key.call) == ("out", 0)
    assert all(row.ok for path in ("key", "value", "query") for row in result[path][:1])


def test_half_precision_is_judged_as_such(compare: Compare, tmp_path: Path) -> None:
    module, arrays = toy("step")
    path = tmp_path / "half.onnx"
    half = toy("step")[0].half()
    export(half, tuple(torch.from_numpy(a).half() for a in arrays.values()), path)
    kept = compare(module, path, arrays, tolerance="fp16")
    assert kept.outcome == "holds"
    assert any("x is cast from float32 to float16" in note for note in kept.notes)
    strict = compare(module, path, arrays)
    first = strict.first_divergence
    assert first is not None
    assert (first.key.path, first.verdict) == ("norm", "dtype")
