//! The convolutional halves of the codec: waveform to features, and features to waveform.

use candle_core::Tensor;

use crate::Result;
use crate::config::Seanet;
use crate::conv::{Shape, conv, transposed_conv};
use crate::faults::Fault;
use crate::site::Site;
use crate::stream::Stream;

/// One half while it runs: its sites are `0`, `1`, `2`, ... in the order they are asked for.
struct Half<'a> {
    model: Site<'a>,
    count: usize,
    config: &'a Seanet,
    decoder: bool,
}

/// `[1, 1, samples]` to `[1, dim, samples / product of the ratios]`.
pub fn encode(site: &Site<'_>, x: &Tensor, config: &Seanet, stream: &mut Stream) -> Result<Tensor> {
    let mut half = Half { model: site.at("model"), count: 0, config, decoder: false };
    let mut x = conv(&half.next(), x, stream, Shape::plain(config.pad_mode))?;
    for &ratio in config.ratios.iter().rev() {
        x = half.residual_units(x, stream)?;
        x = half.activation(&x)?;
        let shape = Shape { stride: ratio, ..Shape::plain(config.pad_mode) };
        x = conv(&half.next(), &x, stream, shape)?;
    }
    site.pass(half.last(&x, stream)?)
}

/// `[1, dim, length]` to `[1, 1, length * product of the ratios]`.
pub fn decode(site: &Site<'_>, x: &Tensor, config: &Seanet, stream: &mut Stream) -> Result<Tensor> {
    let mut half = Half { model: site.at("model"), count: 0, config, decoder: true };
    let mut x = conv(&half.next(), x, stream, Shape::plain(config.pad_mode))?;
    for &ratio in &config.ratios {
        x = half.activation(&x)?;
        x = transposed_conv(&half.next(), &x, stream, ratio)?;
        x = half.residual_units(x, stream)?;
    }
    let x = half.last(&x, stream)?;
    site.pass(if site.has(Fault::TanhOutput) { x.tanh()? } else { x })
}

impl<'a> Half<'a> {
    fn next(&mut self) -> Site<'a> {
        self.count += 1;
        self.model.at(self.count - 1)
    }

    fn activation(&mut self, x: &Tensor) -> Result<Tensor> {
        let site = self.next();
        self.activate(&site, x)
    }

    fn activate(&self, site: &Site<'_>, x: &Tensor) -> Result<Tensor> {
        let wrong = self.decoder && site.has(Fault::SeanetGelu);
        site.pass(if wrong { x.gelu_erf()? } else { x.elu(1.0)? })
    }

    fn residual_units(&mut self, mut x: Tensor, stream: &mut Stream) -> Result<Tensor> {
        for depth in 0..self.config.n_residual_layers {
            let dilation = self.config.dilation_base.pow(depth as u32);
            let site = self.next();
            x = self.residual_unit(&site, &x, stream, dilation)?;
        }
        Ok(x)
    }

    /// A dilated and a pointwise convolution around a skip; `[1, channels, length]` twice.
    fn residual_unit(
        &self,
        site: &Site<'_>,
        x: &Tensor,
        stream: &mut Stream,
        dilation: usize,
    ) -> Result<Tensor> {
        let block = site.at("block");
        let plain = Shape::plain(self.config.pad_mode);
        let h = self.activate(&block.at(0), x)?;
        let h = conv(&block.at(1), &h, stream, Shape { dilation, ..plain })?;
        let h = self.activate(&block.at(2), &h)?;
        let h = conv(&block.at(3), &h, stream, plain)?;
        site.pass((x + h)?)
    }

    fn last(&mut self, x: &Tensor, stream: &mut Stream) -> Result<Tensor> {
        let x = self.activation(x)?;
        let plain = Shape::plain(self.config.pad_mode);
        conv(&self.next(), &x, stream, plain)
    }
}
