//! Causal convolutions that carry their past from call to call.

use candle_core::Tensor;

use crate::Result;
use crate::config::PadMode;
use crate::site::Site;
use crate::stream::Stream;

/// How a convolution steps.
#[derive(Clone, Copy)]
pub struct Shape {
    /// Samples a step.
    pub stride: usize,
    /// Distance of the kernel's taps.
    pub dilation: usize,
    /// What stands before the first sample.
    pub pad: PadMode,
}

impl Shape {
    /// Steps of one sample over neighbours.
    pub fn plain(pad: PadMode) -> Self {
        Self { stride: 1, dilation: 1, pad }
    }
}

/// Convolve what is new with the history before it.
///
/// `site` is the streaming convolution, and the plain one inside it is `conv`. The stream keeps the
/// last (effective kernel - stride) samples. `[1, channels, length]` to `[1, out, length / stride]`.
pub fn conv(site: &Site<'_>, x: &Tensor, stream: &mut Stream, shape: Shape) -> Result<Tensor> {
    let plain = site.at("conv");
    let weight = plain.weight("weight")?;
    let reach = (weight.dim(2)? - 1) * shape.dilation + 1 - shape.stride;
    let mut x = x.contiguous()?;
    if reach > 0 {
        let past = match stream.get(site.path()) {
            Some(past) => past.clone(),
            None => before_first(&x, reach, shape.pad)?,
        };
        x = Tensor::cat(&[&past, &x], 2)?;
        stream.put(site.path(), x.narrow(2, x.dim(2)? - reach, reach)?.contiguous()?);
    }
    let y = x.conv1d(weight, 0, shape.stride, shape.dilation, 1)?;
    site.pass(plain.pass(biased(&plain, y)?)?)
}

/// What stands before the first sample; `[1, channels, reach]`.
fn before_first(x: &Tensor, reach: usize, pad: PadMode) -> Result<Tensor> {
    let first = x.narrow(2, 0, 1)?;
    let first = if pad == PadMode::Replicate { first } else { first.zeros_like()? };
    let (batch, channels, _) = first.dims3()?;
    Ok(first.broadcast_as((batch, channels, reach))?.contiguous()?)
}

/// Upsample by `stride` and overlap-add with the tail of the call before.
///
/// The tail is kept without the bias, which the next call adds again. `site` is the streaming
/// convolution, and the plain one inside it is `convtr`; one with a single output channel a group
/// is depthwise. `[1, channels, length]` to `[1, out, length * stride]`.
pub fn transposed_conv(
    site: &Site<'_>,
    x: &Tensor,
    stream: &mut Stream,
    stride: usize,
) -> Result<Tensor> {
    let plain = site.at("convtr");
    let weight = plain.weight("weight")?;
    let bare = if weight.dim(1)? == 1 && weight.dim(0)? > 1 {
        depthwise(weight, x, stride)?
    } else {
        x.contiguous()?.conv_transpose1d(weight, 0, 0, stride, 1, 1)?
    };
    let y = plain.pass(biased(&plain, bare)?)?;
    let overlap = weight.dim(2)? - stride;
    let length = y.dim(2)? - overlap;
    let mut done = y.narrow(2, 0, length)?;
    if let Some(past) = stream.get(site.path()) {
        let seam = (done.narrow(2, 0, overlap)? + past)?;
        done = Tensor::cat(&[seam, done.narrow(2, overlap, length - overlap)?], 2)?;
    }
    let tail = y.narrow(2, length, overlap)?;
    let tail = match plain.find("bias") {
        Some(bias) => tail.broadcast_sub(&bias.unsqueeze(1)?)?,
        None => tail.contiguous()?,
    };
    stream.put(site.path(), tail);
    site.pass(done.contiguous()?)
}

/// A transposed convolution in which each channel goes by itself.
///
/// Every sample is multiplied by its channel's kernel, and what falls on the same place is added:
/// block j of a kernel, `stride` long, falls j samples later.
fn depthwise(weight: &Tensor, x: &Tensor, stride: usize) -> Result<Tensor> {
    let (batch, channels, length) = x.dims3()?;
    let kernel = weight.dim(2)?;
    let spread = x.unsqueeze(3)?.broadcast_mul(&weight.reshape((1, channels, 1, kernel))?)?;
    let total = (length - 1) * stride + kernel;
    let mut sum = Tensor::zeros((batch, channels, total), x.dtype(), x.device())?;
    for from in (0..kernel).step_by(stride) {
        let width = stride.min(kernel - from);
        let mut block = spread.narrow(3, from, width)?;
        if width < stride {
            block = block.pad_with_zeros(3, 0, stride - width)?;
        }
        let block = block.contiguous()?.reshape((batch, channels, length * stride))?;
        let fits = (total - from).min(length * stride);
        let block = block.narrow(2, 0, fits)?;
        sum = (sum + block.pad_with_zeros(2, from, total - from - fits)?)?;
    }
    Ok(sum)
}

fn biased(site: &Site<'_>, y: Tensor) -> Result<Tensor> {
    Ok(match site.find("bias") {
        Some(bias) => y.broadcast_add(&bias.unsqueeze(1)?)?,
        None => y,
    })
}
