from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from torch import nn

from parity.backends import MemorySink, load
from parity.errors import BackendError, ConfigError, InputError, NoiseTapeError
from parity.tensors import Case, NoiseDraw, Role, TapPlan
from parity_torch.backend import TorchBackend
from parity_torch.module_program import ModuleProgram, to_torch

ONES = Case("short", arrays={"x": np.ones((2, 4), np.float32)}, seed=3)
THREE = Case("three", arrays={"x": np.arange(6, dtype=np.float32).reshape(2, 3)}, seed=3)


def capture(
    program: Any, case: Case = ONES, plan: TapPlan | None = None, **options: Any
) -> MemorySink:
    sink = MemorySink(plan)
    TorchBackend(program=program, **options).capture(case, sink.plan, sink)
    return sink


def outputs(sink: MemorySink) -> list[str]:
    return [str(one.key) for one in sink.records if one.key.role is Role.OUTPUT]


@pytest.mark.parametrize("attribute", ["make", "READY"])
def test_a_plain_module_needs_nothing_else(models: str, attribute: str) -> None:
    sink = capture(f"{models}:{attribute}")
    assert outputs(sink) == ["0:output#0", "1:output#0", "2:output#0", "(root):output#0"]
    assert sink.facts["framework"] == "torch"
    assert sink.facts["framework_version"] == torch.__version__
    assert sink.facts["implementation"] == "Sequential"
    assert sink.facts["precision"] == "float32"
    assert sink.facts["threads"] == 1


def test_it_computes_what_the_module_computes(models: str) -> None:
    module = nn.Sequential(nn.Linear(4, 2))
    expected = module(torch.ones(2, 4)).detach().numpy()
    assert np.array_equal(capture(module)["(root)"], expected)


def test_options_of_the_program_are_passed_on(models: str) -> None:
    sink = capture(f"{models}:make", width=6, bias=False)
    assert sink["0"].shape == (2, 6)
    assert load("torch", {"program": f"{models}:make", "width": "6"}).name == "torch"


def test_weights_drawn_by_a_factory_are_the_same_each_time(models: str) -> None:
    torch.manual_seed(1)
    first = capture(f"{models}:make")["(root)"]
    before = torch.random.get_rng_state()
    assert np.array_equal(first, capture(f"{models}:make")["(root)"])
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_seed_decides_the_draws_and_the_generator_is_left_alone(models: str) -> None:
    backend = TorchBackend(program=f"{models}:Noisy")
    before = torch.random.get_rng_state()
    runs = []
    for seed in (1, 1, 2):
        sink = MemorySink()
        backend.capture(Case("a", arrays=THREE.arrays, seed=seed), TapPlan(), sink)
        runs.append(sink)
    assert np.array_equal(runs[0]["(root)"], runs[1]["(root)"])
    assert not np.array_equal(runs[0]["(root)"], runs[2]["(root)"])
    assert len(runs[0].draws) == 2  # and no dropout: the module is in evaluation mode
    assert torch.equal(before, torch.random.get_rng_state())


def test_noise_is_replayed_whatever_the_seed(models: str) -> None:
    first = capture(f"{models}:Noisy", THREE)
    other = Case("a", arrays=THREE.arrays, seed=9).with_noise(tuple(first.draws))
    assert np.array_equal(first["(root)"], capture(f"{models}:Noisy", other)["(root)"])
    with pytest.raises(NoiseTapeError, match="draws more than the tape holds"):
        capture(f"{models}:Noisy", other.with_noise(tuple(first.draws[:1])))


def test_a_program_may_take_the_noise_from_the_case(models: str) -> None:
    draw = NoiseDraw(np.array([5.0], np.float32), "normal")
    sink = capture(f"{models}:TakesNoiseItself", Case("a").with_noise((draw,)))
    assert sink["drawn"].tolist() == [5.0]


