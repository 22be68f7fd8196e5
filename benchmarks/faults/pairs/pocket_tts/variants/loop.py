"""The loop over frames: noise, the beginning, the end, and the range of latents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from benchmarks.faults.pairs.pocket_tts.planting import Change, Function, around, instead
from parity.errors import NoiseTapeError
from parity.tensors import Case
from parity_torch.pocket_tts import flow_lm, generate, layers, noise
from parity_torch.pocket_tts.model import Model
from parity_torch.pocket_tts.noise import NoiseSource
from parity_torch.pocket_tts.run import Run
from parity_torch.pocket_tts.stream import Stream
from parity_torch.pocket_tts.weights import Site

__all__ = ["GO_ON", "SWITCHES"]

MIN_FRAMES = 40
TAIL_FRAMES = 0
OWN_SEED = 42


class Own:
    """Draws of the port's own generator, [1, latent] each; its language has another than torch."""

    def __init__(self, *, latent_dim: int, std: float, dtype: torch.dtype) -> None:
        self._generator = np.random.default_rng(OWN_SEED)
        self._shape, self._std, self._dtype = (1, latent_dim), std, dtype

    def draw(self) -> torch.Tensor:
        """The next draw, [1, latent]."""
        values = self._generator.normal(0.0, self._std, self._shape)
        return torch.from_numpy(values).to(self._dtype)


class Zeros:
    """No noise: the most likely starting point, [1, latent]."""

    def __init__(self, *, latent_dim: int, dtype: torch.dtype) -> None:
        self._zeros = torch.zeros(1, latent_dim, dtype=dtype)

    def draw(self) -> torch.Tensor:
        """Zeros, [1, latent]."""
        return self._zeros


class Scaled:
    """Draws of another source, [1, latent] each, times a factor."""

    def __init__(self, source: NoiseSource, factor: float) -> None:
        self._source, self._factor = source, factor

    def draw(self) -> torch.Tensor:
        """The next draw, [1, latent]."""
        return self._source.draw() * self._factor


class EndlessTape:
    """A tape's draws, [1, latent] each, and behind its end draws of one's own.

    Not a fault: a port that speaks longer than the reference has to draw something.
    """

    def __init__(self, tape: NoiseSource, rest: NoiseSource) -> None:
        self._tape, self._rest = tape, rest

    def draw(self) -> torch.Tensor:
        """The next draw, [1, latent]."""
        try:
            return self._tape.draw()
        except NoiseTapeError:
            return self._rest.draw()


def endless(original: Function) -> Function:
    """A tape goes on behind its end."""

    def noise_source(
        case: Case, *, latent_dim: int, temperature: float, dtype: torch.dtype, **others: Any
    ) -> NoiseSource:
        source: NoiseSource = original(
            case, latent_dim=latent_dim, temperature=temperature, dtype=dtype, **others
        )
        if case.noise is None:
            return source
        return EndlessTape(source, Own(latent_dim=latent_dim, std=temperature**0.5, dtype=dtype))

    return noise_source


def zeros(
    _case: Case, *, latent_dim: int, temperature: float, clamp: float | None, dtype: torch.dtype
) -> NoiseSource:
    """A source of no noise."""
    del temperature, clamp
    return Zeros(latent_dim=latent_dim, dtype=dtype)


def own_noise(
    _case: Case, *, latent_dim: int, temperature: float, clamp: float | None, dtype: torch.dtype
) -> NoiseSource:
    """Draws that know neither the case's seed nor its tape."""
    del clamp
    return Own(latent_dim=latent_dim, std=temperature**0.5, dtype=dtype)


def temperature_as_deviation(original: Function) -> Function:
    """The temperature taken for the standard deviation, where it is the variance."""

    def noise_source(case: Case, *, temperature: float, **others: Any) -> NoiseSource:
        source = original(case, temperature=temperature, **others)
        # What a tape holds was drawn with the deviation; a port scales its normal draws itself.
        return Scaled(source, temperature**0.5)

    return noise_source


def denormalised_inside(original: Function) -> Function:
    """The next latent in the codec's range, in which it is fed back as well; [1, latent]."""

    def speak_frame(run: Run, latent: torch.Tensor, stream: Stream) -> tuple[torch.Tensor, ...]:
        latent, is_end = original(run, latent, stream)
        site = run.model.flow_lm
        return latent * site["emb_std"] + site["emb_mean"], is_end

    return speak_frame


def as_it_is(_model: Model, latents: torch.Tensor) -> torch.Tensor:
    """Left as they are: that was done in the loop; any shape."""
    return latents


def without_mean(model: Model, latents: torch.Tensor) -> torch.Tensor:
    """Only scaled; any shape."""
    return latents * model.flow_lm["emb_std"]


def mean_before_scale(model: Model, latents: torch.Tensor) -> torch.Tensor:
    """The mean added before the scale; any shape."""
    return (latents + model.flow_lm["emb_mean"]) * model.flow_lm["emb_std"]


def later_end(original: Function) -> Function:
    """The end of speech not believed for long."""

    def generate_latents(run: Run, stream: Stream, **limits: int) -> Iterator[torch.Tensor]:
        settings = replace(run.settings, min_frames=MIN_FRAMES)
        frames: Iterator[torch.Tensor] = original(replace(run, settings=settings), stream, **limits)
        return frames

    return generate_latents


def no_tail(original: Function) -> Function:
    """Nothing kept behind the frame at which the end is found."""

    def generate_latents(run: Run, stream: Stream, *, max_frames: int, **_: int) -> Any:
        return original(run, stream, max_frames=max_frames, tail_frames=TAIL_FRAMES)

    return generate_latents


def likelier_than_not(site: Site, hidden: torch.Tensor, _threshold: float) -> torch.Tensor:
    """The end where its probability is above one half; [1, dim] -> bool[1, 1]."""
    return torch.sigmoid(layers.linear(site / "out_eos", hidden)) > 0.5


def zeros_first(_site: Site, latents: torch.Tensor) -> torch.Tensor:
    """Silence in the place of the learnt beginning; any shape."""
    return torch.nan_to_num(latents)


def no_fade(audio: torch.Tensor, _sample_rate: int) -> torch.Tensor:
    """The waveform from its first sample on; [samples] twice."""
    return audio


# In every port of the bench: no fault, since the case alone decides whether a tape is long enough.
GO_ON = around(noise, "noise_source", endless)

SWITCHES: dict[str, tuple[Change, ...]] = {
    "story14": (
        around(generate, "speak_frame", denormalised_inside),
        instead(generate, "denormalise", as_it_is),
    ),
    "story21": (around(generate, "generate_latents", later_end),),
    "story22": (around(generate, "generate_latents", no_tail),),
    "story23": (instead(noise, "noise_source", zeros),),
    "story24": (instead(noise, "noise_source", own_noise),),
    "temperature_as_deviation": (around(noise, "noise_source", temperature_as_deviation),),
    "mean_forgotten": (instead(generate, "denormalise", without_mean),),
    "mean_before_scale": (instead(generate, "denormalise", mean_before_scale),),
    "end_by_sigmoid": (instead(flow_lm, "ends", likelier_than_not),),
    "zeros_for_beginning": (instead(flow_lm, "begin", zeros_first),),
    "fade_in_left_out": (instead(generate, "fade_in", no_fade),),
}
