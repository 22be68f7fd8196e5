"""Operation by operation: whose fault a difference is, why, and how much was compared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from parity.errors import InputError
from parity_coreml.check import check
from parity_coreml.checked_text import checked_to_dict, checked_to_text
from parity_coreml.missing import Missing
from parity_coreml.repair import repair
from parity_coreml.runners import EvaluatorRunner


def test_the_converters_gelu_is_named_with_its_cause_and_repaired(block, tmp_path):
    found = check(block.module, [block.args], block.path)
    assert [row.value for row in found.converter] == ["gelu"]
    assert not found.precise
    cause = found.causes["gelu"]
    assert (cause.argument, cause.has, cause.should) == ("mode", "EXACT", "TANH_APPROXIMATION")
    assert cause.before > 1e-5
    assert cause.after <= 1e-6
    repair(block.package, found.causes.values(), tmp_path / "fixed.mlpackage")
    fixed = check(block.module, [block.args], tmp_path / "fixed.mlpackage")
    assert fixed.holds
    assert max(row.error for row in fixed.rows) <= 1e-6
    assert "✓ Every operation" in checked_to_text(fixed)


def test_float16_hides_nothing_of_the_converter(half_block):
    found = check(half_block.module, [half_block.args], half_block.path)
    assert [row.node.name for row in found.converter] == ["gelu"]
    assert found.causes["gelu_cast_fp16"].should == "TANH_APPROXIMATION"


def test_coverage_counts_modules_parameters_and_edges(block):
    coverage = check(block.module, [block.args], block.path).coverage
    assert (coverage.modules.compared, coverage.modules.total) == (8, 8)
    assert coverage.parameters.compared == sum(p.numel() for p in block.module.parameters())
    # norm -> up -> gelu -> down -> act -> drop -> add -> act: each feeds one other.
    assert (coverage.edges.compared, coverage.edges.total) == (7, 7)


def test_what_has_no_value_is_named_and_not_counted(block):
    from parity_coreml.sidecar import write_sidecar

    without = [placed for placed in block.sidecar.placed if placed.path != "up"]
    values = {h: v for h, v in block.sidecar.values.items() if v != ("linear",)}
    kinds = {name: kind for name, kind in block.sidecar.kinds.items() if name != "linear"}
    poorer = replace(block.sidecar, placed=tuple(without), values=values, kinds=kinds)
    try:
        write_sidecar(poorer, block.path)
        coverage = check(block.module, [block.args], block.path).coverage
    finally:
        write_sidecar(block.sidecar, block.path)
    assert coverage.edges.left == ("linear -> gelu",)
    assert set(coverage.parameters.left) == {"up.weight", "up.bias"}
    assert coverage.modules.total == 7


def test_a_device_that_computes_one_operation_otherwise_is_the_runtimes_fault(block):
    names = list(block.sidecar.inputs)
    step = dict(zip(names, (each.numpy() for each in block.args), strict=True))
    ran = EvaluatorRunner().run(block.package, [step])
    values = dict(ran.steps[0])
    # The device's ReLU lets negative numbers through; what comes later is computed from that.
    values["relu"] = values["relu"] - 0.01
    moved = torch.from_numpy(values["add"]) - 0.01
    values["add"], values["relu_1"] = moved.numpy(), torch.relu(moved).numpy()
    device = replace(ran, runner="simulated device", steps=(values,))
    found = check(block.module, [block.args], block.path, device)
    assert {row.value for row in found.runtime} == {"relu"}
    assert {row.value for row in found.converter} == {"gelu"}
    text = checked_to_text(found)
    assert "✗ Wrong: by the converter 1 operation, by the runtime 1 operation." in text
    assert "simulated device" in text


def test_a_value_that_the_platform_gave_none_for_is_reported(block):
    ran = EvaluatorRunner().run(block.package, [{"x": block.args[0].numpy()}])
    values = {name: value for name, value in ran.steps[0].items() if name != "linear"}
    gone = (Missing("linear", "the platform gave None"),)
    device = replace(ran, steps=(values,), missing=gone)
    found = check(block.module, [block.args], block.path, device)
    assert "the device gave nothing for: linear (the platform gave None)" in checked_to_text(found)
    assert found.device_coverage.modules.compared == 7
    (row,) = (row for row in found.rows if row.value == "linear")
    assert row.missing == "the platform gave None"
    assert not row.on_device


def test_a_device_that_gives_nothing_is_no_pass(block):
    ran = EvaluatorRunner().run(block.package, [{"x": block.args[0].numpy()}])
    gone = tuple(Missing(name, "the platform gave None") for name in ran.steps[0])
    found = check(block.module, [block.args], block.path, replace(ran, steps=({},), missing=gone))
    assert found.holds is None
    assert checked_to_text(found).startswith("? Nothing could be compared on the device.")


def test_a_device_that_leaves_out_an_output_is_no_pass(counter):
    ran = EvaluatorRunner().run(counter.package, [{"x": counter.args[0].numpy()}])
    (output,) = counter.sidecar.outputs
    values = {name: value for name, value in ran.steps[0].items() if name != output}
    found = check(counter.module, [counter.args], counter.path, replace(ran, steps=(values,)))
    assert found.silent == (output,)
    assert found.holds is False
    assert "1 outputs without a number from the device" in checked_to_text(found)


def test_a_device_that_ran_other_steps_is_refused(counter):
    ran = EvaluatorRunner().run(counter.package, [{"x": counter.args[0].numpy()}])
    with pytest.raises(InputError, match="the device ran 1 steps of 2"):
        check(counter.module, [counter.args] * 2, counter.path, ran)


def test_a_nan_from_the_device_never_passes(block):
    ran = EvaluatorRunner().run(block.package, [{"x": block.args[0].numpy()}])
    values = dict(ran.steps[0])
    values["layer_norm"] = np.full_like(values["layer_norm"], np.nan)
    found = check(block.module, [block.args], block.path, replace(ran, steps=(values,)))
    assert "layer_norm" in {row.value for row in found.runtime}


def test_states_go_from_step_to_step(counter):
    steps = [(torch.randn(1, 1, 8),) for _ in range(3)]
    found = check(counter.module, steps, counter.path)
    assert found.holds
    assert {row.step for row in found.rows} == {0, 1, 2}
    assert max(row.error for row in found.rows) <= 1e-6


def test_another_module_is_refused(block):
    with pytest.raises(InputError, match="converted from another module"):
        check(nn.Linear(16, 16), [block.args], block.path)


def test_everything_is_in_the_json(block):
    found = checked_to_dict(check(block.module, [block.args], block.path))
    assert found["holds"] is False
    assert found["causes"][0]["should"] == "TANH_APPROXIMATION"
    wrong = [each["node"] for each in found["operations"] if each["wrong_by"] == ["converter"]]
    assert wrong == ["gelu"]
    assert found["coverage"]["edges"] == {"compared": 7, "total": 7, "left": []}
