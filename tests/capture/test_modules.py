"""Calls of modules: what is recorded, and that nothing else changes."""

import copy
import time
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from parity.capture import recorder
from parity.errors import ConfigError, InputError
from parity.tensors import Role, TapPlan


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.act = nn.SiLU()
        self.last = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.act(self.first(x)))


def no_wrapper_left(model: nn.Module) -> bool:
    return not any("_compiled_call_impl" in module.__dict__ for module in model.modules())


@pytest.mark.parametrize("way", ["recording", "recording_in_memory"])
def test_results_are_recorded_under_the_modules_names(way: str, request) -> None:
    recording, model, x = request.getfixturevalue(way), Net(), torch.randn(2, 4)
    with recording({"net": model}) as run, torch.no_grad():
        y = model(x)
    assert list(run.arrays) == [
        "net:input#0",
        "net.first:input#0",
        "net.first:output#0",
        "net.act:input#0",
        "net.act:output#0",
        "net.last:input#0",
        "net.last:output#0",
        "net:output#0",
    ]
    np.testing.assert_array_equal(run["net:input#0"], x)
    np.testing.assert_array_equal(run["net.last:output#0"], y)


def test_a_model_without_a_name_is_the_root(recording) -> None:
    model = Net()
    with recording(model, inputs=False) as run, torch.no_grad():
        model(torch.randn(1, 4))
    assert list(run.arrays) == [
        "first:output#0",
        "act:output#0",
        "last:output#0",
        "(root):output#0",
    ]


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("options", [{}, {"inputs": False}, {"operations": True}])
def test_the_run_computes_the_same_bits(recording, options: dict, grad: bool) -> None:
    model, x = Net(), torch.randn(3, 4)
    with torch.set_grad_enabled(grad):
        plain = model(x)
        with recording(model, **options) as run:
            recorded = model(x)
        assert torch.equal(plain, recorded)
        assert recorded.requires_grad is grad
    np.testing.assert_array_equal(run["(root):output#0"], plain.detach())


def test_gradients_are_those_of_an_unrecorded_run(recording) -> None:
    model, x = Net(), torch.randn(3, 4)
    model(x).sum().backward()
    expected = model.first.weight.grad.clone()
    model.zero_grad()
    with recording(model, operations=True):
        model(x).sum().backward()
    assert torch.equal(model.first.weight.grad, expected)


class Overlap(nn.Module):
    """Changes the output of its part in place, as streaming transposed convolutions do."""

    def __init__(self) -> None:
        super().__init__()
        self.convtr = nn.ConvTranspose1d(1, 1, 4, stride=2)

    def forward(self, x: torch.Tensor, history: torch.Tensor) -> torch.Tensor:
        y = self.convtr(x)
        y[..., :2] += history
        history[:] = y[..., -2:]
        return y[..., :-2]


@pytest.mark.parametrize("way", ["recording", "recording_in_memory"])
def test_a_result_changed_in_place_afterwards_is_recorded_as_it_was(way: str, request) -> None:
    model, x, history = Overlap(), torch.randn(1, 1, 3), torch.ones(1, 1, 2)
    with request.getfixturevalue(way)(model) as run, torch.no_grad():
        model(x, history)
        raw = model.convtr(x)
    np.testing.assert_array_equal(run["convtr:output#0"], raw)
    np.testing.assert_array_equal(run["(root):input.1#0"], torch.ones(1, 1, 2))


class Shared(nn.Module):
    """One module under many names, as the rotary embedding of all layers."""

    def __init__(self) -> None:
        super().__init__()
        self.rope = nn.Identity()
        self.layers = nn.ModuleList(nn.Module() for _ in range(3))
        for layer in self.layers:
            layer.rope = self.rope

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for number, layer in enumerate(self.layers):
            x = layer.rope(x + number)
        return x


def test_a_module_with_several_names_is_recorded_under_its_first_call_after_call(recording) -> None:
    model = Shared()
    with recording(model, inputs=False) as run:
        model(torch.zeros(1))
        model(torch.zeros(1))
    calls = [run[f"rope:output#{call}"].item() for call in range(6)]
    assert calls == [0, 1, 3, 0, 1, 3]
    assert not any("layers" in key for key in run.arrays)


