"""The port as a program that the torch backend runs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch

from parity.errors import ConfigError, InputError
from parity.tensors import Case
from parity_torch.pocket_tts import taps
from parity_torch.pocket_tts.chunking import split_text
from parity_torch.pocket_tts.generate import (
    Decode,
    decode_latents,
    generate_latents,
    longest,
    prompt_text,
    prompt_voice,
)
from parity_torch.pocket_tts.model import Model, load_model
from parity_torch.pocket_tts.noise import NoiseSource, noise_source
from parity_torch.pocket_tts.run import Prefill, Run
from parity_torch.pocket_tts.settings import Settings, settings_of
from parity_torch.pocket_tts.stream import Stream
from parity_torch.pocket_tts.text import frames_after_eos, prepare

__all__ = ["Program"]

Chunk = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # tokens, latents, waveform

DTYPES = {
    "float64": torch.float64,
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


class Program:
    """Pocket TTS from its weights, without the `pocket-tts` package.

    It names its tensors, phases and steps as hooks on the reference's modules do.

    Args:
        assets: folder with `config.yaml`, `weights.safetensors` and `tokenizer.model`.
        decode: `stream` decodes latent by latent, `batch` all latents of a chunk in one pass.
        prompt: `block` reads each prompt in one pass, `token` one position after the other.
        dtype: of weights and activations: float64, float32, bfloat16 or float16.

    Raises:
        ConfigError: an option has a value that does not exist.
        InputError: a file of the assets cannot be read.
    """

    name = "pocket-tts-torch"
    modules: Mapping[str, torch.nn.Module] = {}
    functions: Sequence[str] = ()
    phases: Mapping[str, str] = {}
    steps: Mapping[str, str] = {}

    def __init__(
        self,
        *,
        assets: str | Path,
        decode: Decode = "stream",
        prompt: Prefill = "block",
        dtype: str = "float32",
    ) -> None:
        _check_option("decode", decode, ("stream", "batch"))
        _check_option("prompt", prompt, ("block", "token"))
        _check_option("dtype", dtype, DTYPES)
        self._decode: Decode = decode
        self._prompt: Prefill = prompt
        self._model = load_model(Path(assets), DTYPES[dtype])
        self.facts: Mapping[str, str | int | float | bool] = {
            "implementation": "parity_torch.pocket_tts",
            "framework": "torch",
            "framework_version": torch.__version__,
            "precision": dtype,
            "device": "cpu",
            "decode": decode,
            "prompt": prompt,
            "weights_digest": _file_digest(Path(assets) / "weights.safetensors"),
        }

    def run(self, case: Case) -> Mapping[str, torch.Tensor]:
        """Speak the case's text in the voice of its array `voice_audio`, float32[samples].

        Returns:
            waveform: [samples], all chunks one after another.
            latents: [frames, latent], before denormalisation.
            tokens: int64[count], after text preparation.
            tokens_per_chunk, frames_per_chunk: int64[chunks], how both are divided.

        Raises:
            InputError: the case lacks its text or its voice.
            NoiseTapeError: the case's tape is shorter than the run.
        """
        model = self._model
        settings = settings_of(case.inputs, model.config)
        run = Run(model, settings, _noise(case, settings, model), self._prompt)
        with torch.no_grad():
            chunks = list(self._speak(run, _voice_audio(case, model)))
        tokens, latents, waveforms = zip(*chunks, strict=True)
        return {
            "waveform": torch.cat(waveforms),
            "latents": torch.cat(latents),
            "tokens": torch.cat(tokens),
            "tokens_per_chunk": torch.tensor([len(ids) for ids in tokens]),
            "frames_per_chunk": torch.tensor([len(frames) for frames in latents]),
        }

    def _speak(self, run: Run, audio: torch.Tensor) -> Iterator[Chunk]:
        with taps.phase("voice_prompt"):
            voice = prompt_voice(run, audio)
        chunks = split_text(
            run.settings.text,
            run.model.config.text,
            run.model.tokenizer,
            max_tokens=run.settings.max_tokens,
        )
        return (self._speak_chunk(run, text, voice.fork()) for text in chunks)

    def _speak_chunk(self, run: Run, text: str, stream: Stream) -> Chunk:
        model, rules = run.model, run.model.config.text
        tokens = token_ids(model, text)
        with taps.phase("text_prompt"):
            prompt_text(run, tokens, stream)
        tail = run.settings.frames_after_eos
        frames = generate_latents(
            run,
            stream,
            max_frames=longest(len(tokens), model.config.mimi.frame_rate),
            tail_frames=frames_after_eos(text, rules) if tail is None else tail,
        )
        with taps.phase("generate"):
            latents = torch.cat(list(frames))
        with taps.phase("decode"):
            waveform = decode_latents(model, latents, self._decode)
        return tokens, latents, waveform


def token_ids(model: Model, text: str) -> torch.Tensor:
    """The token numbers of one chunk of the text, int64[count]."""
    return torch.tensor(model.tokenizer.encode(prepare(text, model.config.text)))


def _check_option(name: str, value: str, known: Sequence[str] | Mapping[str, object]) -> None:
    if value not in known:
        raise ConfigError(f"unknown value {value!r}", where=name, hint=f"one of {', '.join(known)}")


def _noise(case: Case, settings: Settings, model: Model) -> NoiseSource:
    return noise_source(
        case,
        latent_dim=model.config.latent_dim,
        temperature=settings.temperature,
        clamp=settings.noise_clamp,
        dtype=model.dtype,
    )


def _voice_audio(case: Case, model: Model) -> torch.Tensor:
    if "voice_audio" not in case.arrays:
        raise InputError("the case has no voice to speak with", where="arrays.voice_audio")
    return torch.tensor(case.arrays["voice_audio"]).to(model.dtype).reshape(1, -1)


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
