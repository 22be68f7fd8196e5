"""`parity listen`, as a user calls it."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from fixtures.speech import samples
from parity.cli import main

RATE = 16000


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    speech = samples("greeting")
    soundfile.write(tmp_path / "ref.wav", speech, RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "good.wav", speech, RATE, subtype="PCM_16")
    soundfile.write(tmp_path / "late.wav", np.concatenate((np.zeros(3840), speech)), RATE)
    for side in ("a", "b"):
        (tmp_path / side).mkdir()
        soundfile.write(tmp_path / side / "greeting.flac", speech, RATE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["listen", *arguments])
    return int(ended.value.code or 0)


@pytest.mark.usefixtures("folder")
def test_two_files(capsys):
    assert run("ref.wav", "good.wav", "--seeded", "--frame", "1280") == 0
    out = capsys.readouterr().out
    assert "A listener hears no difference" in out
    assert "the same realisation" in out


@pytest.mark.usefixtures("folder")
def test_a_difference_is_said_with_its_cause_and_status_1(capsys):
    assert run("ref.wav", "late.wav", "--seeded", "--full") == 1
    out = capsys.readouterr().out
    assert "3,840 samples (240.0 ms, 3 frames) late" in out
    assert "lag_samples" in out


def test_json_html_and_picture(folder, capsys):
    assert run("ref.wav", "late.wav", "--seeded", "--json", "-", "--html", "out.html",
               "--picture", "out.png") == 1  # fmt: skip
    found = json.loads(capsys.readouterr().out)
    assert found["format"] == "parity-listening"
    assert found["waveform"]["lag_samples"] == 3840
    assert "<svg" in (folder / "out.html").read_text()
    assert (folder / "out.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.usefixtures("folder")
def test_one_file_alone(capsys):
    assert run("--alone", "good.wav", "--limit", "rms.high=0.01") == 1
    assert "rms 0.0718 (limit 0.01" in capsys.readouterr().out
    assert run("--alone", "good.wav", "--preset", "story") == 0


def test_folders_with_texts_are_pooled(folder, capsys):
    (folder / "texts.tsv").write_text("greeting\tHello, this is a test of the speech system.\n")
    assert run("a", "b", "--texts", "texts.tsv", "--seeded", "--json", "-") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["speech"]["candidate_rate"] == 0
    assert found["speech"]["judgement"] == "inconclusive"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ref.wav"], "give REFERENCE and CANDIDATE"),
        (["ref.wav", "gone.wav"], "no such file"),
        (["ref.wav", "good.wav", "--limit", "rms"], "'rms' is no limit"),
        (["ref.wav", "good.wav", "--preset", "x"], "there is no preset 'x'"),
        (["ref.wav", "good.wav", "--recogniser", "pocketsphinx"], "needs to know what is said"),
        (["ref.wav", "good.wav", "--text", "a", "--recogniser", "x"], "there is no recogniser 'x'"),
        (["ref.wav", "good.wav", "--text", "a", "--recogniser", "whisper:x.pt"], "no such checkp"),
        (["gone", "ref.wav"], "no such file"),
        (["a", "b", "--texts", "gone.toml"], "cannot be read"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_calls_that_cannot_be_meant(capsys, arguments, message):
    assert run(*arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "  ", "..."])
def test_a_text_without_words_is_unusable(folder, capsys, text):
    assert run("ref.wav", "good.wav", "--text", text) == 2
    assert "--text: holds no word that could be understood" in capsys.readouterr().err


def test_a_limit_that_is_not_a_number_is_refused(folder, capsys):
    assert run("ref.wav", "good.wav", "--limit", "rms.high=nan") == 2
    assert "'rms.high=nan' is no limit" in capsys.readouterr().err


def test_a_folder_beside_a_file_is_called_a_folder(folder, capsys):
    assert run("a", "good.wav") == 2
    assert "a: is a folder" in capsys.readouterr().err


def test_the_texts_of_one_pair_are_found_by_the_references_name(folder, capsys):
    (folder / "texts.tsv").write_text("greeting\tHello\n")
    assert run("ref.wav", "good.wav", "--texts", "texts.tsv") == 2
    assert "has no text for 'ref'" in capsys.readouterr().err
