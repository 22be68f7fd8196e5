//! The pre-norm transformer that the language model and both halves of the codec share.

use candle_core::Tensor;

use crate::Result;
use crate::attention::{Window, attend, causal_mask};
use crate::config::Transformer;
use crate::layers::{layer_norm, layer_scale, linear};
use crate::rope::Rotation;
use crate::site::Site;
use crate::stream::Stream;

const NORM_EPS: f64 = 1e-5;

/// Run new positions through all layers and move the stream on; `[1, length, dim]` twice.
pub fn transformer(
    site: &Site<'_>,
    x: &Tensor,
    config: &Transformer,
    stream: &mut Stream,
) -> Result<Tensor> {
    let (start, length) = (stream.position, x.dim(1)?);
    let head_dim = config.d_model / config.num_heads;
    let window = Window {
        rotation: Rotation::new(start, length, head_dim, config.max_period)?,
        mask: causal_mask(start, length, config.context)?,
    };
    let mut x = x.clone();
    for index in 0..config.num_layers {
        let layer = site.at("layers").at(index);
        x = transformer_layer(&layer, &site.at("rope"), &x, config.num_heads, &window, stream)?;
    }
    stream.position += length;
    site.pass(x)
}

/// Attention, then the feed-forward part, each around a skip; `[1, length, dim]` twice.
fn transformer_layer(
    layer: &Site<'_>,
    rope: &Site<'_>,
    x: &Tensor,
    heads: usize,
    window: &Window,
    stream: &mut Stream,
) -> Result<Tensor> {
    let normed = layer_norm(&layer.at("norm1"), x, NORM_EPS)?;
    let update = attend(&layer.at("self_attn"), rope, &normed, heads, window, stream)?;
    let x = (x + layer_scale(&layer.at("layer_scale_1"), update)?)?;
    let update = feed_forward(layer, &layer_norm(&layer.at("norm2"), &x, NORM_EPS)?)?;
    layer.pass((&x + layer_scale(&layer.at("layer_scale_2"), update)?)?)
}

/// Widening, GELU, narrowing; `[1, length, dim]` twice.
fn feed_forward(layer: &Site<'_>, x: &Tensor) -> Result<Tensor> {
    // The tanh form, which the reference has used since its version 3.1: candle's `gelu`.
    let wide = linear(&layer.at("linear1"), x)?.gelu()?;
    linear(&layer.at("linear2"), &wide)
}

/// The codec's transformer, which takes and gives channels first; `[1, dim, length]` twice.
pub fn projected_transformer(
    site: &Site<'_>,
    x: &Tensor,
    config: &Transformer,
    stream: &mut Stream,
) -> Result<Tensor> {
    let mut x = x.transpose(1, 2)?.contiguous()?;
    let input = site.at("input_proj");
    if input.find("weight").is_some() {
        x = linear(&input, &x)?;
    }
    x = transformer(&site.at("transformer"), &x, config, stream)?;
    let output = site.at("output_projs").at(0);
    x = if output.find("weight").is_some() { linear(&output, &x)? } else { output.pass(x)? };
    site.pass(x.transpose(1, 2)?.contiguous()?)
}
