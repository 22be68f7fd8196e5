"""Functional operations, which module calls do not show."""

import inspect
import threading

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from parity.capture.operations import operation_name
from parity.tensors import TapPlan


class Attention(nn.Module):
    """All the things that a module hook does not see."""

    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Linear(4, 12)
        self.out = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor, cache: torch.Tensor) -> torch.Tensor:
        q, k, v = self.proj(x).chunk(3, dim=-1)
        cache[:, 1:2] = k
        y = functional.scaled_dot_product_attention(
            q, torch.cat([cache, k], dim=1), torch.cat([cache, v], 1)
        )
        y = x + functional.gelu(self.out(y))
        y += 1
        return x + y


@pytest.fixture
def attention() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    return Attention(), torch.randn(1, 1, 4), torch.full((1, 2, 4), torch.nan)


def test_operations_are_named_after_their_module_and_counted_within_a_call(
    attention, recording
) -> None:
    model, x, cache = attention
    with recording({"attn": model}, operations=True, inputs=False) as run, torch.no_grad():
        model(x, cache)
        model(x, cache)
    names = [key.removeprefix("attn") for key in run.arrays if key.endswith("#0")]
    assert names == [
        ".proj:output#0",
        "::chunk:output#0", "::chunk:output.1#0", "::chunk:output.2#0",
        "::setitem:output#0",
        "::cat:output#0", "::cat.1:output#0",
        "::scaled_dot_product_attention:output#0",
        ".out:output#0",
        "::gelu:output#0", "::add:output#0", "::add_:output#0", "::add.1:output#0",
        ":output#0",
    ]  # fmt: skip
    assert {key.replace("#1", "#0") for key in run.arrays} == {
        key for key in run.arrays if "#0" in key
    }


def test_values_and_sources(attention, recording) -> None:
    model, x, cache = attention
    with recording({"attn": model}, operations=True) as run, torch.no_grad():
        y = model(x, cache)
    proj = run["attn.proj:output#0"]
    np.testing.assert_array_equal(run["attn::chunk:output.1#0"], proj[..., 4:8])
    np.testing.assert_array_equal(
        run["attn::gelu:output#0"], functional.gelu(torch.tensor(run["attn.out:output#0"]))
    )
    np.testing.assert_array_equal(run["attn::add.1:output#0"], y)
    lines, first = inspect.getsourcelines(Attention)
    line = first + next(number for number, text in enumerate(lines) if "gelu(" in text)
    assert run.records["attn::gelu:output#0"].source == f"test_operations.py:{line}"


def test_a_cache_write_is_recorded_as_what_landed(attention, recording) -> None:
    model, x, cache = attention
    with recording({"attn": model}, operations=["setitem"]) as run, torch.no_grad():
        model(x, cache)
    np.testing.assert_array_equal(run["attn::setitem:output#0"], cache[:, 1:2])
    assert run["attn::setitem:output#0"].shape == (1, 1, 4)


def test_producers_go_through_operations_that_are_not_recorded(attention, recording) -> None:
    model, x, cache = attention
    with recording({"attn": model}, operations=["gelu"], inputs=False) as run, torch.no_grad():
        model(x, cache)
    assert run.producers("attn.out:output#0") == ["attn.proj:output#0"]
    assert run.producers("attn::gelu:output#0") == ["attn.out:output#0"]
    assert "attn::gelu:output#0" in run.producers("attn:output#0")


def test_globs_and_plans_select(attention, recording) -> None:
    model, x, cache = attention

    def taken(**options) -> set[str]:
        with recording({"attn": model}, inputs=False, **options) as run, torch.no_grad():
            model(x, cache)
        return {key.partition(":output")[0] for key in run.arrays if "::" in key}

    assert taken() == set()
    assert taken(operations=["*attention", "ge*"]) == {
        "attn::scaled_dot_product_attention", "attn::gelu",
    }  # fmt: skip
    plan = TapPlan(include=("attn::add*",))
    assert taken(operations=True, plan=plan) == {"attn::add", "attn::add_", "attn::add.1"}


def test_operations_inside_plain_modules_repeat_nothing(recording) -> None:
    model, x = nn.Linear(2, 2), torch.ones(1, 2)
    with recording({"m": model}, operations=True) as run:
        model(x)
    assert set(run.arrays) == {"m:input#0", "m:output#0"}


def test_threads_started_meanwhile_are_seen(recording) -> None:
    """torch keeps function modes by thread: without propagation the worker is invisible."""

    class Double(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return functional.relu(x) * 2

    model, x = Double(), torch.ones(1)
    with recording({"m": model}, operations=True, inputs=False) as run:
        worker = threading.Thread(target=model, args=(x,))
        worker.start()
        worker.join()
    assert set(run.arrays) == {"m::relu:output#0", "m::mul:output#0", "m:output#0"}


def test_what_is_left_unfilled_is_not_recorded(recording) -> None:
    class Fill(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            noise = torch.empty(2)
            return noise.fill_(3) + x

    model, x = Fill(), torch.ones(2)
    with recording({"m": model}, operations=True, inputs=False) as run:
        model(x)
    assert set(run.arrays) == {"m::fill_:output#0", "m::add:output#0", "m:output#0"}


def test_operations_outside_every_module_are_counted_through(recording) -> None:
    with recording(operations=["mul"]) as run:
        torch.ones(1) * 2
        torch.ones(1) * 3
    assert {key: array.item() for key, array in run.arrays.items()} == {
        "::mul:output#0": 2, "::mul:output#1": 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (torch.Tensor.__add__, "add"),
        (torch.Tensor.__iadd__, "add_"),
        (torch.Tensor.__getitem__, "getitem"),
        (torch.Tensor.shape.__get__, ""),
        (functional.gelu, "gelu"),
        (torch.Tensor.__len__, ""),
    ],
)
def test_names(function, name) -> None:
    assert operation_name(function) == name
