//! Rotary positions on interleaved pairs: elements 2i and 2i + 1 of a head turn together.

use candle_core::{D, Device, Tensor};

use crate::Result;
use crate::faults::Fault;
use crate::site::Site;

/// The turn of each position and pair: `[length, 1, head_dim / 2]` each.
pub struct Rotation {
    cos: Tensor,
    sin: Tensor,
}

impl Rotation {
    /// The turns of `length` positions from `start` on.
    ///
    /// Pair i of position p turns by `p * max_period ^ (-2 i / head_dim)`.
    pub fn new(start: usize, length: usize, head_dim: usize, max_period: f32) -> Result<Self> {
        let pairs = head_dim / 2;
        let slope = (-f64::from(max_period).ln() * 2.0 / head_dim as f64) as f32;
        let frequencies: Vec<f32> = (0..pairs).map(|pair| (pair as f32 * slope).exp()).collect();
        let angles: Vec<f32> = (start..start + length)
            .flat_map(|position| {
                frequencies.iter().map(move |frequency| position as f32 * frequency)
            })
            .collect();
        let angles = Tensor::from_vec(angles, (length, 1, pairs), &Device::Cpu)?;
        Ok(Self { cos: angles.cos()?, sin: angles.sin()? })
    }

    /// Turn queries or keys before the heads are transposed; `[1, length, heads, head_dim]` twice.
    pub fn apply(&self, site: &Site<'_>, x: &Tensor) -> Result<Tensor> {
        let half = x.dim(D::Minus1)? / 2;
        if site.has(Fault::RopeHalves) {
            let (real, imaginary) =
                (x.narrow(D::Minus1, 0, half)?, x.narrow(D::Minus1, half, half)?);
            let (real, imaginary) = self.turn(&real, &imaginary)?;
            return Ok(Tensor::cat(&[real, imaginary], D::Minus1)?);
        }
        let (batch, length, heads, _) = x.dims4()?;
        let pairs = x.reshape((batch, length, heads, half, 2))?;
        let real = pairs.narrow(D::Minus1, 0, 1)?.squeeze(D::Minus1)?;
        let imaginary = pairs.narrow(D::Minus1, 1, 1)?.squeeze(D::Minus1)?;
        let (real, imaginary) = self.turn(&real, &imaginary)?;
        Ok(Tensor::stack(&[real, imaginary], D::Minus1)?.flatten_from(D::Minus2)?)
    }

    fn turn(&self, real: &Tensor, imaginary: &Tensor) -> Result<(Tensor, Tensor)> {
        let (cos, sin) = (&self.cos, &self.sin);
        Ok((
            (real.broadcast_mul(cos)? - imaginary.broadcast_mul(sin)?)?,
            (real.broadcast_mul(sin)? + imaginary.broadcast_mul(cos)?)?,
        ))
    }
}