class Keywords(nn.Module):
    def forward(self, *, sequence: torch.Tensor, text: torch.Tensor, temperature: float):
        return sequence * temperature, text > 0


def test_keyword_only_calls_and_empty_tensors_and_nan(recording) -> None:
    model = Keywords()
    start = torch.full((1, 1, 2), torch.nan)
    with recording({"lm": model}) as run:
        model(sequence=start, text=torch.empty(1, 0, 8), temperature=0.7)
    assert run["lm:input.text#0"].shape == (1, 0, 8)
    assert np.isnan(run["lm:input.sequence#0"]).all()
    assert run.records["lm:output#0"].statistics.nan_count == 2
    assert run["lm:output.1#0"].dtype == np.bool_
    assert list(run.arrays) == [
        "lm:input.sequence#0", "lm:input.text#0", "lm:output#0", "lm:output.1#0",
    ]  # fmt: skip


@dataclass
class Pair:
    left: torch.Tensor
    right: list[torch.Tensor]


class Nested(nn.Module):
    def forward(self, x: torch.Tensor, more: dict):
        return Pair(x, [x + 1, more["a"]]), {"deep": (x, (x * 2,))}, None, 3


def test_nested_arguments_and_results_get_slots(recording) -> None:
    model = Nested()
    with recording(model) as run:
        model(torch.zeros(1), {"a": torch.ones(1)})
    assert {key.partition(":")[2] for key in run.arrays} == {
        "input#0", "input.1.a#0",
        "output.0.left#0", "output.0.right.0#0", "output.0.right.1#0",
        "output.1.deep.0#0", "output.1.deep.1.0#0",
    }  # fmt: skip


def test_an_exception_leaves_no_trace_and_keeps_what_was_recorded(recording_in_memory) -> None:
    model = Net()
    with (
        pytest.raises(RuntimeError, match="shapes cannot be multiplied"),
        recording_in_memory(model),
    ):
        model(torch.randn(1, 5))
    assert no_wrapper_left(model)
    with recording_in_memory(model, inputs=False) as run:
        model(torch.randn(1, 4))
    assert "first:output#0" in run.arrays


def test_wrappers_are_gone_afterwards(recording) -> None:
    model = Net()
    with recording(model):
        assert not no_wrapper_left(model)
    assert no_wrapper_left(model)
    assert not model._forward_hooks


def test_a_second_recording_is_refused(recording, recording_in_memory) -> None:
    model = Net()
    with (
        recording(model) as run,
        pytest.raises(InputError, match="already running"),
        recording_in_memory(model),
    ):
        pass
    assert no_wrapper_left(model)
    assert run.arrays == {}


def test_what_hooks_of_others_return_is_what_is_recorded(recording) -> None:
    model = Net()
    handle = model.act.register_forward_hook(lambda *call: call[2] * 0)
    with recording(model, inputs=False) as run, torch.no_grad():
        model(torch.randn(1, 4))
    handle.remove()
    np.testing.assert_array_equal(run["act:output#0"], np.zeros((1, 4)))


def test_a_copy_made_meanwhile_is_a_model_of_its_own(recording) -> None:
    model, x = Net(), torch.randn(1, 4)
    with recording(model, inputs=False) as run, torch.no_grad():
        clone = copy.deepcopy(model)
        for parameter in clone.parameters():
            parameter.zero_()
        assert torch.equal(clone(x), torch.zeros(1, 4))
    assert run.arrays == {}


def test_the_fused_path_of_an_encoder_layer_is_kept(recording) -> None:
    """Forward hooks and function modes switch it off, which changes the rounding."""
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True).eval()
    x = torch.randn(2, 5, 16)
    with torch.inference_mode():
        plain = layer(x)
        with recording(layer, operations=True) as run:
            recorded = layer(x)
        handle = layer.linear1.register_forward_hook(lambda *_: None)
        hooked = layer(x)
        handle.remove()
    assert torch.equal(plain, recorded)
    np.testing.assert_array_equal(run["(root):output#0"], plain)
    # The planted fault: with hooks inside, the numbers are others, or at least the way is.
    assert not torch.equal(plain, hooked) or "linear1:output#0" not in run.arrays


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:FutureWarning")
def test_a_scripted_module_is_recorded_at_its_border(recording) -> None:
    model = torch.jit.script(Net())
    with recording({"net": model}, inputs=False) as run, torch.no_grad():
        y = model(torch.randn(1, 4))
    np.testing.assert_array_equal(run["net:output#0"], y)


