"""An independent port of the vocoder: functions over a dictionary of weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import torch
from torch import nn
from torch.nn import functional

from benchmarks.faults.pairs.vocoder.fold import prepared
from benchmarks.faults.pairs.vocoder.frontend import frontend
from benchmarks.faults.pairs.vocoder.ops import Place, batch_norm, convolve, linear
from benchmarks.faults.pairs.vocoder.recurrent import gru_cell, lstm
from benchmarks.faults.pairs.vocoder.reference import (
    CHANNELS,
    EMPHASIS,
    FRAME,
    MU,
    SPEAKERS,
    build,
)
from parity.capture import next_step, phase
from parity.tensors import Case

__all__ = ["Port"]

Noise = Callable[[tuple[int, ...]], torch.Tensor]

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class Port:
    """The port, with some faults on, in one precision and one variant."""

    name = "vocoder port"

    def __init__(self, faults: frozenset[str], precision: str, variant: str) -> None:
        self.modules: Mapping[str, nn.Module] = {}
        dtype = DTYPES[precision]
        state = {name: value.clone() for name, value in build().state_dict().items()}
        weights = {
            name: value.to(dtype) for name, value in prepared(state, faults, variant).items()
        }
        self.root = Place(weights, "", faults, variant, dtype)

    @torch.no_grad()
    def run(self, case: Case) -> dict[str, torch.Tensor]:
        """Samples, [batch, samples]."""
        samples = torch.from_numpy(case.arrays["samples"])
        speaker = torch.tensor(case.inputs["speaker"])
        return {"wave": model(self.root, samples, speaker, noise_of(case, self.root))}


def noise_of(case: Case, place: Place) -> Noise:
    """Standard normal numbers of a wanted shape: the tape's, or fresh ones where there is none."""
    tape: Iterator[torch.Tensor] | None = None
    if case.noise is not None:
        tape = (torch.from_numpy(draw.values.copy()) for draw in case.noise)

    drawn: list[torch.Tensor] = []

    def draw(shape: tuple[int, ...]) -> torch.Tensor:
        drawn.append(torch.randn(shape) if tape is None else next(tape))
        values = drawn[0 if place.has("noise_of_first_step") else -1]
        if place.has("noise_laid_out_by_frame"):
            values = values.reshape(shape[::-1]).T
        return values.to(place.dtype)

    return draw


def model(place: Place, samples: torch.Tensor, speaker: torch.Tensor, noise: Noise) -> torch.Tensor:
    """int16[batch, samples], int64[batch] -> [batch, 2 * frames * frame]."""
    x, state = encoder(place / "encoder", frontend(place / "frontend", samples), speaker)
    x = upsample(place / "upsample", x)
    x = postnet(place / "postnet", decoder(place / "decoder", x, state, noise))
    if place.has("expansion_last"):
        x = deemphasis(place / "deemphasis", x)
        return place.tap((place / "expand").tap(expanded(place, x)))
    x = (place / "expand").tap(expanded(place, x))
    return place.tap(deemphasis(place / "deemphasis", x))


