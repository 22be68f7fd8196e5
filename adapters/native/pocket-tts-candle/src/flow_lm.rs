//! The language model over latents: what was said so far in, the next latent out.

use candle_core::{DType, Device, Tensor};
use parity_candidate::{Point, Role, Values};

use crate::Result;
use crate::flow_net;
use crate::layers::{embedding, layer_norm, linear};
use crate::site::Site;
use crate::speak::{Prefill, Run};
use crate::stream::Stream;
use crate::transformer::transformer;

const NORM_EPS: f64 = 1e-5;

/// What one pass adds to the stream, in this order; what is not there adds nothing.
#[derive(Default)]
pub struct Inputs {
    /// Of the text.
    pub tokens: Vec<u32>,
    /// Voice embeddings, `[1, count, dim]`.
    pub voice: Option<Tensor>,
    /// Spoken last, `[1, count, latent]`.
    pub latents: Option<Tensor>,
}

/// One pass: move the stream on by the inputs and sample what comes next.
///
/// Prompt passes sample too, and throw it away: they use up a draw of the noise.
/// The next latent, `[1, latent]`, and whether speech ends here.
pub fn forward(run: &Run<'_>, inputs: &Inputs, stream: &mut Stream) -> Result<(Tensor, bool)> {
    let x = embed(run, inputs)?;
    step(run, &x, stream)
}

/// As [`forward`], from the sequence itself, `[1, length, dim]`.
pub fn step(run: &Run<'_>, x: &Tensor, stream: &mut Stream) -> Result<(Tensor, bool)> {
    let site = run.site.at("flow_lm");
    let all = backbone(run, &site, x, stream)?;
    let hidden = all.narrow(1, all.dim(1)? - 1, 1)?.squeeze(1)?;
    let logit = linear(&site.at("out_eos"), &hidden)?
        .to_dtype(DType::F32)?
        .flatten_all()?
        .to_vec1::<f32>()?;
    let is_end = f64::from(logit[0]) > run.settings.eos_threshold;
    let noise = run.noise.borrow_mut().draw(site.tap())?;
    let depth = run.config.flow_lm.flow.depth;
    let latent = flow_net::sample_latent(
        &site.at("flow_net"),
        &hidden,
        &noise,
        depth,
        run.settings.decode_steps,
    )?;
    let latent = site.pass(latent)?;
    let point = Point::new(site.path(), Role::Output).slot("1");
    let is_end = site.tap().pass(point, Values { values: vec![is_end], shape: vec![1, 1] })?;
    Ok((latent, is_end.values[0]))
}

/// Text, voice and latents as one sequence, `[1, length, dim]`.
pub fn embed(run: &Run<'_>, inputs: &Inputs) -> Result<Tensor> {
    let site = run.site.at("flow_lm");
    let conditioner = site.at("conditioner");
    let text = conditioner.pass(embedding(&conditioner.at("embed"), &inputs.tokens)?)?;
    let none = Tensor::zeros((1, 0, run.config.latent_dim()), DType::F32, &Device::Cpu)?;
    let latents = begin(&site, inputs.latents.as_ref().unwrap_or(&none))?;
    let latents = linear(&site.at("input_linear"), &latents)?;
    let voice = inputs.voice.clone();
    let parts: Vec<_> = [Some(text), voice, Some(latents)]
        .into_iter()
        .flatten()
        .filter(|part| part.elem_count() > 0)
        .collect();
    Ok(Tensor::cat(&parts, 1)?)
}

/// Put the learnt beginning where NaN marks the latent before the first one.
fn begin(site: &Site<'_>, latents: &Tensor) -> Result<Tensor> {
    if latents.elem_count() == 0 {
        return Ok(latents.clone());
    }
    let learnt = site.weight("bos_emb")?.broadcast_as(latents.shape())?;
    // NaN alone differs from itself.
    Ok(latents.ne(latents)?.where_cond(&learnt, latents)?)
}

/// Transformer and norm, over the whole sequence at once or one position after the other.
fn backbone(run: &Run<'_>, site: &Site<'_>, x: &Tensor, stream: &mut Stream) -> Result<Tensor> {
    let config = &run.config.flow_lm.transformer;
    let length = x.dim(1)?;
    let piece = if run.prefill == Prefill::Block { length } else { 1 };
    let mut outputs = Vec::new();
    for start in (0..length).step_by(piece) {
        let hidden =
            transformer(&site.at("transformer"), &x.narrow(1, start, piece)?, config, stream)?;
        outputs.push(layer_norm(&site.at("out_norm"), &hidden, NORM_EPS)?);
    }
    site.at("backbone").pass(Tensor::cat(&outputs, 1)?)
}
