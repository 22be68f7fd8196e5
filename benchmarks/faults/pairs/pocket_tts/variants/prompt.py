"""What the language model hears and reads before it speaks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from benchmarks.faults.pairs.pocket_tts.planting import Change, Function, around, instead
from parity_torch.pocket_tts import flow_lm, generate
from parity_torch.pocket_tts.flow_lm import Inputs
from parity_torch.pocket_tts.model import Model
from parity_torch.pocket_tts.run import Run
from parity_torch.pocket_tts.stream import Stream

__all__ = ["SWITCHES"]

WAITING = "voice waiting for the text"
COUNTED = "latents of the prompts"
INT16_STEPS = 32768 / 32767


def voice_waits(run: Run, audio: torch.Tensor) -> Stream:
    """No pass for the voice, [1, samples]: the text's pass takes it along."""
    stream = Stream()
    stream.tensors[WAITING] = generate.embed_voice(run.model, audio)
    # A port that is fed the reference's noise passes over the draw of the pass that it lacks.
    run.noise.draw()
    return stream


def text_and_voice(run: Run, tokens: torch.Tensor, stream: Stream) -> None:
    """Text and voice in one pass, the text first as in the sequence of a pass; int64[count]."""
    voice = stream.tensors.pop(WAITING)
    flow_lm.forward(run, Inputs.of(run.model, tokens=tokens[None], voice=voice), stream)


def voice_added(text: torch.Tensor, voice: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
    """The mean of the voice on every embedding of the text; [1, length without voice, dim]."""
    if voice.shape[1]:
        text = text + voice.mean(dim=1, keepdim=True)
    return torch.cat([text, latents], dim=1)


def forgetful(original: Function) -> Function:
    """The text read by a fresh stream, which has not heard the voice."""

    def prompt_text(run: Run, tokens: torch.Tensor, stream: Stream) -> None:
        stream.position = 0
        stream.tensors.clear()
        original(run, tokens, stream)

    return prompt_text


def kept(original: Function) -> Function:
    """What the prompt passes sample is kept, [passes, latent], instead of thrown away."""

    def forward(run: Run, inputs: Inputs, stream: Stream) -> tuple[torch.Tensor, torch.Tensor]:
        latent, is_end = original(run, inputs, stream)
        if not inputs.latents.shape[1]:
            stream.append(COUNTED, latent, dim=0)
        return latent, is_end

    return forward


def prompts_counted(original: Function) -> Function:
    """The latents of the prompt passes given out as frames, [1, latent] each, before the others."""

    def generate_latents(run: Run, stream: Stream, **limits: int) -> Iterator[torch.Tensor]:
        yield from torch.split(stream.tensors.pop(COUNTED), 1)
        yield from original(run, stream, **limits)

    return generate_latents


def untrimmed(audio: torch.Tensor, _sample_rate: int) -> torch.Tensor:
    """The recording with whatever silence it ends in; [1, samples] twice."""
    return audio


def other_full_scale(original: Function) -> Function:
    """16-bit samples divided by the largest of them, where the reference divides by 2^15."""

    def embed_voice(model: Model, audio: torch.Tensor) -> Any:
        return original(model, audio * INT16_STEPS)

    return embed_voice


_ONE_PASS = (
    instead(generate, "prompt_voice", voice_waits),
    instead(generate, "prompt_text", text_and_voice),
)

SWITCHES: dict[str, tuple[Change, ...]] = {
    "story09": (*_ONE_PASS, instead(flow_lm, "join", voice_added)),
    "story10": _ONE_PASS,
    "story25": (
        around(flow_lm, "forward", kept),
        around(generate, "generate_latents", prompts_counted),
    ),
    "voice_forgotten": (around(generate, "prompt_text", forgetful),),
    "voice_untrimmed": (instead(generate, "end_on_pause", untrimmed),),
    "int16_full_scale": (around(generate, "embed_voice", other_full_scale),),
}