def test_a_program_has_phases_steps_functions_taps_and_outputs(models: str) -> None:
    sink = capture(f"{models}:Counter", THREE, precision="float32")
    assert outputs(sink) == [
        "core:output@prompt#0",
        "core:output@prompt#1",
        "core:output@decode#0",
        "torch_models.double:output@decode#0",
        "waveform:output#0",
        "count:output#0",
    ]
    steps = [one.step for one in sink.records if str(one.key).startswith("core:output")]
    assert steps == [0, 1, -1]
    assert "explicit:tap@decode#0" in {str(one.key) for one in sink.records}
    assert sink.facts["implementation"] == "counter"
    assert np.array_equal(sink["waveform"], sink["explicit"])


def test_a_program_needs_only_a_method_run(models: str) -> None:
    sink = capture(f"{models}:Bare")
    assert [str(one.key) for one in sink.records] == ["only:tap#0"]
    assert sink.facts["implementation"] == "Bare"


def test_gradients_are_off_and_threads_are_set_and_both_restored(models: str) -> None:
    before = torch.get_num_threads()
    backend = TorchBackend(program=f"{models}:Counter", threads="2")
    backend.capture(THREE, TapPlan(), MemorySink())
    program: Any = backend._program._program  # type: ignore[attr-defined]
    assert program.threads == 2
    assert not program.grad
    assert torch.get_num_threads() == before
    assert torch.is_grad_enabled()


def test_all_is_restored_after_a_program_that_fails(models: str) -> None:
    before = (torch.get_num_threads(), torch.random.get_rng_state().sum())
    with pytest.raises(RuntimeError, match="inconsistent tensor size"):
        capture(f"{models}:Fails", threads=2)
    assert before == (torch.get_num_threads(), torch.random.get_rng_state().sum())
    assert outputs(capture(f"{models}:make"))


def test_operations_states_and_parameters_are_options(models: str) -> None:
    paths = {one.key.path for one in capture(f"{models}:Noisy", THREE, operations="add").records}
    assert any("add" in path for path in paths)
    roles = {one.key.role for one in capture(f"{models}:make", params="false").records}
    assert Role.PARAM not in roles
    assert Role.PARAM in {one.key.role for one in capture(f"{models}:make").records}
    assert TorchBackend(program=f"{models}:make", states="yes").capabilities().states
    assert not TorchBackend(program=f"{models}:make").capabilities().states


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"tap_classes": "Linear,GELU"}, ["0", "1", "2"]),
        ({"tap_classes": ["*elu", "GE*"]}, ["1"]),
        ({"tap_depth": "0"}, ["(root)"]),
        ({"tap_leaves": "true"}, ["0", "1", "2"]),
        ({}, ["0", "1", "2", "(root)"]),
    ],
)
def test_modules_are_selected_by_class_depth_and_leaf(
    models: str, options: dict[str, Any], expected: list[str]
) -> None:
    sink = capture(f"{models}:make", plan=TapPlan(roles=frozenset({Role.OUTPUT})), **options)
    assert [record.key.path for record in sink.records] == expected


def test_what_could_not_be_recorded_is_said() -> None:
    class Sparse(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.to_sparse()

    sink = capture(Sparse())
    assert "(root):output (torch.sparse_coo layout)" in str(sink.facts["skipped"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threads": "many"}, "threads: not a whole number: 'many'"),
        ({"threads": 0}, "threads: needs at least 1, got 0"),
        ({"tap_depth": -1}, "tap_depth: needs at least 0, got -1"),
        ({"states": "perhaps"}, "states: neither true nor false: 'perhaps'"),
        ({"widht": 3}, r"make does not take these options: .*'widht'"),
    ],
)
def test_options_that_cannot_be_used(models: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TorchBackend(program=f"{models}:make", **options)


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("mkae", r"has no attribute 'mkae'(?s:.*)did you mean 'make'\?"),
        ("NUMBER", "gives a int; needed is a torch.nn.Module or an object with a method run"),
        ("number", "gives a int; needed is a torch.nn.Module"),
        ("BadPhases", "its attribute 'phases' is a list, not a mapping"),
    ],
)
def test_programs_that_cannot_be_used(models: str, attribute: str, message: str) -> None:
    with pytest.raises(BackendError, match=message):
        TorchBackend(program=f"{models}:{attribute}")


