"""Producer links follow memory, and never a tensor that merely reuses it."""

import gc

import numpy as np
import torch
from torch import nn

from parity.capture.lineage import PURGE_EVERY, Lineage


def test_views_share_the_records_of_their_base() -> None:
    lineage, x = Lineage(), torch.zeros(4)
    lineage.set(x, (3,))
    assert lineage.of_one(x[1:].view(3)) == (3,)
    assert lineage.of([x, torch.zeros(1), x[:1]]) == (3,)
    assert lineage.of_one(torch.zeros(4)) == ()
    lineage.close()


def test_memory_that_is_used_again_is_not_mistaken() -> None:
    lineage = Lineage()
    for number in range(200):
        x = torch.zeros(64)
        assert lineage.of_one(x) == ()
        lineage.set(x, (number,))
        del x
    lineage.close()


def test_entries_of_dead_tensors_are_let_go() -> None:
    lineage, kept = Lineage(), torch.zeros(1)
    lineage.set(kept, (1,))
    for number in range(3 * PURGE_EVERY):
        lineage.set(torch.zeros(1), (number,))
    gc.collect()
    assert len(lineage._fed) <= PURGE_EVERY + 1
    assert lineage.of_one(kept) == (1,)
    lineage.close()
    assert lineage.of_one(kept) == ()


def test_tensors_without_one_memory_have_no_records() -> None:
    lineage, sparse = Lineage(), torch.eye(2).to_sparse()
    lineage.set(sparse, (1,))
    assert lineage.of([sparse, np.zeros(1), None]) == ()
    lineage.close()


def test_a_chain_of_modules_is_linked(recording) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Flatten(), nn.Linear(2, 2))
    with recording(model, inputs=False, leaves=True) as run, torch.no_grad():
        model(torch.zeros(1, 2))
    assert run.producers("1:output#0") == ["0:output#0"]
    assert run.producers("2:output#0") == ["1:output#0"]


def test_inputs_stand_between_when_they_are_recorded(recording) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    with recording(model) as run, torch.no_grad():
        model(torch.zeros(1, 2))
    assert run.producers("1:input#0") == ["0:output#0"]
    assert run.producers("1:output#0") == ["1:input#0"]
    assert run.producers("(root):output#0") == ["(root):input#0", "1:output#0"]


def test_links_can_be_left_out(recording) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    with recording(model, producers=False) as run, torch.no_grad():
        model(torch.zeros(1, 2))
    assert not any(record.producers for record in run.records.values())
