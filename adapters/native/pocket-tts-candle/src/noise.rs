//! Where the flow network's starting points come from: a tape of draws, or a seeded generator.

use candle_core::{Device, Tensor};
use parity_candidate::{Error, Tap};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, Normal};

use crate::Result;
use crate::settings::Settings;

/// Gives one starting point for each pass of the language model, the prompt passes included.
pub struct Noise {
    source: Source,
    dim: usize,
}

enum Source {
    Tape(std::vec::IntoIter<Vec<f32>>),
    Generator { generator: Box<StdRng>, normal: Normal<f64>, clamp: Option<f64> },
}

impl Noise {
    /// Draws of another run, in its order; those of another size were for something else.
    #[must_use]
    pub fn tape(draws: Vec<Vec<f32>>, dim: usize) -> Self {
        let fitting: Vec<_> = draws.into_iter().filter(|draw| draw.len() == dim).collect();
        Self { source: Source::Tape(fitting.into_iter()), dim }
    }

    /// Normal draws from a seed; the settings' temperature is their variance.
    ///
    /// # Errors
    ///
    /// When the temperature is no variance.
    pub fn seeded(seed: u64, settings: &Settings, dim: usize) -> Result<Self> {
        let normal = Normal::new(0.0, settings.temperature.sqrt()).map_err(Error::bad_input)?;
        let generator = Box::new(StdRng::seed_from_u64(seed));
        Ok(Self {
            source: Source::Generator { generator, normal, clamp: settings.noise_clamp },
            dim,
        })
    }

    /// The next starting point, `[1, latent]`.
    pub(crate) fn draw(&mut self, tap: &Tap<'_>) -> Result<Tensor> {
        let values = match &mut self.source {
            Source::Tape(draws) => draws.next().ok_or_else(|| {
                Error::bad_input(
                    "the noise tape is at its end, and this run asks for one more draw; \
                     compare where speech ends",
                )
            })?,
            Source::Generator { generator, normal, clamp } => {
                (0..self.dim).map(|_| drawn(generator, *normal, *clamp) as f32).collect()
            }
        };
        let noise = Tensor::from_vec(values, (1, self.dim), &Device::Cpu)?;
        tap.noise("normal", &noise)?;
        Ok(noise)
    }
}

/// A draw within the bounds: those outside are drawn again.
fn drawn(generator: &mut StdRng, normal: Normal<f64>, clamp: Option<f64>) -> f64 {
    loop {
        let value = normal.sample(generator);
        if clamp.is_none_or(|clamp| value.abs() <= clamp) {
            return value;
        }
    }
}
