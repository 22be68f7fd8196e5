"""Conversions with one fault each, planted in the package: each is found where it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from parity_coreml.causes import Cause
from parity_coreml.check import Checked, check
from parity_coreml.checked_text import checked_to_dict, checked_to_text
from parity_coreml.convert import convert
from parity_coreml.package import open_package
from parity_coreml.quiet import coremltools, quietly
from parity_coreml.repair import repair
from parity_coreml.sidecar import write_sidecar


class Causal(nn.Module):
    """A norm, a transposition of a square, and a convolution padded in front."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.conv = nn.LayerNorm(6, eps=1e-5), nn.Conv1d(6, 6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(0.01 * x)
        return self.conv(functional.pad(torch.tanh(x).mT * 2, (2, 0)))


class Energy(nn.Module):
    """Squares that float16 cannot hold."""

    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Linear(6, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        loud = 400 * self.proj(x)
        return loud / (loud.square().mean(-1, keepdim=True) + 1).sqrt()


def planted(
    module: nn.Module,
    x: torch.Tensor,
    folder: Path,
    fault: tuple[str, str, Any],
    precision: str = "float32",
) -> Checked:
    """The module converted, and one argument of the operation of this kind changed."""
    good, bad = folder / "good.mlpackage", folder / "bad.mlpackage"
    convert(module, (x,), good, precision=precision)
    assert check(module, [(x,)], good).holds
    package, (kind, argument, value) = open_package(good), fault
    (operation,) = (each for each in package.operations() if each.op_type == kind)
    has = operation.inputs[argument].val
    wrong = value(has.tolist()) if callable(value) else value
    repair(package, [Cause(operation.name, kind, argument, None, wrong, 0, 0)], bad)
    return check(module, [(x,)], bad)


@pytest.mark.parametrize(
    ("kind", "argument", "wrong", "right"),
    [
        ("layer_norm", "epsilon", 1e-3, 1e-5),
        ("pad", "pad", lambda has: [*has[:-2], 0, 2], [0, 0, 0, 0, 2, 0]),
    ],
    ids=["wrong epsilon", "padded at the end"],
)
def test_a_changed_argument_is_named(tmp_path, kind, argument, wrong, right):
    torch.manual_seed(0)
    found = planted(Causal().eval(), torch.randn(1, 6, 6), tmp_path, (kind, argument, wrong))
    assert {row.kind for row in found.converter} == {kind}
    (cause,) = found.causes.values()
    assert cause.argument == argument
    assert cause.should == pytest.approx(right)


def test_rounded_weights_do_not_hide_which_epsilon_torch_has(tmp_path):
    torch.manual_seed(0)
    module = nn.LayerNorm(32, eps=1e-5).eval()
    nn.init.normal_(module.weight, 1.0, 0.2)
    fault = ("layer_norm", "epsilon", 1e-2)
    found = planted(module, torch.randn(1, 16, 32), tmp_path, fault, "float16")
    (cause,) = found.causes.values()
    assert cause.should == 1e-5
    assert cause.after < 1e-6


@pytest.mark.parametrize(
    ("kind", "argument", "wrong"),
    [
        ("conv", "weight", lambda has: np.flip(has, 1).copy()),
        ("conv", "weight", lambda has: 1.002 * np.asarray(has)),
        ("conv", "bias", lambda has: np.roll(has, 1)),
        ("layer_norm", "epsilon", 2e-5),
    ],
    ids=["channels", "scale of a weight", "bias", "epsilon"],
)
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_a_wrong_number_is_found_at_its_operation(tmp_path, kind, argument, wrong, precision):
    torch.manual_seed(0)
    fault = (kind, argument, wrong)
    found = planted(Causal().eval(), torch.randn(1, 6, 6), tmp_path, fault, precision)
    assert {row.kind for row in found.converter} == {kind}
    assert found.holds is False


class Scaled(nn.Module):
    """Numbers that only torch's own code knows."""

    def __init__(self) -> None:
        super().__init__()
        self.old, self.new = nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.leaky_relu(0.3 * self.new(x), 0.17).clamp(-0.02, 1.5)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (("linear", "weight", lambda has: np.flip(has, 0).copy()), "not the module's new.weight"),
        (("linear", "bias", lambda has: np.zeros(len(has))), "not the module's new.bias"),
        (("mul", "y", 0.25), "torch has 0.3"),
        (("leaky_relu", "alpha", 0.01), "torch has 0.17"),
        (("clip", "alpha", -1.5), "torch has -0.02"),
    ],
    ids=["stale weight", "lost bias", "scale", "slope", "limit"],
)
def test_what_torch_was_given_is_named(tmp_path, fault, says):
    torch.manual_seed(0)
    module, x = Scaled().eval(), torch.randn(4, 6)
    found = planted(module, x, tmp_path, fault, "float16")
    (cause,) = found.causes.values()
    assert (cause.kind, cause.argument) == fault[:2]
    assert str(cause).endswith(says)
    json.dumps(checked_to_dict(found), allow_nan=False)
    repair(open_package(found.package), [cause], found.package)
    assert check(module, [(x,)], found.package).holds


def test_a_wrong_layout_is_named(tmp_path):
    torch.manual_seed(0)

    class Turned(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.tanh(x).permute(0, 2, 1, 3).contiguous() + x

    found = planted(
        Turned(), torch.randn(1, 4, 4, 4), tmp_path, ("transpose", "perm", [0, 1, 3, 2])
    )
    # A layout alone is no fault: what is added to it is.
    assert {row.kind for row in found.converter} == {"add"}
    (cause,) = found.causes.values()
    assert (cause.kind, list(cause.should)) == ("transpose", [0, 2, 1, 3])


def test_a_dropped_state_is_found(counter, tmp_path):
    ct, bad = coremltools(), tmp_path / "bad.mlpackage"
    package = counter.package
    spec = package.model.get_spec()
    function = spec.mlProgram.functions["main"]
    operations = function.block_specializations[function.opset].operations
    (place,) = (i for i, each in enumerate(operations) if each.type == "write_state")
    del operations[place]
    with quietly():
        weights = package.model.weights_dir
        ct.models.MLModel(spec, weights_dir=weights, skip_model_load=True).save(str(bad))
    write_sidecar(counter.sidecar, bad)
    steps = [(torch.randn(1, 1, 8),) for _ in range(2)]
    found = check(counter.module, steps, bad)
    assert found.holds is False
    assert found.wrong_states == ("cache",)
    assert "cache is not kept as torch keeps it" in checked_to_text(found)


def test_an_overflow_in_half_precision_is_the_precisions_fault(tmp_path):
    torch.manual_seed(0)
    module, x = Energy().eval(), torch.randn(1, 3, 6)
    convert(module, (x,), tmp_path / "half.mlpackage", precision="float16")
    found = check(module, [(x,)], tmp_path / "half.mlpackage")
    assert not found.converter
    assert found.precise
    assert {"square", "mul", "pow", "reduce_mean"} & {row.kind for row in found.precise}
    assert found.holds is False
    assert "by the precision" in checked_to_text(found)
