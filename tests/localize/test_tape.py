"""The tape is the run: run again it gives the same bits, and parts of it give their parts."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from parity.localize import Origin, Reference, forward, localize
from parity.localize.execute import Edit
from parity.localize.local_errors import known_taps, replay
from parity.localize.reference import match
from parity.localize.segment import Segment, candidate_precision
from parity.localize.tape import Tape
from parity.localize.whole_run import output_error
from parity.tensors import TapKey
from tests.localize.conftest import faithful


def tap(tape: Tape, path: str, call: int = 0):
    return next(
        t for t in tape.taps
        if t.key.path == path and t.key.call == call and t.key.role == "output"
    )  # fmt: skip


def test_run_again_it_gives_the_bits_of_the_capture(reference):
    tape, capture = reference.tape, reference.capture
    wanted = [t for t in tape.taps if t.key.role == "output"]
    for made, one in zip(forward(tape, wanted), wanted, strict=True):
        stored = torch.from_numpy(capture.read(one.key).copy())
        assert torch.equal(made, stored), one.key


def test_its_taps_are_those_of_a_capture(reference):
    recorded = {r.key for r in reference.capture.records if r.key.role in ("input", "output")}
    assert {t.key for t in reference.tape.taps} == recorded


def test_draws_are_leaves(reference):
    tape = reference.tape
    assert len(tape.draws) == 5
    assert all(value in tape.leaves for value in tape.draws)


def test_running_leaves_the_weights_alone(reference, model):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    tape = reference.tape
    forward(tape, [tap(tape, "(root)")])
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())


def test_a_change_reaches_what_comes_after_it_through_the_cache(reference):
    tape = reference.tape
    gelus = [node for node in tape.nodes if node.name == "gelu"]
    silent = Edit(gelus[0].index, lambda operands: torch.zeros_like(operands.default()))
    late, early = tap(tape, "steps.0.down", 4), tap(tape, "steps.0.norm", 0)
    plain, changed = (
        forward(tape, [early, late]),
        forward(tape, [early, late], edits={gelus[0].index: [silent]}),
    )
    assert torch.equal(plain[0], changed[0])
    assert not torch.allclose(plain[1], changed[1])


def test_every_tap_of_a_faithful_port_is_explained_by_its_own_inputs(reference, captured):
    candidate, _ = match(reference, captured(faithful))
    found = replay(reference.tape, candidate)
    assert len(found) > 40
    assert max(local.error for local in found) < 5e-7


@pytest.mark.parametrize(("fault", "place"), [("gelu", "steps.1.down"), ("first", "steps.0.down")])
def test_only_where_a_fault_enters_a_tap_is_not(reference, captured, fault, place):
    candidate, _ = match(reference, captured(partial(faithful, faults=frozenset({fault}))))
    wrong = [local.tap.key for local in replay(reference.tape, candidate) if local.error > 1e-6]
    assert wrong
    assert wrong[0].path == place
    assert {key.path for key in wrong} <= {"steps.0.down", "steps.1.down"}


def test_the_first_bad_step_is_told(reference, captured):
    candidate, _ = match(reference, captured(partial(faithful, faults=frozenset({"first"}))))
    wrong = [local.tap.key for local in replay(reference.tape, candidate) if local.error > 1e-6]
    assert min(key.call for key in wrong) == 1


def test_a_segment_gives_what_the_whole_gives(reference, captured):
    candidate, _ = match(reference, captured(faithful))
    tape = reference.tape
    cuts = known_taps(tape, candidate)
    for one in (tap(tape, "steps.1.down", 3), tap(tape, "steps.0", 4), tap(tape, "head", 2)):
        segment = Segment(tape, candidate, one, cuts)
        assert segment.error < 5e-7
        assert segment.error <= segment.floor
        assert len(segment.nodes) < len(tape.nodes)


def test_a_segment_run_with_a_change_is_left_as_it_was(reference, captured):
    candidate, _ = match(reference, captured(faithful))
    tape = reference.tape
    segment = Segment(tape, candidate, tap(tape, "steps.1.down", 3), known_taps(tape, candidate))
    before = segment.run([])
    node = next(i for i in segment.nodes if tape.nodes[i].name == "gelu")
    changed = segment.run([Edit(node, lambda operands: operands.default() * 2)])
    assert not torch.allclose(before, changed)
    assert torch.equal(before, segment.run([]))


def test_a_module_in_two_places_and_a_tensor_given_back(tmp_path):
    shared = nn.Identity()

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shared = shared
            self.linear = nn.Linear(4, 4)

        def forward(self, x):
            return self.shared(self.linear(self.shared(x))).clone()

    reference = Reference.of_module(Twice(), torch.ones(2, 4))
    tape = reference.tape
    keys = [t.key for t in tape.taps if t.key.role == "output"]
    assert TapKey("shared", "output", "", "", 1) in keys
    (made,) = forward(tape, [tap(tape, "(root)")])
    assert output_error(made, made) == 0.0


def test_precision_shows_in_the_numbers():
    x = torch.randn(64)
    assert candidate_precision([x]) is torch.float32
    assert candidate_precision([x.half().float()]) is torch.float16
    assert candidate_precision([x.bfloat16().float()]) is torch.bfloat16
    assert candidate_precision([x.half()]) is torch.float16
    assert candidate_precision([torch.arange(64.0)]) is torch.float32


def test_localize_tells_origin_from_inherited(reference, captured):
    faults = frozenset({"gelu"})
    result = localize(reference, captured(partial(faithful, faults=faults)), shares=1)
    assert {tap.key.path for tap in result.origins} == {"steps.1.down"}
    assert result.first.key.call == 0
    assert result.first.share == pytest.approx(1.0, abs=1e-4)
    inherited = {tap.key.path for tap in result if tap.origin is Origin.INHERITED}
    assert {"steps.1", "head", "(root)"} <= inherited
    assert len(result.to_frame()) == len(result)
    assert "first at steps.1.down" in str(result)


def test_localize_finds_nothing_in_a_faithful_port(reference, captured):
    result = localize(reference, captured(faithful))
    assert result.first is None
    assert "No error enters" in str(result)
