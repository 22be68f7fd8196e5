"""States in arguments: caches that a model changes while it runs."""

import numpy as np
import torch
from torch import nn

from parity.capture.states import own_state, positional_names, split_states


class Cached(nn.Module):
    def forward(self, x: torch.Tensor, model_state: dict) -> torch.Tensor:
        state = model_state[self.name]
        state["cache"] += x
        return state["cache"].clone()


class Stack(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Cached(), Cached()])
        for number, layer in enumerate(self.layers):
            layer.name = f"layers.{number}"

    def forward(self, x: torch.Tensor, model_state: dict) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x, model_state)
        return x


def fresh() -> dict[str, dict[str, torch.Tensor]]:
    return {f"layers.{n}": {"cache": torch.zeros(2), "offset": torch.tensor(n)} for n in range(2)}


def test_each_module_records_its_own_states_after_its_call(recording) -> None:
    model, state = Stack(), fresh()
    with recording({"lm": model}, states=True) as run:
        model(torch.ones(2), model_state=state)
        model(torch.ones(2), state)
    assert {key for key in run.arrays if ":state" in key} == {
        f"lm.layers.{n}:state.{slot}#{call}"
        for n in range(2) for slot in ("cache", "offset") for call in range(2)
    }  # fmt: skip
    np.testing.assert_array_equal(run["lm.layers.1:state.cache#0"], [1, 1])
    np.testing.assert_array_equal(run["lm.layers.1:state.cache#1"], [3, 3])


def test_states_are_no_inputs_and_are_left_out_unless_asked_for(recording) -> None:
    model = Stack()
    with recording({"lm": model}) as run:
        model(torch.ones(2), fresh())
    assert {key for key in run.arrays if not key.endswith("output#0")} == {
        "lm:input#0", "lm.layers.0:input#0", "lm.layers.1:input#0",
    }  # fmt: skip


def test_a_mapping_of_data_is_an_input() -> None:
    data, states = split_states(("x", "batch"), (1, {"ids": 2}), {"kv_cache": {"k": 3}})
    assert data == {"0": 1, "1": {"ids": 2}}
    assert states == [{"k": 3}]


def test_a_flat_state_belongs_to_who_gets_it() -> None:
    assert own_state("a.b", [{"k": 1}], int) == {"k": 1}
    assert own_state("a.b", [{"c": {"k": 1}}], int) == {}
    assert own_state("r.a.b", [{"b": {"k": 1}, "a.b": {"k": 2}}], int) == {"k": 2}


def test_positional_names_of_what_has_no_signature() -> None:
    assert positional_names(dict.fromkeys) == ("iterable", "value")
    assert positional_names(min) == ()
