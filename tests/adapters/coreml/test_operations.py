"""Each operation with random arguments against torch, and against coremltools' own folding."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings

from parity.errors import BackendError, InputError
from parity_coreml.mil import HANDLERS, Evaluator
from parity_coreml.mil.evaluator import UnsupportedOperationError
from parity_coreml.mil.inference import infer
from parity_coreml.operations import Known, operations, operations_to_text
from parity_coreml.quiet import coremltools, quietly
from tests_coreml_ops import CASES, Call

TYPES = {torch.float32: "fp32", torch.int32: "int32", torch.bool: "bool", torch.int8: "int8"}
# What coremltools 9.0 folds otherwise than it documents: whatever the mode of a scatter along an
# axis, it puts the updates; and an interleaved concatenation comes out as a plain one.
FOLDS_WRONGLY = {"scatter_along_axis": "mode", "concat": "interleave"}


def function_of(kind: str, call: Call) -> Any:
    """A MIL function that holds the one operation."""
    coremltools()
    from coremltools.converters.mil.mil import Builder as mb  # noqa: N813
    from coremltools.converters.mil.mil import Function, types

    kinds = {"fp32": types.fp32, "int32": types.int32, "bool": types.bool, "int8": types.int8}
    inputs, arguments = {}, {}
    for name, given_ in call.tensors.items():
        several = given_ if isinstance(given_, tuple) else (given_,)
        names = [f"{name}_{place}" for place in range(len(several))]
        for each, tensor in zip(names, several, strict=True):
            inputs[each] = mb.placeholder(tuple(tensor.shape), dtype=kinds[TYPES[tensor.dtype]])
        arguments[name] = names
    with quietly(), Function(inputs, opset_version=coremltools().target.iOS18) as function:
        found = {
            name: (tuple if isinstance(call.tensors[name], tuple) else _first)(
                function.inputs[each] for each in names
            )
            for name, names in arguments.items()
        }
        made = getattr(mb, kind)(**found, **call.params)
        function.set_outputs(list(made) if isinstance(made, list | tuple) else [made])
    return function


def _first(values: Any) -> Any:
    return next(iter(values))


def flat_inputs(call: Call) -> dict[str, torch.Tensor]:
    return {
        f"{name}_{place}": tensor
        for name, given_ in call.tensors.items()
        for place, tensor in enumerate(given_ if isinstance(given_, tuple) else (given_,))
    }


@pytest.mark.parametrize("kind", sorted(CASES))
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_an_operation_computes_what_torch_computes(kind, data):
    call = CASES[kind](data.draw)
    function = function_of(kind, call)
    (operation,) = (each for each in function.operations if each.op_type == kind)
    run = Evaluator(function).run(flat_inputs(call))
    expected = call.expected if isinstance(call.expected, tuple) else (call.expected,)
    for variable, wanted in zip(operation.outputs, expected, strict=True):
        made = run.values[variable.name]
        assert made.shape == wanted.shape
        torch.testing.assert_close(made.double(), wanted.double(), rtol=2e-6, atol=2e-6)
    folded = _folded(operation, call)
    for variable, second in zip(operation.outputs, folded, strict=bool(folded)):
        made = run.values[variable.name].double()
        torch.testing.assert_close(made, second.double().reshape(made.shape), rtol=1e-5, atol=1e-5)


def _folded(operation: Any, call: Call) -> tuple[torch.Tensor, ...]:
    if call.params.get(FOLDS_WRONGLY.get(operation.op_type, ""), "update") != "update":
        return ()
    known = flat_inputs(call)

    def looked_up(variable: Any) -> Any:
        from parity_coreml.mil.values import to_value

        return to_value(known[variable.name].clone() if variable.name in known else variable.val)

    with np.errstate(all="ignore"):
        made = infer(operation, looked_up)
    if made is None:
        return ()
    return made if isinstance(made, tuple) else (made,)


def test_every_handler_has_a_case():
    assert set(HANDLERS) - set(CASES) == {"reshape_like"}


def test_at_least_115_of_127_operations_of_the_frontend_are_computed():
    found = operations()
    computed = [each for each in found if each.known is not Known.UNSUPPORTED]
    assert len(found) >= 127
    assert len(computed) >= 115
    left = {each.kind for each in found} - {each.kind for each in computed}
    assert left == {
        "non_maximum_suppression",
        "random_categorical",
        "random_normal",
        "random_uniform",
    }


def test_the_table_says_how_each_is_computed():
    text = operations_to_text()
    assert "gelu" in text
    assert "unsupported" in text


def test_an_operation_without_a_handler_is_folded(monkeypatch):
    monkeypatch.delitem(HANDLERS, "sinh")
    x = torch.tensor([[0.5, -1.0]])
    function = function_of("sinh", Call({"x": x}, None))
    run = Evaluator(function).run({"x_0": x})
    torch.testing.assert_close(run.values[run.outputs[0]], torch.sinh(x))
    assert set(run.inferred.values()) == {"sinh"}


def test_an_unknown_operation_is_named_with_what_to_do(monkeypatch):
    monkeypatch.delitem(HANDLERS, "silu")
    x = torch.ones(1, 2)
    function = function_of("silu", Call({"x": x}, None))
    with pytest.raises(UnsupportedOperationError, match=r"silu.*\n.*handles") as caught:
        Evaluator(function).run({"x_0": x})
    assert isinstance(caught.value, BackendError)


def test_a_draw_is_to_be_made_an_input():
    call = Call({"shape": torch.tensor([2, 2], dtype=torch.int32)}, None)
    with pytest.raises(UnsupportedOperationError, match="make the draw an input"):
        Evaluator(function_of("random_normal", call)).run(flat_inputs(call))


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({"y": torch.ones(1, 2)}, "the program takes x_0; got y"),
        ({"x_0": torch.ones(2, 2)}, r"takes \[1, 2\], got \[2, 2\]"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(inputs, says):
    function = function_of("silu", Call({"x": torch.ones(1, 2)}, None))
    with pytest.raises(InputError, match=says):
        Evaluator(function).run(inputs)


def test_loops_and_branches_run_their_blocks():
    ct = coremltools()
    from coremltools.converters.mil.mil import Builder as mb  # noqa: N813
    from coremltools.converters.mil.mil import Function, types

    inputs = {"n": mb.placeholder((1,), dtype=types.int32), "x": mb.placeholder((2,))}
    with quietly(), Function(inputs, opset_version=ct.target.iOS18) as function:
        n, x = mb.squeeze(x=function.inputs["n"]), function.inputs["x"]
        count, total = mb.while_loop(
            _cond=lambda i, _: mb.less(x=i, y=n),
            _body=lambda i, y: (mb.add(x=i, y=1), mb.add(x=y, y=x)),
            loop_vars=(0, np.zeros(2, np.float32)),
        )
        small = mb.less(x=count, y=3)
        chosen = mb.cond(
            pred=small,
            _true_fn=lambda: mb.mul(x=total, y=10.0),
            _false_fn=lambda: mb.identity(x=total),
        )
        function.set_outputs([chosen])
    evaluator, x_value = Evaluator(function), torch.tensor([1.0, -2.0])
    for turns, factor in ((2, 20.0), (4, 4.0)):
        run = evaluator.run({"n": torch.tensor([turns]), "x": x_value})
        torch.testing.assert_close(run.values[run.outputs[0]], factor * x_value)
