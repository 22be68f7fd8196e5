//! Causal multi-head self-attention with a growing cache of keys and values.

use candle_core::{Device, Tensor};

use crate::Result;
use crate::layers::{linear, softmax};
use crate::rope::Rotation;
use crate::site::Site;
use crate::stream::Stream;

/// The new positions of one call, the same for all layers.
pub struct Window {
    /// The rotation of each.
    pub rotation: Rotation,
    /// What is added to the scores: 0 to look, minus infinity not to; `None` to see everything.
    pub mask: Option<Tensor>,
}

/// Which keys each query may look at: itself and those before it, no more than `context` in all.
///
/// `[length, start + length]`; queries stand at positions `start` onward, keys at 0 onward.
pub fn causal_mask(start: usize, length: usize, context: Option<usize>) -> Result<Option<Tensor>> {
    let keys = start + length;
    if length == 1 && context.is_none_or(|context| keys <= context) {
        return Ok(None);
    }
    let visible =
        |query: usize, key: usize| key <= query && context.is_none_or(|c| query - key < c);
    let mask: Vec<f32> = (start..keys)
        .flat_map(|query| (0..keys).map(move |key| (query, key)))
        .map(|(query, key)| if visible(query, key) { 0.0 } else { f32::NEG_INFINITY })
        .collect();
    Ok(Some(Tensor::from_vec(mask, (length, keys), &Device::Cpu)?))
}

/// Self-attention of new positions over all positions so far; `[1, length, dim]` twice.
pub fn attend(
    site: &Site<'_>,
    rope: &Site<'_>,
    x: &Tensor,
    heads: usize,
    window: &Window,
    stream: &mut Stream,
) -> Result<Tensor> {
    let (batch, length, dim) = x.dims3()?;
    let fused = linear(&site.at("in_proj"), x)?.reshape((batch, length, 3, heads, dim / heads))?;
    let part = |index| -> Result<Tensor> { Ok(fused.narrow(2, index, 1)?.squeeze(2)?) };
    let queries = rope.pass(window.rotation.apply(rope, &part(0)?)?)?;
    let keys = rope.pass_slot("1", window.rotation.apply(rope, &part(1)?)?)?;
    let keys = stream.append(&format!("{}.keys", site.path()), &keys.transpose(1, 2)?, 2)?;
    let values =
        stream.append(&format!("{}.values", site.path()), &part(2)?.transpose(1, 2)?, 2)?;
    let mixed =
        weigh(&queries.transpose(1, 2)?.contiguous()?, &keys, &values, window.mask.as_ref())?;
    let mixed = mixed.transpose(1, 2)?.reshape((batch, length, dim))?;
    site.pass(linear(&site.at("out_proj"), &mixed)?)
}

/// The values that each query looks at, averaged; `[1, heads, length, head_dim]`.
fn weigh(
    queries: &Tensor,
    keys: &Tensor,
    values: &Tensor,
    mask: Option<&Tensor>,
) -> Result<Tensor> {
    let scale = 1.0 / (queries.dim(3)? as f64).sqrt();
    let mut scores = (queries.matmul(&keys.t()?)? * scale)?;
    if let Some(mask) = mask {
        scores = scores.broadcast_add(mask)?;
    }
    Ok(softmax(&scores)?.matmul(values)?)
}
