//! From a voice and a text to latents, and from latents to a waveform.

use candle_core::{Device, Tensor};

use crate::Result;
use crate::faults::Fault;
use crate::flow_lm::{self, Inputs};
use crate::layers::project;
use crate::mimi;
use crate::speak::Run;
use crate::stream::Stream;
use crate::voice::{end_on_pause, linspace};

// Speech is at least this slow, and this much longer than its tokens say.
const TOKENS_PER_SECOND: f64 = 3.0;
const EXTRA_SECONDS: f64 = 2.0;
const FADE_IN_PER_SECOND: usize = 200; // a 200th of a second

/// How latents become a waveform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decode {
    /// Latent by latent.
    Stream,
    /// All latents of a chunk in one pass.
    Batch,
}

/// The voice as the language model takes it in; `[1, count, dim]`.
pub fn embed_voice(run: &Run<'_>, audio: &[f32]) -> Result<Tensor> {
    let audio = end_on_pause(audio, run.config.mimi.sample_rate);
    let count = audio.len();
    let audio = Tensor::from_vec(audio, (1, 1, count), &Device::Cpu)?;
    let latents = mimi::encode(&run.site.at("mimi"), &audio, &run.config.mimi)?;
    project(run.site.at("flow_lm").weight("speaker_proj_weight")?, &latents)
}

/// A stream of the language model that has heard the voice.
pub fn prompt_voice(run: &Run<'_>, voice: &Tensor) -> Result<Stream> {
    let mut stream = Stream::default();
    let inputs = Inputs { voice: Some(voice.clone()), ..Inputs::default() };
    if !run.site.has(Fault::TextFirst) && !run.site.has(Fault::VoiceMean) {
        flow_lm::forward(run, &inputs, &mut stream)?;
    }
    Ok(stream)
}

/// Let a stream read the text after the voice.
pub fn prompt_text(
    run: &Run<'_>,
    tokens: Vec<u32>,
    voice: &Tensor,
    stream: &mut Stream,
) -> Result<()> {
    if run.site.has(Fault::VoiceMean) {
        let text = flow_lm::embed(run, &Inputs { tokens, ..Inputs::default() })?;
        let mixed = text.broadcast_add(&voice.mean_keepdim(1)?)?;
        return flow_lm::step(run, &mixed, stream).map(drop);
    }
    let voice = run.site.has(Fault::TextFirst).then(|| voice.clone());
    flow_lm::forward(run, &Inputs { tokens, voice, latents: None }, stream).map(drop)
}

/// Speak on until speech ends: normalised latents, `[1, latent]` each.
///
/// The pass that comes after the last frame still makes a latent, which is not given out.
/// `max_frames` bounds the length if no end is found; `tail_frames` are kept from the frame at
/// which it is.
pub fn generate_latents(
    run: &Run<'_>,
    stream: &mut Stream,
    max_frames: usize,
    tail_frames: usize,
) -> Result<Vec<Tensor>> {
    let dim = run.config.latent_dim();
    let mut latent = Tensor::full(f32::NAN, (1, dim), &Device::Cpu)?;
    let mut frames = Vec::new();
    let mut end = None;
    for frame in 0..max_frames {
        run.site.tap().next_step();
        let inputs = Inputs { latents: Some(latent.unsqueeze(1)?), ..Inputs::default() };
        let (next, is_end) = flow_lm::forward(run, &inputs, stream)?;
        latent = next;
        if run.site.has(Fault::DenormaliseInLoop) {
            latent = denormalise(run, &latent)?;
        }
        if end.is_none() && frame >= run.settings.min_frames && is_end {
            end = Some(frame);
        }
        if end.is_some_and(|end| frame >= end + tail_frames) {
            break;
        }
        frames.push(latent.clone());
    }
    Ok(frames)
}

/// The bound on the frames of a chunk whose end of speech is never found.
pub fn longest(tokens: usize, frame_rate: f64) -> usize {
    ((tokens as f64 / TOKENS_PER_SECOND + EXTRA_SECONDS) * frame_rate).ceil() as usize
}

/// The waveform of one chunk; `latents` are normalised, `[frames, latent]`.
pub fn decode_latents(run: &Run<'_>, latents: &Tensor, decode: Decode) -> Result<Vec<f32>> {
    let in_loop = run.site.has(Fault::DenormaliseInLoop);
    let latents =
        if in_loop { latents.clone() } else { denormalise(run, latents)? }.unsqueeze(0)?;
    let frames = latents.dim(1)?;
    let block = if decode == Decode::Stream { 1 } else { frames.max(1) };
    let (mut stream, mut audio) = (Stream::default(), Vec::new());
    for start in (0..frames).step_by(block) {
        run.site.tap().next_step();
        let piece = latents.narrow(1, start, block)?;
        let waveform = mimi::decode(&run.site.at("mimi"), &piece, &run.config.mimi, &mut stream)?;
        audio.extend(waveform.flatten_all()?.to_vec1::<f32>()?);
    }
    fade_in(&mut audio, run.config.mimi.sample_rate);
    Ok(audio)
}

/// From the language model's range to the codec's; `[..., latent]` twice.
fn denormalise(run: &Run<'_>, latents: &Tensor) -> Result<Tensor> {
    let site = run.site.at("flow_lm");
    let scaled = latents.broadcast_mul(site.weight("emb_std")?)?;
    Ok(scaled.broadcast_add(site.weight("emb_mean")?)?)
}

/// Take off the step with which a fresh decoder begins.
fn fade_in(audio: &mut [f32], sample_rate: usize) {
    for (sample, factor) in
        audio.iter_mut().zip(linspace(0.0, 1.0, sample_rate / FADE_IN_PER_SECOND))
    {
        *sample *= factor;
    }
}