def test_a_type_error_inside_a_factory_is_not_taken_for_a_wrong_option(models: str) -> None:
    with pytest.raises(TypeError, match="has no len"):
        TorchBackend(program=f"{models}:stumbling")


def test_an_object_takes_no_options(models: str) -> None:
    with pytest.raises(ConfigError, match="is an object and takes no options; got width"):
        TorchBackend(program=f"{models}:READY", width=3)


def test_outputs_must_have_names(models: str) -> None:
    with pytest.raises(BackendError, match=r"run\(case\) returned a Tensor, not a mapping"):
        capture(f"{models}:ReturnsATensor")


def test_arrays_by_name_by_position_and_alone() -> None:
    class Two(nn.Module):
        def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
            return left - right

    left, right = np.full(2, 5, np.float32), np.ones(2, np.float32)
    assert capture(Two(), Case("a", arrays={"right": right, "left": left}))["(root)"][0] == 4
    assert capture(Two(), Case("a", arrays={"1": right, "0": left}))["(root)"][0] == 4
    assert capture(nn.Identity(), Case("a", arrays={"anything": left}))["(root)"][0] == 5


@pytest.mark.parametrize("name", ["ids", "anything"])
def test_an_array_alone_goes_to_a_parameter_that_takes_keywords_only(name: str) -> None:
    class KeywordOnly(nn.Module):
        def forward(self, *, ids: torch.Tensor, cache: torch.Tensor | None = None) -> torch.Tensor:
            assert cache is None
            return ids + 1

    assert capture(KeywordOnly(), Case("a", arrays={name: np.ones(2)}))["(root)"][0] == 2


def test_inputs_go_by_name_too() -> None:
    class Scaled(nn.Module):
        def forward(self, x: torch.Tensor, *, scale: float = 1.0) -> torch.Tensor:
            return x * scale

    case = Case("a", inputs={"scale": 3}, arrays={"x": np.ones(2, np.float32)})
    assert capture(Scaled(), case)["(root)"][0] == 3
    wrong = Case("a", inputs={"sclae": 3}, arrays=case.arrays)
    with pytest.raises(InputError, match=r"Scaled.forward has no parameter 'sclae'; it has: x, s"):
        capture(Scaled(), wrong)
    with pytest.raises(InputError, match="has no parameter 'y'"):
        capture(Scaled(), Case("a", arrays={"x": np.ones(2), "y": np.ones(2)}))


@pytest.mark.parametrize(
    "array",
    [
        np.array(3.5, np.float32),
        np.array([[1, 2]], np.int64).T,
        np.array([1.5, -2.0], ml_dtypes.bfloat16),
        np.array([True]),
        np.empty((0, 3), np.float16),
    ],
)
def test_arrays_become_tensors_of_their_own_with_the_same_bits(array: Any) -> None:
    tensor = to_torch(array)
    assert tuple(tensor.shape) == array.shape
    assert str(tensor.dtype) == f"torch.{array.dtype.name}"
    bits = tensor.view(torch.int16).numpy() if tensor.dtype == torch.bfloat16 else tensor.numpy()
    assert bits.tobytes() == array.tobytes()
    tensor.zero_()
    assert array.size == 0 or array.any()


def test_a_module_is_put_into_evaluation_mode() -> None:
    module = nn.Dropout(0.5).train()
    ModuleProgram(module)
    assert not module.training


def test_the_program_is_found_in_the_folder_that_is_named(tmp_path: Any) -> None:
    (tmp_path / "port").mkdir()
    (tmp_path / "port" / "torch_elsewhere.py").write_text(
        "from torch import nn\ndef make():\n    return nn.Identity()\n"
    )
    assert outputs(capture("torch_elsewhere:make", python_path=tmp_path / "port"))
