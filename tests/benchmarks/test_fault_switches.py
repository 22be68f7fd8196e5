"""Held-out faults change what comes out, and clean variants do not."""

import pytest
import torch

from benchmarks.faults.planted import Fault, Pair
from benchmarks.faults.trial import SUBJECTS, pair_of

CHANGE, ROUNDING = 1e-3, 2e-5


def _output(pair: Pair, fault: str = "", variant: str = "") -> torch.Tensor:
    case = pair.cases[0]
    torch.manual_seed(case.seed)
    outputs = pair.port(frozenset({fault} - {""}), "float32", variant).run(case)
    return outputs.get(pair.output, next(iter(outputs.values())))


def _change(one: torch.Tensor, other: torch.Tensor) -> float:
    """The largest difference over the largest number; infinite between different shapes."""
    if one.shape != other.shape:
        return float("inf")
    return float((one - other).abs().max() / other.abs().max())


def _held_out(pair: Pair) -> list[Fault]:
    return [fault for fault in pair.faults if fault.origin == "held out"]


@pytest.mark.parametrize("subject", SUBJECTS)
def test_each_held_out_fault_changes_the_output(subject: str) -> None:
    pair = pair_of(subject)
    clean = _output(pair)
    changes = {fault.name: _change(_output(pair, fault.name), clean) for fault in _held_out(pair)}
    assert changes
    assert {name: by for name, by in changes.items() if not by > CHANGE} == {}


def test_clean_variants_of_the_conformer_agree_with_its_reference() -> None:
    pair = pair_of("conformer")
    (reference,) = pair.reference().run(pair.cases[0]).values()
    for variant in ("", *pair.variants):
        assert _change(_output(pair, variant=variant), reference) < ROUNDING, variant


@pytest.mark.parametrize("subject", SUBJECTS)
def test_conflicts_and_switches_have_names_that_exist_once(subject: str) -> None:
    pair = pair_of(subject)
    names = [fault.name for fault in pair.faults]
    assert len(set(names)) == len(names)
    assert {name for conflict in pair.conflicts for name in conflict} <= set(names)
