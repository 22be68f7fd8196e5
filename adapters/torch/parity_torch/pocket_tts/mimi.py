"""The Mimi codec without its quantiser: voice to latents, latents to waveform."""

from __future__ import annotations

import torch
from torch.nn import functional

from parity_torch.pocket_tts import seanet
from parity_torch.pocket_tts.config import MimiConfig
from parity_torch.pocket_tts.conv import conv, transposed_conv
from parity_torch.pocket_tts.stream import Stream
from parity_torch.pocket_tts.transformer import projected_transformer
from parity_torch.pocket_tts.weights import Site

__all__ = ["decode", "encode"]


def encode(site: Site, audio: torch.Tensor, config: MimiConfig) -> torch.Tensor:
    """A whole recording as latents.

    Args:
        site: of the codec.
        audio: [batch, 1, samples] at the codec's rate.
        config: of the codec.

    Returns:
        [batch, frames, dim]; the last frame is filled up with zeros.
    """
    stream = Stream()
    audio = functional.pad(audio, (0, -audio.shape[-1] % config.frame_samples))
    x = seanet.encode(site / "encoder", audio, config.seanet, stream)
    x = projected_transformer(site / "encoder_transformer", x, config.transformer, stream)
    x = _downsample(site / "downsample", x, config, stream)
    return (site / "encode_to_latent").record(x.transpose(1, 2))


def _downsample(site: Site, x: torch.Tensor, config: MimiConfig, stream: Stream) -> torch.Tensor:
    stride = config.transformer_steps_per_frame
    return site.record(conv(site / "conv", x, stream, stride=stride, pad_mode="replicate"))


def decode(site: Site, latents: torch.Tensor, config: MimiConfig, stream: Stream) -> torch.Tensor:
    """The next latents of a stream as waveform.

    Args:
        site: of the codec.
        latents: denormalised, [batch, frames, latent].
        config: of the codec.
        stream: of this utterance.

    Returns:
        [batch, 1, frames * samples a frame].
    """
    x = _dequantise(site / "quantizer", latents.transpose(1, 2))
    x = _upsample(site / "upsample", x, config, stream)
    x = projected_transformer(site / "decoder_transformer", x, config.transformer, stream)
    x = seanet.decode(site / "decoder", x, config.seanet, stream)
    return (site / "decode_from_latent").record(x)


def _dequantise(site: Site, x: torch.Tensor) -> torch.Tensor:
    projection = site / "output_proj"
    return site.record(projection.record(functional.conv1d(x, projection["weight"])))


def _upsample(site: Site, x: torch.Tensor, config: MimiConfig, stream: Stream) -> torch.Tensor:
    stride = config.transformer_steps_per_frame
    return site.record(
        transposed_conv(site / "convtr", x, stream, stride=stride, groups=x.shape[1])
    )
