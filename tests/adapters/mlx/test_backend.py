"""What the backend hears, and what it leaves as it was."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mlx.core", reason="there is no MLX here: pip install 'parity[mlx]'")

import ml_dtypes
import mlx.core as mx
import numpy as np
from adapters.mlx.conftest import EXAMPLES
from mlx import nn

import parity
from parity.backends import MemorySink
from parity.backends.conformance import BackendConformance, Subject
from parity.errors import BackendError, ConfigError, InputError
from parity.run import load_config, run
from parity.tensors import Case, TensorSpec
from parity_mlx import tapping
from parity_mlx.arrays import to_mlx, to_numpy
from parity_mlx.backend import MlxBackend
from parity_mlx.listening import modules_in

X = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
CASE = Case("short", arrays={"x": X})


class Base(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(3, 4)

    def __call__(self, x):
        return self.inner(x)


class Model(Base):
    """Calls its base class's call, returns several arrays, and runs a part twice."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
        self.parts = {"a": nn.Linear(4, 2), "b": [nn.Identity()]}

    def __call__(self, x):
        y = self.net(self.net(super().__call__(x)))
        return y, {"small": self.parts["a"](y), "rest": (self.parts["b"][0](y),)}


class TestMlxBackend(BackendConformance):
    def subject(self) -> Subject:
        return Subject(
            make=lambda: MlxBackend(program=Model),
            case=CASE,
            expected={"net.0:output": TensorSpec("float32", (2, 4))},
            bad_case=Case("bad", arrays={"x": X, "y": X}),
        )


def captured(program: Any, case: Case = CASE, **options: Any) -> MemorySink:
    sink = MemorySink()
    MlxBackend(program=program, **options).capture(case, sink.plan, sink)
    return sink


def test_every_call_is_heard_once_under_torchs_names() -> None:
    keys = [str(record.key) for record in captured(Model).records]
    once = ["net.0:output", "net.1:output", "net:output"]
    assert keys == [
        "inner:output#0",
        *(f"{name}#{call}" for call in (0, 1) for name in once),
        "parts.a:output#0",
        "parts.b.0:output#0",
        "(root):output#0",
        "(root):output.1.small#0",
        "(root):output.1.rest.0#0",
    ]


def test_a_prefix_comes_before_all_paths() -> None:
    paths = {record.key.path for record in captured(Model, prefix="port").records}
    assert {"port", "port.inner", "port.net.0"} <= paths


def test_classes_and_compilation_are_as_before() -> None:
    calls = [vars(kind).get("__call__") for kind in (Model, Base, nn.Linear, nn.Identity)]
    captured(Model)

    class Failing(Model):
        def __call__(self, x):
            raise KeyError("no")

    with pytest.raises(KeyError):
        captured(Failing)
    after = [vars(kind).get("__call__") for kind in (Model, Base, nn.Linear, nn.Identity)]
    assert after == calls
    traced = []
    twice = mx.compile(lambda x: traced.append(x) or x + 1)
    twice(mx.array(1)), twice(mx.array(1))
    assert len(traced) == 1  # compiled again, as it was


def test_what_is_compiled_is_heard_too() -> None:
    class Compiled(Base):
        def __call__(self, x):
            return mx.compile(super().__call__)(x)

    assert [record.key.path for record in captured(Compiled).records] == ["inner", "(root)"]


def test_other_models_of_the_same_classes_are_not_heard() -> None:
    other = Base()

    class Using(Base):
        def __call__(self, x):
            return super().__call__(x) + other(x)

    assert [record.key.path for record in captured(Using).records] == ["inner", "(root)"]


def test_a_module_held_twice_has_one_path() -> None:
    model = Base()
    model.again = model.inner
    assert sorted(path for _, path in modules_in(model).values()) == ["(root)", "inner"]


def test_channels_are_moved_where_torch_has_them_first() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2, 2), nn.LayerNorm(4), nn.ReLU()
    )
    case = Case("image", arrays={"x": np.ones((1, 3, 8, 10), np.float32)})
    sink = captured(model, case, inputs={"x": [0, 2, 3, 1]})
    shapes = {record.key.path: record.array.shape for record in sink.records}
    assert shapes["0"] == shapes["1"] == (1, 4, 6, 8)
    assert shapes["2"] == (1, 4, 3, 4)
    # A norm over the last axis is what torch has, too, and says nothing of what follows.
    assert shapes["3"] == shapes["4"] == (1, 3, 4, 4)
    assert sink.facts["remarks"] == "channels are moved from the last axis to the second at 0, 1, 2"
    kept = captured(model, case, inputs={"x": [0, 2, 3, 1]}, channels="keep")
    assert kept["0"].shape == (1, 6, 8, 4)
    assert "remarks" not in kept.facts


def test_modules_in_tuples_and_results_without_arrays_are_told() -> None:
    class Silent(nn.Module):
        def __call__(self, x):
            return None

    class Held(Base):
        def __init__(self) -> None:
            super().__init__()
            self.pair = (nn.Linear(4, 2), Silent())

        def __call__(self, x):
            x = super().__call__(x)
            self.pair[1](x=x)
            return self.pair[0](x)

    sink = captured(Held)
    assert [record.key.path for record in sink.records] == ["inner", "pair.0", "(root)"]
    assert sink.facts["skipped"] == "pair.1 (it returned a NoneType, in which is no array)"


