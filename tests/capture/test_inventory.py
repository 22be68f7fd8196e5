"""The modules that a capture lists, run or not."""

import json

from torch import nn

from parity.capture.inventory import module_inventory


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scales = nn.ParameterList([nn.Parameter(nn.Linear(1, 3).weight[:, 0])])

    def forward(self, x):
        return x * self.scales[0]


def listed(model: nn.Module | dict[str, nn.Module]) -> dict[str, int]:
    roots = model if isinstance(model, dict) else {"": model}
    return json.loads(module_inventory(roots))


def test_every_module_with_its_own_parameters() -> None:
    model = nn.Sequential(nn.Linear(4, 2), nn.Sequential(nn.GELU(), nn.Linear(2, 2, bias=False)))
    assert listed(model) == {"(root)": 0, "0": 10, "1": 0, "1.0": 0, "1.1": 4}


def test_lists_are_no_modules_that_run() -> None:
    model = nn.Module()
    model.layers = nn.ModuleList([nn.Linear(2, 2, bias=False)])
    assert listed({"net": model}) == {"net.layers.0": 4}


def test_parameters_of_a_list_count_for_the_module_around_it() -> None:
    assert listed(nn.Sequential(Scaled())) == {"(root)": 0, "0": 3}


def test_what_attention_uses_without_calling_counts_for_it() -> None:
    assert listed({"attention": nn.MultiheadAttention(4, 2)}) == {"attention": 4 * 4 * 4 + 4 * 4}


def test_a_shared_parameter_counts_once() -> None:
    one, two = nn.Linear(2, 3, bias=False), nn.Linear(2, 3, bias=False)
    two.weight = one.weight
    assert listed({"one": one, "two": two}) == {"one": 6, "two": 0}


def test_a_bare_container_keeps_what_it_holds() -> None:
    assert listed({"bag": nn.ParameterList([nn.Parameter(nn.Linear(2, 2).bias)])}) == {"bag": 2}
