"""Tokens, passes, order, counts and ends: named first, and what follows compared all the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

import parity
from parity.capture.isolated import capture_here
from parity.diagnose import Grade, Verdict, diagnose
from parity.diagnose.passes import lost_calls
from parity.diagnose.token_lookup import token_ids
from parity.localize import Reference
from parity.tensors import Case, Role, TapPlan
from parity_torch.backend import TorchBackend

WIDTH, ROOM = 12, 64


class Reader(nn.Module):
    """Reads rows into a cache and gives, for each, a mean over all read so far."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.mix = nn.Linear(WIDTH, WIDTH)

    def forward(self, rows, state):
        h = self.mix(self.norm(rows))
        start = int(state["offset"].item())
        state["cache"][:, start : start + h.shape[1]] = h
        seen = state["cache"][:, : start + h.shape[1]]
        sums = seen.cumsum(1)[:, start:]
        counts = torch.arange(start + 1, start + 1 + h.shape[1])[None, :, None]
        return rows + sums / counts


class Speaker(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(40, WIDTH)
        self.reader = Reader()
        self.stop = nn.Linear(WIDTH, 1)
        self.decoder = nn.Linear(WIDTH, 4)


class Program:
    """Hears a voice, reads a text, speaks until it stops; `faults` make it a port."""

    phases: Mapping[str, str] = {}
    steps: Mapping[str, str] = {}

    def __init__(self, faults: frozenset[str] = frozenset()) -> None:
        torch.manual_seed(4)
        self._model = Speaker().eval()
        nn.init.constant_(self._model.stop.bias, -0.35)
        self._faults = faults
        self.modules = {"model": self._model}

    def run(self, case: Case) -> Mapping[str, torch.Tensor]:
        model, faults = self._model, self._faults
        state = {
            "cache": torch.zeros(1, ROOM, WIDTH), "offset": torch.zeros(1, dtype=torch.long),
        }  # fmt: skip
        voice = torch.from_numpy(case.arrays["voice"].copy())[None] * 2
        ids = case.inputs["letters" if "letters" in faults else "words"]
        with parity.phase("voice"):
            if not faults & {"added", "one_pass"}:
                self._read(voice, state)
        with parity.phase("text"):
            rows = model.embed(torch.tensor(ids)[None])
            rows = rows + 0.0
            if "added" in faults:
                rows = rows + voice.mean(1, keepdim=True)
            if "one_pass" in faults:
                rows = torch.cat([rows, voice], 1)
            spoken = self._read(rows, state)[:, -1:]
        frames = [] if "counted" not in faults else [spoken * 0.5]
        with parity.phase("speak"):
            for step in range(20):
                parity.next_step()
                spoken = self._read(spoken * 1.1, state)[:, -1:]
                done = parity.tap("done", model.stop(spoken)[0, 0] > 0, role=Role.OUTPUT)
                frames.append(spoken)
                if bool(done) and step >= (2 if "impatient" in faults else 6):
                    break
        with parity.phase("decode"):
            sound = [model.decoder(frame) for frame in frames]
        return {"sound": torch.cat(sound, 1)}

    def _read(self, rows, state):
        read = self._model.reader(rows, state)
        state["offset"] += rows.shape[1]
        return read


CASE = Case(
    "case",
    {"words": [3, 7, 21, 5], "letters": [9, 2, 33, 4, 8, 17, 30, 11, 1]},
    {"voice": np.random.default_rng(0).normal(size=(6, WIDTH)).astype(np.float32)},
)


def found(tmp_path: Path, *faults: str):
    reference, port = TorchBackend(program=Program()), Program(frozenset(faults))
    capture_here(reference, CASE, TapPlan(), tmp_path / "reference.h5")
    capture_here(TorchBackend(program=port), CASE, TapPlan(), tmp_path / "port.h5")
    again = Reference.of_backend(reference, CASE, capture=tmp_path / "reference.h5")
    return diagnose(again, tmp_path / "port.h5", output="sound")


def causes(result):
    return [finding.cause for finding in result.findings]


def test_a_clean_run_has_none(tmp_path):
    assert found(tmp_path).verdict is Verdict.NO_FAULT


def test_other_tokens_are_read_from_the_rows_that_were_looked_up(tmp_path):
    result = found(tmp_path, "letters")
    assert causes(result) == ["tokenization.ids"]
    (tokens,) = result.findings
    assert tokens.reference.startswith("4 tokens [3, 7, 21, 5]")
    assert tokens.candidate.startswith("9 tokens [9, 2, 33")
    assert tokens.grade is Grade.HIGH
    # What comes after is compared with a reference that read the same tokens.
    assert not result.unexplained
    assert result.verdict is Verdict.EXPLAINED


def test_a_voice_that_is_added_and_has_no_pass_of_its_own(tmp_path):
    result = found(tmp_path, "added")
    assert causes(result) == ["control.prefill", "conditioning.combine"]
    assert "mean" in result.findings[1].candidate
    assert not result.unexplained


def test_text_before_the_voice_in_one_pass(tmp_path):
    result = found(tmp_path, "one_pass")
    assert causes(result) == ["control.prefill", "control.order"]
    assert "after the tokens" in result.findings[1].candidate
    assert not result.unexplained


def test_both_at_once(tmp_path):
    result = found(tmp_path, "letters", "added")
    assert causes(result) == ["tokenization.ids", "control.prefill", "conditioning.combine"]
    assert not result.unexplained


def test_a_call_too_many_at_the_beginning_of_a_phase(tmp_path):
    result = found(tmp_path, "counted")
    assert causes(result) == ["control.calls"]
    assert result.findings[0].value == 1


def test_a_loop_that_ends_early_on_the_same_decisions(tmp_path):
    result = found(tmp_path, "impatient")
    assert causes(result) == ["control.end"]
    assert result.findings[0].sites[0].tap == "done"


def test_ids_are_found_only_where_every_row_is_in_the_table():
    table = torch.randn(10, 5)
    assert token_ids(table[[4, 2, 9]][None], table) == (4, 2, 9)
    assert token_ids(table[[4, 2]] + 1.0, table) is None
    assert token_ids(torch.zeros(0, 5), table) is None


def test_a_tap_missing_inside_a_pass_that_is_shown_is_no_missing_pass(tmp_path):
    backend = TorchBackend(program=Program())
    capture_here(backend, CASE, TapPlan(), tmp_path / "reference.h5")
    tape = Reference.of_backend(backend, CASE, capture=tmp_path / "reference.h5").tape
    keys = [tap.key for tap in tape.taps]

    def lost(*dropped: str) -> set[str]:
        gone = [key for key in keys if key.phase == "voice" and key.path in dropped]
        rest = [key for key in keys if key not in gone]
        shown = SimpleNamespace(rows=dict.fromkeys(rest), mismatched={}, missing=gone)
        return {span.path for span in lost_calls(tape, shown)}

    assert lost("model.reader") == set()
    assert lost("model.reader", "model.reader.norm", "model.reader.mix") == {"model.reader"}
