//! The stateless layers, each passed at its site.

use candle_core::{D, Tensor};

use crate::Result;
use crate::faults::Fault;
use crate::site::Site;

/// Affine map of the last axis; `[..., in] -> [..., out]`.
pub fn linear(site: &Site<'_>, x: &Tensor) -> Result<Tensor> {
    site.pass(affine(site, x)?)
}

fn affine(site: &Site<'_>, x: &Tensor) -> Result<Tensor> {
    let weight = site.weight("weight")?;
    let y = project(weight, x)?;
    Ok(match site.find("bias") {
        Some(bias) => y.broadcast_add(bias)?,
        None => y,
    })
}

/// `x` times the transpose of `weight`; `[..., in]` and `[out, in]` to `[..., out]`.
pub fn project(weight: &Tensor, x: &Tensor) -> Result<Tensor> {
    let (out, inner) = weight.dims2()?;
    let mut shape = x.dims().to_vec();
    let last = shape.len() - 1;
    shape[last] = out;
    if x.elem_count() == 0 {
        return Ok(Tensor::zeros(shape, x.dtype(), x.device())?);
    }
    let rows = x.contiguous()?.reshape(((), inner))?;
    Ok(rows.matmul(&weight.t()?)?.reshape(shape)?)
}

/// Rows of the table; `tokens` to `[1, tokens, dim]`.
pub fn embedding(site: &Site<'_>, tokens: &[u32]) -> Result<Tensor> {
    let table = site.weight("weight")?;
    if tokens.is_empty() {
        return site.pass(Tensor::zeros((1, 0, table.dim(1)?), table.dtype(), table.device())?);
    }
    let rows = table.index_select(&Tensor::new(tokens, table.device())?, 0)?;
    site.pass(rows.unsqueeze(0)?)
}

/// One learnt factor a channel, on a residual branch, or none; `[..., dim]` twice.
pub fn layer_scale(site: &Site<'_>, x: Tensor) -> Result<Tensor> {
    match site.find("scale") {
        Some(scale) => site.pass(x.broadcast_mul(scale)?),
        None => site.pass(x),
    }
}

/// Zero mean and unit biased variance over the last axis, then weight and bias if there are.
pub fn layer_norm(site: &Site<'_>, x: &Tensor, eps: f64) -> Result<Tensor> {
    if x.elem_count() == 0 {
        return site.pass(x.clone());
    }
    let rms = site.has(Fault::RmsNorm) && site.find("weight").is_some();
    let centred = if rms { x.clone() } else { x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)? };
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    let mut y = centred.broadcast_div(&(variance + eps)?.sqrt()?)?;
    if let Some(weight) = site.find("weight") {
        y = y.broadcast_mul(weight)?;
    }
    if let (Some(bias), false) = (site.find("bias"), rms) {
        y = y.broadcast_add(bias)?;
    }
    site.pass(y)
}

/// What the reference calls `RMSNorm`: alpha * x / sqrt(unbiased variance + eps).
///
/// The mean goes into the variance but is not taken off x. `[..., dim]` twice.
pub fn rms_norm(site: &Site<'_>, x: &Tensor, eps: f64) -> Result<Tensor> {
    let alpha = site.weight("alpha")?;
    if site.has(Fault::AlphaOnly) {
        return site.pass(x.broadcast_mul(alpha)?);
    }
    let count = x.dim(D::Minus1)? as f64;
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = (centred.sqr()?.sum_keepdim(D::Minus1)? / (count - 1.0))?;
    site.pass(x.broadcast_mul(alpha)?.broadcast_div(&(variance + eps)?.sqrt()?)?)
}

/// Softmax over the last axis.
pub fn softmax(x: &Tensor) -> Result<Tensor> {
    let powers = x.broadcast_sub(&x.max_keepdim(D::Minus1)?)?.exp()?;
    Ok(powers.broadcast_div(&powers.sum_keepdim(D::Minus1)?)?)
}
