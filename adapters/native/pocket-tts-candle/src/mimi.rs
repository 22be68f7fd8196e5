//! The Mimi codec without its quantiser: voice to latents, latents to waveform.

use candle_core::Tensor;

use crate::Result;
use crate::config::{Mimi, PadMode};
use crate::conv::{Shape, conv, transposed_conv};
use crate::seanet;
use crate::site::Site;
use crate::stream::Stream;
use crate::transformer::projected_transformer;

/// A whole recording, `[1, 1, samples]`, as latents, `[1, frames, dim]`; the last frame is filled
/// up with zeros.
pub fn encode(site: &Site<'_>, audio: &Tensor, config: &Mimi) -> Result<Tensor> {
    let mut stream = Stream::default();
    let frame = config.frame_samples();
    let missing = audio.dim(2)?.next_multiple_of(frame) - audio.dim(2)?;
    let audio = audio.pad_with_zeros(2, 0, missing)?;
    let x = seanet::encode(&site.at("encoder"), &audio, &config.seanet, &mut stream)?;
    let transformer = site.at("encoder_transformer");
    let x = projected_transformer(&transformer, &x, &config.transformer, &mut stream)?;
    let shape = Shape { stride: config.steps_per_frame(), ..Shape::plain(PadMode::Replicate) };
    let down = site.at("downsample");
    let x = down.pass(conv(&down.at("conv"), &x, &mut stream, shape)?)?;
    site.at("encode_to_latent").pass(x.transpose(1, 2)?.contiguous()?)
}

/// The next latents of a stream, denormalised, `[1, frames, latent]`, as waveform,
/// `[1, 1, frames * samples a frame]`.
pub fn decode(
    site: &Site<'_>,
    latents: &Tensor,
    config: &Mimi,
    stream: &mut Stream,
) -> Result<Tensor> {
    let quantizer = site.at("quantizer");
    let projection = quantizer.at("output_proj");
    let x =
        latents.transpose(1, 2)?.contiguous()?.conv1d(projection.weight("weight")?, 0, 1, 1, 1)?;
    let x = quantizer.pass(projection.pass(x)?)?;
    let up = site.at("upsample");
    let x = up.pass(transposed_conv(&up.at("convtr"), &x, stream, config.steps_per_frame())?)?;
    let transformer = site.at("decoder_transformer");
    let x = projected_transformer(&transformer, &x, &config.transformer, stream)?;
    let x = seanet::decode(&site.at("decoder"), &x, &config.seanet, stream)?;
    site.at("decode_from_latent").pass(x)
}