def test_a_module_that_the_model_does_not_hold_is_told() -> None:
    class Fleeting(Base):
        def __call__(self, x):
            return nn.Linear(4, 2)(super().__call__(x))

    sink = captured(Fleeting)
    assert [record.key.path for record in sink.records] == ["inner", "(root)"]
    said = "a Linear that (root) calls (the model does not hold it, so that it has no path)"
    assert sink.facts["skipped"] == said


class Odd:
    """A program whose modules, or whose results, are no such things."""

    def __init__(self, **modules: object) -> None:
        self.modules = modules

    def run(self, case: Case) -> dict[str, object]:
        return {"list": [1, 2]}


def test_a_program_that_returns_no_array_is_an_error() -> None:
    with pytest.raises(BackendError, match="returned a list as 'list'; needed are arrays of MLX"):
        captured(Odd(base=Base()))


def test_what_a_dataclass_holds_is_recorded_under_its_fields() -> None:
    @dataclass
    class Result:
        y: mx.array
        cache: dict[str, mx.array]

    class Returning(Base):
        def __call__(self, x):
            y = super().__call__(x)
            return Result(y, {"keys": y + 1})

    keys = [str(record.key) for record in captured(Returning).records]
    assert keys == ["inner:output#0", "(root):output.y#0", "(root):output.cache.keys#0"]


def test_numbered_arrays_are_arguments_in_the_order_of_their_numbers() -> None:
    class Difference(nn.Module):
        def __call__(self, *x):
            return x[2] - x[10]

    arrays = {str(n): np.full((1, 2), n, np.float32) for n in (10, *range(10))}
    found = captured(Difference, Case("eleven", arrays=arrays))["(root)"]
    np.testing.assert_array_equal(found, [[-8, -8]])


class Residual(nn.Module):
    """A sum of its own, whose channels nobody follows."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(6, 6, 3, padding=1)

    def __call__(self, x):
        return x + self.conv(x)


@pytest.mark.parametrize("steps", [6, 9])
def test_a_square_result_that_is_not_followed_is_turned_by_its_values(
    tmp_path: Path, steps: int
) -> None:
    port = nn.Sequential(Residual(), nn.Conv1d(6, 4, 1))
    x = mx.random.normal((2, steps, 6), key=mx.random.key(0))
    with parity.record(tmp_path / "port.h5"), tapping(port):
        y = port.layers[0](x)
        port.layers[1](y)
    first = {"0": np.array(y).transpose(0, 2, 1)}
    result = parity.diff(first, tmp_path / "port.h5")
    assert result.outcome == "holds"
    words = "candidate's 0 transposed by (0, 2, 1) into the reference's order of axes"
    assert any(note.startswith(words) for note in result.notes)
    assert any("channels are moved from the last axis" in note for note in result.notes)
    # What is in neither order is a difference.
    wrong = parity.diff({"0": first["0"][::-1].copy()}, tmp_path / "port.h5")
    assert wrong.outcome == "broken"


def test_one_line_records_a_port_in_place(tmp_path: Path) -> None:
    model = Model()
    with parity.record(tmp_path / "port.h5"), tapping(model):
        model(mx.array(X))
    with parity.open(tmp_path / "port.h5") as capture:
        assert "net.0" in capture
        expected = np.array(model.inner(mx.array(X)))
        np.testing.assert_array_equal(capture["inner"].output[0], expected)
        assert capture.meta.framework == "mlx"
        assert "mlx" in capture.meta.versions
    with tapping(model):
        model(mx.array(X))  # nothing is recorded where no recording is on


@pytest.mark.parametrize(
    "array",
    [np.arange(3.0), np.array([1, -2], ml_dtypes.bfloat16), np.float16([np.nan, -0.0]),
     np.zeros((0, 2), np.int32), np.array(3, np.int64), np.array([True])],
    ids=lambda array: str(array.dtype),
)  # fmt: skip
def test_arrays_keep_their_bits(array: np.ndarray) -> None:
    back = to_numpy(to_mlx(array))
    assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, array.shape, array.tobytes())


@pytest.mark.parametrize(
    ("program", "options", "error", "match"),
    [
        (3, {}, BackendError, "is a int; needed is an mlx.nn.Module"),
        (Odd(), {}, BackendError, "is a Odd; needed is an mlx.nn.Module"),
        (Odd(net=3), {}, BackendError, "from names to such modules"),
        ("nowhere:model", {}, BackendError, "nowhere"),
        (Model, {"depth": 3}, ConfigError, "the program does not take these options"),
        (Model(), {"depth": 3}, ConfigError, "takes no options; got depth"),
    ],
)
def test_unusable_programs_are_errors(
    program: Any, options: dict[str, Any], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        MlxBackend(program=program, **options)


@pytest.mark.parametrize(
    ("inputs", "match"),
    [
        ({"y": [0, 1]}, "the case has no array 'y'"),
        ({"x": [0, 2]}, "order of the 2 axes of 'x'"),
    ],
)
def test_unusable_inputs_are_errors(inputs: dict[str, list[int]], match: str) -> None:
    with pytest.raises(InputError, match=match):
        captured(Model, inputs=inputs)


def test_the_example_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from shutil import copytree

    result = run(load_config(Path(copytree(EXAMPLES, tmp_path / "example")) / "parity.toml"))
    clean, groups = (comparison.diff for comparison in result.comparisons)
    assert clean is not None
    assert clean.outcome == "holds"
    assert groups is not None
    assert groups.first_divergence is not None
    assert groups.first_divergence.key.path == "norm"