def encoder(
    place: Place, x: torch.Tensor, speaker: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Frames [batch, frames, 2 * units] and the decoder's first state [batch, width]."""
    for index in range(3):
        x = conv_block(place / "convs" / index, x, index)
    if place.has("speaker_from_one"):
        speaker = (speaker + 1) % SPEAKERS
    voice = (place / "speaker").tap((place / "speaker")["weight"][speaker])
    if place.has("speaker_enlarged"):
        voice = voice * CHANNELS**0.5
    if not place.has("speaker_not_added"):
        x = x + voice[:, :, None]
    x, hidden = lstm(place / "lstm", x.mT)
    last = torch.cat(hidden[-2:], dim=1)
    if place.has("bridge_reads_last_frame"):
        last = x[:, -1]
    if place.has("bridge_reads_first_layer"):
        last = torch.cat(hidden[:2], dim=1)
    state = linear(place / "bridge", last)
    state = state if place.has("bridge_without_tanh") else torch.tanh(state)
    return place.tap(x), place.tap(state, "1")


def conv_block(place: Place, x: torch.Tensor, index: int) -> torch.Tensor:
    """Convolution, batch norm, ReLU; [batch, channels, frames]."""
    y = encoder_conv(place / "conv", x, index)
    norm, act, statistics = place / "bn", place / "act", None
    if index == 1 and place.has("relu_before_bn"):
        return place.tap(batch_norm(norm, act.tap(y.clamp(min=0))))
    if index == 1 and place.has("bn_statistics_of_sibling"):
        statistics = replace(norm, path=norm.path.replace("convs.1", "convs.2"))
    y = batch_norm(norm, y, statistics=statistics).clamp(min=0)
    if index == 2 and place.has("relu_clamped"):
        y = y.clamp(max=1.0)
    return place.tap(act.tap(y))


def encoder_conv(place: Place, x: torch.Tensor, index: int) -> torch.Tensor:
    """The convolution number `index`; [batch, channels, frames] -> [batch, channels, frames]."""
    weight, bias = place["weight"], place["bias"]
    dilation = 2 if index == 1 and not place.has("dilation_ignored") else 1
    if index == 1 and place.has("dilation_doubled"):
        dilation = 4
    reach = dilation * (weight.shape[-1] - 1) // 2
    if index == 0 and place.has("kernel_flipped"):
        weight = weight.flip(-1)
    sides = (2 * reach, 0) if index == 0 and place.has("conv_causal") else (reach, reach)
    mode = "replicate" if place.has("conv_pads_replicate") else "constant"
    x = functional.pad(x, sides, mode=mode)
    parts = x.chunk(x.shape[1] // weight.shape[1], dim=1)
    if len(parts) > 1 and place.has("groups_interleaved"):
        parts = tuple(x[:, first :: len(parts)] for first in range(len(parts)))
    groups = zip(parts, weight.chunk(len(parts)), strict=True)
    y = torch.cat([convolve(place, part, own, dilation=dilation) for part, own in groups], dim=1)
    if index == 0 and place.has("conv_bias_lost"):
        return place.tap(y)
    return place.tap(y + bias[:, None])


def upsample(place: Place, x: torch.Tensor) -> torch.Tensor:
    """Zeros between frames, then a convolution; [batch, frames, c] -> [batch, 2 * frames, c]."""
    weight = place["weight"]
    weight = weight if place.has("upsample_kernel_transposed") else weight.transpose(0, 1)
    if not place.has("upsample_kernel_not_flipped"):
        weight = weight.flip(-1)
    batch, frames, channels = x.shape
    spread = torch.stack([x, torch.zeros_like(x)], dim=2).reshape(batch, 2 * frames, channels)
    # The last zero stands where the kernel reaches beyond the last frame.
    sides = (3, 0) if place.has("upsample_trims_right") else (2, 1)
    y = convolve(place, functional.pad(spread.mT, sides), weight)
    return place.tap(y + place["bias"][:, None]).mT


def decoder(
    place: Place, conditions: torch.Tensor, state: torch.Tensor, noise: Noise
) -> torch.Tensor:
    """[batch, steps, 2 * units], [batch, width] -> [batch, steps * frame]."""
    before = torch.zeros(len(conditions), FRAME, dtype=place.dtype)
    h1, h2 = state, torch.zeros_like(state)
    if place.has("first_state_zero"):
        h1 = torch.zeros_like(state)
    if place.has("state_for_second_cell"):
        h1, h2 = h2, h1
    frames = []
    with phase("generate"):
        for step in range(conditions.shape[1]):
            next_step()
            lag = 1 if place.has("condition_lags") and step else 0
            if place.has("second_state_reset"):
                h2 = torch.zeros_like(h2)
            frame, before, h1, h2 = cell(
                place / "cell", before, conditions[:, step - lag], (h1, h2), noise
            )
            frames.append(frame)
    return place.tap(torch.cat(frames, dim=1))


def cell(
    place: Place,
    before: torch.Tensor,
    condition: torch.Tensor,
    states: tuple[torch.Tensor, torch.Tensor],
    noise: Noise,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """The next samples, what is fed back of them, and both next states."""
    pre = prenet(place / "prenet", before)
    both = [condition, pre] if place.has("condition_before_samples") else [pre, condition]
    x = linear(place / "rnn_in", torch.cat(both, dim=-1))
    h1 = gru_cell(place / "gru1", x, states[0])
    x = h1 if place.has("first_residual_dropped") else x + h1
    if place.has("state_in_half"):
        h1 = h1.half().to(h1.dtype)
    h2 = gru_cell(place / "gru2", x, states[1])
    y = linear(place / "fc", x + h2)
    act = place / "act"
    y = act.tap(leaky(y, 0.2 if place.has("output_slope") else 0.1))
    mean, spread = linear(place / "out", y).chunk(2, dim=-1)
    if place.has("mean_and_spread_swapped"):
        mean, spread = spread, mean
    sample = mean + deviation(place, spread) * drawn(place, noise, mean)
    frame = sample if place.has("samples_not_clamped") else sample.clamp(-1, 1)
    for slot, value in (("", frame), ("1", h1), ("2", h2)):
        place.tap(value, slot)
    fed_back = frame
    if place.has("feedback_expanded"):
        fed_back = expanded(place, frame)
    if place.has("feedback_without_noise"):
        fed_back = mean.clamp(-1, 1)
    return frame, fed_back, h1, h2


def prenet(place: Place, x: torch.Tensor) -> torch.Tensor:
    """[batch, frame] -> [batch, 24]."""
    slope = 0.01 if place.has("prenet_slope") else 0.1
    y = linear(place / "fc1", x)
    y = leaky(y, slope)
    y = linear(place / "fc2", y)
    return place.tap(y if place.has("prenet_last_activation_omitted") else leaky(y, slope))


def leaky(x: torch.Tensor, slope: float) -> torch.Tensor:
    """Any shape."""
    return torch.where(x < 0, slope * x, x)


def deviation(place: Place, spread: torch.Tensor) -> torch.Tensor:
    """How far samples stray, from its logarithm; [batch, frame]."""
    spread = spread.clamp(min=-2.0 if place.has("spread_floor") else -3.0)
    if place.has("spread_is_log_variance"):
        spread = spread / 2
    temperature = 1.0 if place.has("temperature_one") else 0.7
    if place.has("temperature_squared"):
        temperature = 0.7 * 0.7
    return temperature * torch.exp(spread)


def drawn(place: Place, noise: Noise, like: torch.Tensor) -> torch.Tensor:
    """The noise of a step, [batch, frame]."""
    values = noise(tuple(like.shape))
    if place.has("noise_sign"):
        values = -values
    return torch.zeros_like(values) if place.has("noise_left_out") else values


def postnet(place: Place, x: torch.Tensor) -> torch.Tensor:
    """[batch, samples] -> [batch, samples]."""
    h = mirrored_conv(place / "conv1", x[:, None])
    h = mirrored_conv(place / "conv2", torch.tanh(batch_norm(place / "bn", h)))[:, 0]
    if place.has("postnet_tanh_last"):
        h = torch.tanh(h)
    return place.tap(h if place.has("postnet_residual_dropped") else x + h)


def mirrored_conv(place: Place, x: torch.Tensor) -> torch.Tensor:
    """Same length, the signal mirrored at both ends; [batch, channels, samples]."""
    reach = place["weight"].shape[-1] // 2
    if place.has("postnet_pads_zeros"):
        x = functional.pad(x, (reach, reach))
    else:
        left, right = x[..., 1 : reach + 1].flip(-1), x[..., -reach - 1 : -1].flip(-1)
        x = torch.cat([left, x, right], dim=-1)
    y = convolve(place, x, place["weight"])
    lost = place.has("postnet_bias_lost", "conv1")
    return place.tap(y if lost else y + place["bias"][:, None])


def expanded(place: Place, x: torch.Tensor) -> torch.Tensor:
    """Companded samples -> linear ones, any shape."""
    if place.has("expansion_omitted"):
        return x
    mu = 100.0 if place.has("expansion_mu") else float(MU)
    x = x.float().clamp(-1, 1)
    size = torch.expm1(x.abs() * torch.log1p(torch.tensor(mu))) / mu
    return torch.copysign(size, x).to(place.dtype)


def deemphasis(place: Place, x: torch.Tensor) -> torch.Tensor:
    """The recursion as a triangular matrix of powers; [batch, samples] -> [batch, samples]."""
    if place.has("deemphasis_omitted"):
        return place.tap(x)
    factor = 0.95 if place.has("deemphasis_factor") else EMPHASIS
    index = torch.arange(x.shape[1])
    age = index[:, None] - index
    powers = torch.where(age < 0, 0.0, factor ** age.clamp(min=0).double()).float()
    return place.tap((x.float() @ powers.T).to(place.dtype))
