"""What comes out of a conversion: the package, the map beside it, and what it cannot do."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from parity.errors import BackendError, ConfigError, InputError
from parity_coreml.check import check
from parity_coreml.convert import convert
from parity_coreml.module_outputs import module_outputs
from parity_coreml.sidecar import read_sidecar, sidecar_path


def error_of(value: torch.Tensor, reference: torch.Tensor) -> float:
    return float((value - reference).norm() / reference.norm())


def placed_errors(converted) -> dict[str, float]:
    evaluator = converted.package.evaluator()
    values = evaluator.run(dict(zip(converted.sidecar.inputs, converted.args, strict=True))).values
    outputs = {
        (output.path or "(root)", output.slot, output.call): output.value
        for output in module_outputs(converted.module, converted.args)
    }
    errors = {}
    for placed in converted.sidecar.placed:
        value = values[placed.value]
        value = value.permute(placed.permutation) if placed.permutation else value
        key = (placed.path, placed.slot, placed.call)
        errors[f"{placed.path}{placed.slot}#{placed.call}"] = error_of(value, outputs[key])
    return errors


def test_every_module_output_has_a_value_in_both_precisions(block, half_block):
    for converted in (block, half_block):
        assert not converted.sidecar.unplaced
        assert len(converted.sidecar.placed) == len(
            module_outputs(converted.module, converted.args)
        )


def test_a_module_called_twice_has_two_values(block):
    calls = [
        (each.value, each.call, each.calls) for each in block.sidecar.placed if each.path == "act"
    ]
    assert calls == [("relu", 0, 2), ("relu_1", 1, 2)]


def test_float32_agrees_up_to_the_converters_gelu(block):
    errors = placed_errors(block)
    before = {name: errors.pop(name) for name in ("norm#0", "up#0")}
    assert max(before.values()) <= 1e-6
    assert min(errors.values()) > 1e-5


def test_float16_stays_near(half_block):
    assert max(placed_errors(half_block).values()) < 5e-3


def test_a_buffer_that_changes_becomes_a_state(counter):
    assert counter.sidecar.states == {"cache": "b_cache"}
    evaluator = counter.package.evaluator()
    state = evaluator.state()
    assert not state["cache"].any()
    for _ in range(2):
        evaluator.run({"x": counter.args[0]}, state)
    kept = counter.module.proj(counter.args[0]).detach()
    assert error_of(state["cache"][:, 3:], kept) < 1e-3
    assert error_of(state["cache"][:, 2:3], kept) < 1e-3
    assert not state["cache"][:, :2].any()


def test_a_layout_that_the_converter_changed_is_noted(converted):
    class Channels(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.conv = nn.LayerNorm(4), nn.Conv1d(4, 6, 3, padding=1)

        def forward(self, x):
            return self.conv(self.norm(x.mT).mT)

    done = converted(Channels, (1, 4, 8))
    assert max(placed_errors(done).values()) <= 1e-6


def test_the_sidecar_is_read_back(block):
    assert read_sidecar(block.path) == block.sidecar


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not a sidecar"),
        ('{"format": "x"}', "not a sidecar"),
        (None, "the package has no sidecar"),
    ],
)
def test_a_sidecar_that_is_none(tmp_path, text, says):
    if text is not None:
        sidecar_path(tmp_path / "m.mlpackage").write_text(text)
    with pytest.raises(InputError, match=says):
        read_sidecar(tmp_path / "m.mlpackage")


def test_what_cannot_be_exported_says_so(tmp_path):
    class Branching(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(BackendError, match=r"Branching: torch.export cannot follow it"):
        convert(Branching(), (torch.ones(3),), tmp_path / "m.mlpackage")


def test_what_cannot_be_converted_says_so(tmp_path):
    class Unknown(nn.Module):
        def forward(self, x):
            return torch.linalg.det(x)

    with pytest.raises(BackendError, match="coremltools cannot convert it"):
        convert(Unknown(), (torch.eye(3),), tmp_path / "m.mlpackage")


def test_what_coremltools_refuses_is_taken_apart_where_torch_can(tmp_path):
    class Refused(nn.Module):
        def forward(self, x):
            y = x.flip(0)
            return (
                torch.addcdiv(x, x, y.abs() + 1, value=0.5) + torch.linalg.cross(x, y),
                functional.cosine_similarity(x, y, dim=1) * torch.heaviside(x, y)[:, 0],
                functional.channel_shuffle(x.reshape(1, 4, 3, 1), 2),
                torch.rot90(x.diff(dim=1), 1, (0, 1)) + torch.logit(x.sigmoid()).T[:2],
            )

    module, x = Refused().eval(), torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    convert(module, (x,), tmp_path / "m.mlpackage")
    assert check(module, [(x,)], tmp_path / "m.mlpackage").holds


def test_the_operation_at_which_the_converter_stops_is_named(tmp_path):
    class Inner(nn.Module):
        def forward(self, x):
            return x @ x[0]

    model = nn.Sequential(nn.ReLU(), Inner())
    with pytest.raises(BackendError, match=r"^aten\.matmul\.default in 1, test_convert\.py:\d+: "):
        convert(model, (torch.eye(3),), tmp_path / "m.mlpackage")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"precision": "float64"}, "no such precision"),
        ({"target": "iOS3"}, "no such deployment target"),
    ],
)
def test_a_wrong_option_says_so(tmp_path, options, says):
    with pytest.raises(ConfigError, match=says):
        convert(nn.Linear(2, 2), (torch.ones(1, 2),), tmp_path / "m.mlpackage", **options)
