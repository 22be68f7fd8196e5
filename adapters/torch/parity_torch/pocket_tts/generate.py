"""From a voice and a text to latents, and from latents to a waveform."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import torch
from torch.nn import functional

from parity_torch.pocket_tts import flow_lm, mimi, taps
from parity_torch.pocket_tts.model import Model
from parity_torch.pocket_tts.run import Run
from parity_torch.pocket_tts.stream import Stream
from parity_torch.pocket_tts.voice import end_on_pause

__all__ = ["Decode", "decode_latents", "generate_latents", "longest", "prompt_text", "prompt_voice"]

# Speech is at least this slow, and this much longer than its tokens say.
TOKENS_PER_SECOND = 3.0
EXTRA_SECONDS = 2.0
FADE_IN_PER_SECOND = 200  # a 200th of a second

Decode = Literal["stream", "batch"]


def prompt_voice(run: Run, audio: torch.Tensor) -> Stream:
    """A stream of the language model that has heard the voice; `audio` is [1, samples]."""
    stream = Stream()
    voice = embed_voice(run.model, audio)
    flow_lm.forward(run, flow_lm.Inputs.of(run.model, voice=voice), stream)
    return stream


def embed_voice(model: Model, audio: torch.Tensor) -> torch.Tensor:
    """The voice as the language model takes it in; [1, samples] -> [1, count, dim]."""
    audio = end_on_pause(audio, model.config.mimi.sample_rate)
    latents = mimi.encode(model.mimi, audio[None], model.config.mimi)
    return functional.linear(latents, model.flow_lm["speaker_proj_weight"])


def prompt_text(run: Run, tokens: torch.Tensor, stream: Stream) -> None:
    """Let a stream read the text after the voice; `tokens` is int64[count]."""
    flow_lm.forward(run, flow_lm.Inputs.of(run.model, tokens=tokens[None]), stream)


def generate_latents(
    run: Run, stream: Stream, *, max_frames: int, tail_frames: int
) -> Iterator[torch.Tensor]:
    """Speak on until speech ends: normalised latents, [1, latent] each.

    The pass that comes after the last frame still makes a latent, which is not given out.

    Args:
        run: the run.
        stream: has heard the voice and read the text.
        max_frames: bound on the length if no end is found.
        tail_frames: how many frames to keep from the one at which the end is found.
    """
    latent = torch.full((1, run.model.config.latent_dim), math.nan, dtype=run.model.dtype)
    end: int | None = None
    for frame in range(max_frames):
        taps.next_step()
        latent, is_end = speak_frame(run, latent, stream)
        if end is None and frame >= run.settings.min_frames and bool(is_end):
            end = frame
        if end is not None and frame >= end + tail_frames:
            return
        yield latent


def speak_frame(
    run: Run, latent: torch.Tensor, stream: Stream
) -> tuple[torch.Tensor, torch.Tensor]:
    """From the latent spoken last to the next, [1, latent], and whether speech ends there."""
    return flow_lm.forward(run, flow_lm.Inputs.of(run.model, latents=latent[:, None]), stream)


def longest(token_count: int, frame_rate: float) -> int:
    """The bound on the frames of a chunk whose end of speech is never found."""
    return math.ceil((token_count / TOKENS_PER_SECOND + EXTRA_SECONDS) * frame_rate)


def decode_latents(model: Model, latents: torch.Tensor, decode: Decode) -> torch.Tensor:
    """The waveform of one chunk, frame by frame or in one pass.

    Args:
        model: the loaded model.
        latents: normalised, [frames, latent].
        decode: `stream` or `batch`.

    Returns:
        [samples].
    """
    latents = denormalise(model, latents)
    stream = Stream()
    pieces = []
    for block in torch.split(latents[None], 1 if decode == "stream" else len(latents), dim=1):
        taps.next_step()
        pieces.append(mimi.decode(model.mimi, block, model.config.mimi, stream)[0, 0])
    return fade_in(torch.cat(pieces), model.config.mimi.sample_rate)


def denormalise(model: Model, latents: torch.Tensor) -> torch.Tensor:
    """From the language model's range to the codec's; [..., latent] twice."""
    return latents * model.flow_lm["emb_std"] + model.flow_lm["emb_mean"]


def fade_in(audio: torch.Tensor, sample_rate: int) -> torch.Tensor:
    """Take off the step with which a fresh decoder begins; [samples] twice."""
    ramp = torch.linspace(0, 1, sample_rate // FADE_IN_PER_SECOND, dtype=audio.dtype)
    return torch.cat([audio[: len(ramp)] * ramp, audio[len(ramp) :]])
