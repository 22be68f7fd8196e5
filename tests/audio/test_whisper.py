"""Whisper's own loading and decoding, with a checkpoint that is made to say a sentence."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from fixtures.speech import samples
from parity.audio import listen
from parity.errors import ConfigError

whisper = pytest.importorskip("whisper")
torch = pytest.importorskip("torch")

TEXT = "The port says this."
# Whisper leaves its own files open; torch and numba warn of their own future.
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning",
    "ignore::FutureWarning",
    "ignore::ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)


def checkpoint(path: Path, text: str) -> Path:
    """A Whisper that hears nothing: the position decides which token comes next.

    All weights are zero but the norms'. Position k is a unit vector along axis k, and so is the
    embedding of the k-th token of the text, whose logit is then the largest at that position.
    """
    from whisper.model import ModelDimensions, Whisper
    from whisper.tokenizer import get_tokenizer

    tokenizer = get_tokenizer(multilingual=False)
    tokens = [*tokenizer.encode(f" {text}"), tokenizer.eot]
    first = len(tokenizer.sot_sequence_including_notimestamps) - 1
    width = max(32, 2 * (len(tokens) // 2 + 2))
    model = Whisper(ModelDimensions(80, 1500, width, 1, 1, 51864, 448, width, 1, 1))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        for module in model.modules():
            if isinstance(module, torch.nn.LayerNorm):
                module.weight.fill_(1.0)
        for k, token in enumerate(tokens):
            model.decoder.positional_embedding[first + k, k] = 10.0
            model.decoder.token_embedding.weight[token, k] = 1.0
        model.decoder.positional_embedding[first + len(tokens) :, len(tokens) - 1] = 10.0
    torch.save({"dims": asdict(model.dims), "model_state_dict": model.state_dict()}, path)
    return path


@pytest.fixture(scope="module")
def saying(tmp_path_factory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("whisper") / "says.pt", TEXT)


def test_it_loads_decodes_and_repeats_itself(saying):
    from parity.audio.whisper import Whisper

    one = Whisper(str(saying))
    sounds = [samples("greeting").astype("f4"), np.zeros(16000, "f4"), samples("city").astype("f4")]
    there, back = [one.transcribe(s) for s in sounds], [one.transcribe(s) for s in sounds[::-1]]
    assert there == [TEXT] * 3
    assert back == there
    assert Whisper(str(saying)).transcribe(sounds[0]) == TEXT
    assert "says.pt" in one.version


def test_it_is_one_recogniser_among_others(saying):
    sound = samples("greeting")
    found = listen(sound, sound, sample_rate=16000, text=TEXT, recogniser=f"whisper:{saying}",
                   normaliser="whisper", seeded=True)  # fmt: skip
    assert found.speech.candidate_rate == 0
    assert found.speech.recogniser.startswith("openai-whisper 20")
    assert found.speech.normaliser == "whisper"
    wrong = listen(sound, sound, sample_rate=16000, text="Something else entirely.",
                   recogniser=f"whisper:{saying}", seeded=True)  # fmt: skip
    assert wrong.speech.judgement == "invalid"


def test_nothing_is_downloaded_unasked(tmp_path, monkeypatch):
    from parity.audio.whisper import Whisper

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("a download was tried")

    monkeypatch.setattr(whisper, "_download", refuse)
    monkeypatch.chdir(tmp_path)
    for name in ("base.en", "", "missing.pt"):
        with pytest.raises(ConfigError, match="no such checkpoint"):
            Whisper(name)
    # A file with a model's name is that file.
    checkpoint(tmp_path / "base.en", TEXT)
    assert Whisper("base.en").transcribe(np.zeros(16000, "f4")) == TEXT


def test_a_checkpoint_that_is_none(tmp_path):
    from parity.audio.whisper import Whisper

    (tmp_path / "bad.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(ConfigError, match="whisper cannot load it"):
        Whisper(str(tmp_path / "bad.pt"))