def test_a_module_with_a_compiled_call_keeps_it(recording) -> None:
    model = Net()

    def compiled(x: torch.Tensor) -> torch.Tensor:
        return x * 2

    model._compiled_call_impl = compiled
    with recording(model, inputs=False) as run:
        model(torch.ones(1))
    assert run["(root):output#0"] == 2
    assert model._compiled_call_impl is compiled


def test_selection_by_class_depth_and_leaves(recording) -> None:
    model = nn.Sequential(Net(), nn.Sequential(nn.Linear(4, 4)))
    x = torch.randn(1, 4)

    def taken(**options) -> set[str]:
        with recording(model, inputs=False, **options) as run, torch.no_grad():
            model(x)
        return {key.partition(":")[0] for key in run.arrays}

    everything = {"0", "0.first", "0.act", "0.last", "1", "1.0", "(root)"}
    assert taken() == everything
    assert taken(classes=("Lin*", "SiLU")) == {"0.first", "0.last", "1.0", "0.act"}
    assert taken(depth=1) == {"0", "1", "(root)"}
    assert taken(depth=0) == {"(root)"}
    assert taken(leaves=True) == everything - {"0", "1", "(root)"}
    assert taken(plan=TapPlan(include=("0.*",), exclude=("*.act",))) == {"0.first", "0.last"}
    assert taken(plan=TapPlan(roles=frozenset({Role.STATE}))) == set()


@pytest.mark.parametrize("way", ["recording", "recording_in_memory"])
def test_selection_by_call_keeps_the_numbers(way: str, request) -> None:
    model = Net()
    with request.getfixturevalue(way)(model, plan=TapPlan(calls=(1, 3))) as run:
        for _ in range(4):
            model(torch.randn(1, 4))
    assert {key.rpartition("#")[2] for key in run.arrays} == {"1", "2"}


def test_something_else_than_a_module_is_refused(recording) -> None:
    with (
        pytest.raises(ConfigError, match=r"'net' is a list, not a torch\.nn\.Module"),
        recording({"net": []}),
    ):
        pass


def test_time_of_a_call_excludes_recording(recording, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return functional.relu(x)

    model = nn.Sequential(Slow(), Slow())
    real = recorder.as_array

    def slowly(leaf: object) -> np.ndarray:
        time.sleep(0.02)
        return real(leaf)

    monkeypatch.setattr(recorder, "as_array", slowly)
    with recording(model) as run:
        model(torch.zeros(1))
    durations = {key: record.duration_s for key, record in run.records.items()}
    assert 0 < durations["0:output#0"] < 0.01
    assert durations["0:output#0"] < durations["(root):output#0"] < 0.01


def test_parameters_are_recorded_by_digest(recording) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    with recording(model, params=True) as run:
        pass
    assert set(run.records) == {
        "0:param.weight#0", "0:param.bias#0", "1:param.weight#0", "1:param.bias#0",
        "1:param.running_mean#0", "1:param.running_var#0", "1:param.num_batches_tracked#0",
    }  # fmt: skip
    assert run.arrays == {}
    weight = run.records["0:param.weight#0"]
    assert (weight.tier, len(weight.digest)) == ("digest", 32)
    with torch.no_grad():
        model[0].weight[0, 0] += 1
    with recording(model, params=True) as again:
        pass
    changed = {
        key for key, record in run.records.items() if record.digest != again.records[key].digest
    }
    assert changed == {"0:param.weight#0"}


UNRECORDABLE = [torch.eye(2).to_sparse(), torch.empty(2, device="meta")]


@pytest.mark.parametrize("value", UNRECORDABLE, ids=["sparse", "meta"])
@pytest.mark.parametrize("way", ["recording", "recording_in_memory"])
def test_what_cannot_be_recorded_is_said_and_does_not_stop_the_run(way, request, value) -> None:
    model = nn.Identity()
    with request.getfixturevalue(way)({"m": model}, inputs=False) as run:
        assert model(value) is value
    assert list(run.recorder.skipped) == ["m:output"]
    assert run.arrays == {}
