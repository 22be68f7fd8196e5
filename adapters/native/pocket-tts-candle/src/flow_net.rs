//! The flow network: an MLP with adaptive layer norm that turns noise into a latent.

use candle_core::{D, Tensor};

use crate::Result;
use crate::faults::Fault;
use crate::layers::{layer_norm, linear, rms_norm};
use crate::site::Site;

const NORM_EPS: f64 = 1e-6;
const TIME_EPS: f64 = 1e-5;

/// Walk from noise to a latent in `steps` jumps of Lagrangian self-distillation
/// (<https://arxiv.org/abs/2505.18825>); each jump knows where it starts and where it lands.
///
/// `condition` is `[1, dim]`, `noise` and the latent are `[1, latent]`.
pub fn sample_latent(
    site: &Site<'_>,
    condition: &Tensor,
    noise: &Tensor,
    depth: usize,
    steps: usize,
) -> Result<Tensor> {
    let mut x = noise.clone();
    for step in 0..steps {
        let start = step as f64 / steps as f64;
        let target = (step + 1) as f64 / steps as f64;
        let direction = flow_direction(site, condition, (start, target), &x, depth)?;
        x = (x + (direction / steps as f64)?)?;
    }
    Ok(x)
}

/// The mean direction between two times; `[1, latent]`.
fn flow_direction(
    site: &Site<'_>,
    condition: &Tensor,
    times: (f64, f64),
    x: &Tensor,
    depth: usize,
) -> Result<Tensor> {
    let mut x = linear(&site.at("input_proj"), x)?;
    let condition = linear(&site.at("cond_embed"), condition)?;
    let context = (condition + time_context(site, times)?)?;
    for index in 0..depth {
        x = residual_block(&site.at("res_blocks").at(index), &x, &context)?;
    }
    site.pass(final_layer(&site.at("final_layer"), &x, &context)?)
}

/// The mean of two embeddings, of the start by the first and of the target by the second.
fn time_context(site: &Site<'_>, (start, target): (f64, f64)) -> Result<Tensor> {
    let embedders = site.at("time_embed");
    if site.has(Fault::OneTime) {
        return embed_time(&embedders.at(0), 1.0 - start);
    }
    let sum = (embed_time(&embedders.at(0), start)? + embed_time(&embedders.at(1), target)?)?;
    Ok((sum / 2.0)?)
}

/// A time in 0 to 1 as a vector; `[1, dim]`.
fn embed_time(site: &Site<'_>, time: f64) -> Result<Tensor> {
    let mlp = site.at("mlp");
    let angles = (site.weight("freqs")?.flatten_all()?.unsqueeze(0)? * time)?;
    let mut waves = [angles.cos()?, angles.sin()?];
    if site.has(Fault::SinCos) {
        waves.reverse();
    }
    let x = linear(&mlp.at(0), &Tensor::cat(&waves, D::Minus1)?)?;
    let x = mlp.at(1).pass(x.silu()?)?;
    let x = linear(&mlp.at(2), &x)?;
    site.pass(mlp.pass(rms_norm(&mlp.at(3), &x, TIME_EPS)?)?)
}

/// One block, steered by the context; `[1, dim]` twice.
fn residual_block(site: &Site<'_>, x: &Tensor, context: &Tensor) -> Result<Tensor> {
    let [shift, scale, gate] = adaptive(&site.at("adaLN_modulation"), context)?;
    let h = modulate(&layer_norm(&site.at("in_ln"), x, NORM_EPS)?, &shift, &scale)?;
    let mlp = site.at("mlp");
    let h = linear(&mlp.at(0), &h)?;
    let h = if site.has(Fault::FlowGelu) { h.gelu_erf()? } else { h.silu()? };
    let h = linear(&mlp.at(2), &mlp.at(1).pass(h)?)?;
    site.pass((x + (gate * mlp.pass(h)?)?)?)
}

/// Norm without weights, modulation, projection; `[1, dim] -> [1, latent]`.
fn final_layer(site: &Site<'_>, x: &Tensor, context: &Tensor) -> Result<Tensor> {
    let [shift, scale] = adaptive(&site.at("adaLN_modulation"), context)?;
    let norm = site.at("norm_final");
    let h = if site.has(Fault::NoFinalNorm) { x.clone() } else { layer_norm(&norm, x, NORM_EPS)? };
    site.pass(linear(&site.at("linear"), &modulate(&h, &shift, &scale)?)?)
}

/// How the context steers a layer: shift, scale, and gate where there are three; `[1, dim]` each.
fn adaptive<const N: usize>(site: &Site<'_>, context: &Tensor) -> Result<[Tensor; N]> {
    let swapped = site.has(Fault::AdalnOrder);
    let active = if swapped { context.clone() } else { site.at(0).pass(context.silu()?)? };
    let all = site.pass(linear(&site.at(1), &active)?)?;
    let width = all.dim(D::Minus1)? / N;
    let mut parts = Vec::with_capacity(N);
    for index in 0..N {
        parts.push(all.narrow(D::Minus1, index * width, width)?);
    }
    if swapped {
        parts.swap(0, 1);
    }
    Ok(parts.try_into().expect("there are N parts"))
}

/// The affine map of adaptive layer norm, in which a scale of zero changes nothing.
fn modulate(x: &Tensor, shift: &Tensor, scale: &Tensor) -> Result<Tensor> {
    Ok(((x * (scale + 1.0)?)? + shift)?)
}
