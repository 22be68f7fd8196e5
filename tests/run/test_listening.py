"""The audio layers within `parity run`."""

import json
import textwrap
from io import StringIO
from pathlib import Path

import numpy as np
import pytest

from parity.audio import Judgement
from parity.errors import InputError
from parity.run import load_config, run
from parity.run.machine import to_dict
from parity.run.screen import screen

BACKEND = '''
"""A subject that speaks: a sentence, whole or in chunks, and ports with one fault each."""
import numpy as np
from parity.backends import Capabilities
from parity.tensors import Case, Role

class Speaker:
    def __init__(self, *, fault=""):
        self.name, self.fault = "speaker", fault

    def capabilities(self):
        return Capabilities()

    def capture(self, case, plan, sink):
        sound = np.load("said.npy")
        if self.fault == "zero":
            sound[12800:14080] = 0
        if self.fault == "quiet":
            sound = sound * 0.985
        if self.fault != "mute":
            sink.record("waveform", sound[None], role=Role.OUTPUT)
        sink.record("latents", sound[:10], role=Role.OUTPUT)

def cases():
    return [Case("greeting", {"text": "Hello, this is a test of the speech system."})]
'''

CONFIG = """
[subject]
name = "speaker"
cases = "speaker:cases"
output = "waveform"
audio = { waveform = "waveform", sample_rate = 16000 }

[reference]
backend = "speaker:Speaker"
isolate = false

[candidates.port]
backend = "speaker:Speaker"
options = { fault = "FAULT" }
isolate = false

[tolerance]
allow_missing = ["waveform"]

[[tolerance.rules]]
tap = "waveform"
bounds = { min_pearson = 0.5 }

[diagnose]
enabled = false

[listen]
frame = 1280
LISTEN
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from fixtures.speech import samples

    def make(fault: str = "", listen: str = ""):
        (tmp_path / "speaker.py").write_text(textwrap.dedent(BACKEND))
        np.save(tmp_path / "said.npy", samples("greeting"))
        text = CONFIG.replace("FAULT", fault).replace("LISTEN", listen)
        (tmp_path / "parity.toml").write_text(text)
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(__import__("sys").modules, "speaker", raising=False)
        return run(load_config(tmp_path / "parity.toml"), fresh=True)

    return make


def shown(result) -> str:
    from rich.console import Console

    console = Console(width=200, record=True, file=StringIO())
    console.print(screen(result))
    return console.export_text()


def test_a_good_port_is_heard_as_one(project):
    result = project()
    found = result.comparisons[0].listening
    assert found.judgement is Judgement.PASS
    assert result.exit_status == 0
    assert "the waveforms are identical" in shown(result)
    assert result.comparisons[0].reports["listening"].is_file()
    assert (
        json.loads(json.dumps(to_dict(result)))["comparisons"][0]["listening"]["exit_status"] == 0
    )


def test_what_is_heard_breaks_what_a_lax_tolerance_lets_pass(project):
    result = project("zero")
    comparison = result.comparisons[0]
    assert comparison.diff.outcome.exit_status == 0
    assert comparison.listening.judgement is Judgement.FAIL
    assert result.exit_status == 1
    assert not result.holds
    text = shown(result)
    assert "1 of 38 frames are zero" in text
    assert "first bad frame 10, at 0.80 s" in text


def test_limits_of_the_configuration_count(project):
    assert project("quiet").exit_status == 1
    assert project("quiet", "waveform = { gain = { low = 0.9 } }").exit_status == 0


def test_a_recogniser_is_asked_where_one_is_named(project):
    result = project("", 'recogniser = "pocketsphinx"')
    speech = result.speech["port"]
    assert speech.candidate_rate == 0
    assert speech.judgement is Judgement.INCONCLUSIVE
    assert result.exit_status == 0
    assert "word errors 0.0%" in shown(result)


def test_what_cannot_be_heard_is_said(project):
    result = project("mute")
    comparison = result.comparisons[0]
    assert comparison.listening is None
    assert "no such tap" in comparison.unheard
    assert "nobody listened" in shown(result)


def test_listening_can_be_left_out(project):
    comparison = project("zero", "enabled = false").comparisons[0]
    assert comparison.listening is None
    assert not comparison.unheard


def test_errors_of_ours_are_not_swallowed(project, monkeypatch):
    def broken(*arguments: object, **options: object) -> None:
        raise InputError("cannot be heard")

    import parity.audio

    monkeypatch.setattr(parity.audio, "listen", broken)
    assert project().comparisons[0].unheard == "cannot be heard"
