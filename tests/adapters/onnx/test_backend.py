"""What the backend does with a graph: names, batches, types, what cannot be had."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from adapters.onnx.small import CASE, small_model
from onnx import TensorProto, helper

from parity.backends import MemorySink
from parity.errors import BackendError, ConfigError, InputError
from parity.tensors import Case, TapPlan
from parity_onnx.backend import OnnxBackend
from parity_onnx.names import names_path

X = CASE.arrays["x"]


def captured(model: Path, case: Case = CASE, plan: TapPlan | None = None, **options: Any):
    sink = MemorySink(plan)
    OnnxBackend(model=model, **options).capture(case, sink.plan, sink)
    return sink


def test_node_names_become_paths(tmp_path: Path) -> None:
    sink = captured(small_model(tmp_path))
    paths = [record.key.path for record in sink.records]
    assert paths == ["encoder.linear", "encoder.norm", "encoder", "gate", "(root)"]
    np.testing.assert_allclose(sink["encoder.norm"], np.sqrt(np.abs(X @ np.full((3, 3), 0.5))))
    assert sink.facts["names"] == "the names of the nodes"


def test_of_several_values_that_leave_a_module_none_is_guessed(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Abs", ["x"], ["one"], "/block/Abs"),
        helper.make_node("Sqrt", ["one"], ["two"], "/block/Sqrt"),
        helper.make_node("Add", ["one", "two"], ["y"], "/Add"),
    ]
    ends = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3]) for name in "xy")
    graph = helper.make_graph(nodes, "two", [next(ends)], [next(ends)])
    opset = [helper.make_opsetid("", 18)]
    path = tmp_path / "two.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), str(path))
    sink = captured(path)
    assert [record.key.path for record in sink.records] == ["(root)"]
    assert "block (2 of its values are used outside it (one, two)" in sink.facts["skipped"]
    told = captured(path, names={"one": "block:1", "two": "block"})
    assert [record.key.port for record in told.records] == ["output.1", "output", "output"]


def test_what_the_configuration_names_goes_before_what_the_model_says(tmp_path: Path) -> None:
    sink = captured(small_model(tmp_path), names={"scaled": "encoder.norm"})
    values = {record.key.path: record.array for record in sink.records}
    assert set(values) == {"encoder.linear", "encoder.norm", "encoder", "gate", "(root)"}
    np.testing.assert_array_equal(values["encoder.norm"], values["encoder.linear"])
    assert sink.facts["names"] == "the configuration, the names of the nodes"
    with pytest.raises(ConfigError, match="'scaled' and 'grown' cannot both be a"):
        captured(small_model(tmp_path), names={"scaled": "a", "grown": "a"})


def test_what_is_no_tensor_is_reported(tmp_path: Path) -> None:
    sink = captured(small_model(tmp_path))
    assert sink.facts["skipped"] == "pair (its value is a list, no tensor)"


def test_a_value_inside_a_branch_is_reported(tmp_path: Path) -> None:
    names = {"then": "gate.negated", "chosen": "gate", "nowhere": "lost"}
    sink = captured(small_model(tmp_path), names=names)
    assert [record.key.path for record in sink.records][-2:] == ["gate", "(root)"]
    assert str(sink.facts["skipped"]).startswith(
        "gate.negated (made in the body of a loop or branch); "
        "lost (the model has no value 'nowhere')"
    )


def test_a_value_that_cannot_be_given_out_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from parity_onnx import model as module

    session = module.Model.session

    def refusing(self: Any, runtime: Any, more: Any = ()) -> Any:
        if "positive" in more:
            raise BackendError("no such output")
        return session(self, runtime, more)

    monkeypatch.setattr(module.Model, "session", refusing)
    plain = captured(small_model(tmp_path), taps="all")
    assert "encoder.norm::positive (no such output)" not in plain.facts["skipped"]
    said = plain.facts["skipped"]
    assert "::positive (no such output)" in said
    # Everything else of its batch is there all the same.
    assert {"encoder", "encoder.norm", "gate"} <= {r.key.path for r in plain.records}


@pytest.mark.parametrize("batch", [1, 2, 40])
def test_batches_change_nothing(tmp_path: Path, batch: int) -> None:
    whole, parts = captured(small_model(tmp_path)), captured(small_model(tmp_path), batch=batch)
    assert [r.key for r in whole.records] == [r.key for r in parts.records]
    for one, other in zip(whole.records, parts.records, strict=True):
        np.testing.assert_array_equal(one.array, other.array)


def test_external_data_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_model(tmp_path, external=True)
    assert (tmp_path / "small.data").stat().st_size >= 36
    monkeypatch.chdir("/")
    np.testing.assert_allclose(captured(model)["encoder.linear"], X @ np.full((3, 3), 0.5))
    (tmp_path / "small.data").unlink()
    with pytest.raises(BackendError, match=r"small\.onnx: ONNX Runtime does not load it"):
        captured(model)


def test_the_untouched_output_is_recorded_and_a_changed_one_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from parity_onnx.model import Session

    run = Session.run

    def other_fusion(self: Session, feeds: Any) -> dict[str, Any]:
        made = run(self, feeds)
        return made if len(made) == 1 else made | {"joined": made["joined"] * np.float32(1.001)}

    plain = captured(small_model(tmp_path))["(root)"]
    monkeypatch.setattr(Session, "run", other_fusion)
    sink = captured(small_model(tmp_path))
    np.testing.assert_array_equal(sink["(root)"], plain)
    assert "the model's own outputs (joined by 1.0e-03 of their size)" in sink.facts["remarks"]


def test_an_output_that_turns_nan_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from parity_onnx.model import Session

    run = Session.run

    def failing_fusion(self: Session, feeds: Any) -> dict[str, Any]:
        made = run(self, feeds)
        return made if len(made) == 1 else made | {"joined": made["joined"] * np.float32("nan")}

    monkeypatch.setattr(Session, "run", failing_fusion)
    said = captured(small_model(tmp_path)).facts["remarks"]
    assert "the model's own outputs (joined by nan of their size)" in said


def test_a_model_that_names_no_module_says_what_to_do(tmp_path: Path) -> None:
    model = small_model(tmp_path)
    proto = onnx.load(str(model))
    for number, node in enumerate(proto.graph.node):
        node.name = f"fused/node_{number}"  # as optimisers write them: no path of modules
    onnx.save(proto, str(model))
    sink = captured(model)
    assert [record.key.path for record in sink.records] == ["(root)"]
    assert "says which module its values are of, so only its outputs" in sink.facts["remarks"]
    assert "remarks" not in captured(model, names="none").facts


def test_a_prefix_is_what_the_reference_calls_the_model(tmp_path: Path) -> None:
    sink = captured(
        small_model(tmp_path), prefix="net", plan=TapPlan(include=("net.encoder", "net"))
    )
    assert [record.key.path for record in sink.records] == ["net.encoder", "net"]


def test_a_file_of_names_says_slots_and_calls(tmp_path: Path) -> None:
    model = small_model(tmp_path)
    named = [
        {"value": "scaled", "path": "a", "slot": "1", "call": 0},
        {"value": "normed", "path": "a", "slot": "1", "call": 1},
    ]
    file = {"format": "parity-onnx-names", "version": 1, "named": named}
    names_path(model).write_text(json.dumps(file))
    assert [str(r.key) for r in captured(model).records][:2] == ["a:output.1#0", "a:output.1#1"]
    table = captured(model, names={"scaled": "a:1", "normed": "a:1#1"})
    assert [str(r.key) for r in table.records][:2] == ["a:output.1#0", "a:output.1#1"]
    twice = captured(model, driver=lambda run, case: [run(case.arrays) for _ in range(2)])
    assert [r.key.call for r in twice.records if r.key.path == "a"] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("text", "match"),
    [("{}", "no map of names can be read from it"), ("[", "no map of names can be read from it"),
     ('{"format": "x", "version": 1, "named": []}', "a x of version 1")],
)  # fmt: skip
def test_a_broken_file_of_names_is_an_error(tmp_path: Path, text: str, match: str) -> None:
    model = small_model(tmp_path)
    names_path(model).write_text(text)
    with pytest.raises(InputError, match=match):
        captured(model)


def test_inputs_are_cast_within_their_kind_only(tmp_path: Path) -> None:
    sink = captured(small_model(tmp_path), Case("double", arrays={"x": X.astype(np.float64)}))
    assert sink.facts["remarks"] == "x is cast from float64 to float32"
    with pytest.raises(InputError, match="'x' is complex64, and the model takes float32"):
        captured(small_model(tmp_path), Case("complex", arrays={"x": X.astype(np.complex64)}))


def test_a_case_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"case two: the model takes x; the case has a, b"):
        captured(small_model(tmp_path), Case("two", arrays={"a": X, "b": X}))
    with pytest.raises(BackendError, match="does not run it"):
        captured(small_model(tmp_path), Case("long", arrays={"x": np.ones((2, 5), np.float32)}))


def test_a_driver_must_do_the_same_each_time(tmp_path: Path) -> None:
    times = iter(range(1, 9))

    def more_and_more(run: Any, case: Case) -> None:
        for _ in range(next(times)):
            run(case.arrays)

    with pytest.raises(BackendError, match="it ran the model 1 times, and then 2 times"):
        captured(small_model(tmp_path), driver=more_and_more)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"model": "none.onnx"}, InputError, "no ONNX model can be read from it"),
        ({"providers": "TpuExecutionProvider"}, ConfigError, "no execution provider 'Tpu"),
        ({"optimization": "much"}, ConfigError, "there is no optimization 'much'"),
        ({"taps": "few"}, ConfigError, "there is no choice 'few'"),
        ({"threads": "two"}, ConfigError, "not a whole number: 'two'"),
        ({"batch": 0}, ConfigError, "needs at least 1, got 0"),
        ({"names": "metadata"}, ConfigError, "the model has no metadata of torch"),
        ({"names": {"scaled": "a#b"}}, ConfigError, "'b' is no number of a call"),
        ({"driver": "nowhere:drive"}, BackendError, "nowhere"),
    ],
)
def test_unusable_options_are_errors(
    tmp_path: Path, options: dict[str, Any], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        OnnxBackend(**{"model": small_model(tmp_path)} | options)


def test_a_file_that_is_no_model_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    for content in (b"", b"not a model", small_model(tmp_path).read_bytes()[:100]):
        path.write_bytes(content)
        with pytest.raises((InputError, BackendError), match="ONNX"):
            OnnxBackend(model=path)


def test_a_model_that_takes_a_list_is_an_error(tmp_path: Path) -> None:
    node = helper.make_node("ConcatFromSequence", ["x"], ["y"], axis=0)
    given = helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, None)
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    path = tmp_path / "list.onnx"
    onnx.save(helper.make_model(helper.make_graph([node], "list", [given], [made])), str(path))
    with pytest.raises(InputError, match="its input 'x' is no tensor"):
        OnnxBackend(model=path)


def test_functions_that_call_themselves_are_an_error(tmp_path: Path) -> None:
    opset = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    again = helper.make_node("F", ["a"], ["b"], domain="own")
    function = helper.make_function("own", "F", ["a"], ["b"], [again], opset)
    ends = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "ab")
    graph = helper.make_graph([again], "again", [next(ends)], [next(ends)])
    path = tmp_path / "again.onnx"
    model = helper.make_model(graph, opset_imports=opset, functions=[function], ir_version=9)
    onnx.save(model, str(path))
    with pytest.raises(InputError, match="must not be recursive"):
        OnnxBackend(model=path)


def test_local_functions_are_opened(tmp_path: Path) -> None:
    body = [
        helper.make_node("Abs", ["a"], ["b"], "/inner/Abs"),
        helper.make_node("Sqrt", ["b"], ["c"], "/inner/Sqrt"),
    ]
    opset = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    function = helper.make_function("own", "Root", ["a"], ["c"], body, opset[:1])
    graph = helper.make_graph(
        [helper.make_node("Root", ["x"], ["y"], "/Root", domain="own")],
        "outer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 3])],
    )
    model = helper.make_model(graph, opset_imports=opset, functions=[function], ir_version=9)
    path = tmp_path / "functions.onnx"
    onnx.save(model, str(path))
    sink = captured(path, taps="all")
    assert any(np.array_equal(record.array, np.abs(X)) for record in sink.records)
