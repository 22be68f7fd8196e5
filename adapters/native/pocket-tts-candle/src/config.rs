//! What the network looks like: the `config.yaml` beside the weights.

use std::collections::HashMap;
use std::path::Path;

use parity_candidate::Error;
use serde::Deserialize;

use crate::Result;

/// The whole model.
#[derive(Debug, Clone, Deserialize)]
#[allow(clippy::struct_excessive_bools)] // as the file has it
pub struct Config {
    /// Language model and flow network.
    pub flow_lm: FlowLm,
    /// The codec.
    pub mimi: Mimi,
    /// Spaces go before texts of fewer than five words.
    #[serde(default)]
    pub pad_with_spaces_for_short_inputs: bool,
    /// Semicolons become commas.
    #[serde(default)]
    pub remove_semicolons: bool,
    /// Texts end with a sentence mark.
    #[serde(default = "yes")]
    pub append_terminal_punctuation: bool,
    /// Texts begin with a capital letter.
    #[serde(default = "yes")]
    pub capitalize_first_letter: bool,
    /// Characters to write otherwise.
    #[serde(default)]
    pub replace_characters: HashMap<char, String>,
    /// Frames after the end of speech, if the model recommends a number.
    #[serde(default)]
    pub model_recommended_frames_after_eos: Option<usize>,
    /// The variance of the noise that the model recommends.
    #[serde(default = "temperature")]
    pub default_temperature: f64,
    /// The logit above which speech ends.
    #[serde(default = "eos_threshold")]
    pub default_eos_threshold: f64,
}

/// Language model and flow network.
#[derive(Debug, Clone, Deserialize)]
pub struct FlowLm {
    /// The flow network.
    pub flow: Flow,
    /// The language model.
    pub transformer: Transformer,
}

/// The flow network.
#[derive(Debug, Clone, Deserialize)]
pub struct Flow {
    /// Residual blocks.
    pub depth: usize,
}

/// A transformer.
#[derive(Debug, Clone, Deserialize)]
pub struct Transformer {
    /// Width.
    pub d_model: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Layers.
    pub num_layers: usize,
    /// Of the rotary positions.
    #[serde(default = "max_period")]
    pub max_period: f32,
    /// How many positions a query sees; all before it where there is no number.
    #[serde(default)]
    pub context: Option<usize>,
}

/// The codec.
#[derive(Debug, Clone, Deserialize)]
pub struct Mimi {
    /// Samples a second.
    pub sample_rate: usize,
    /// Latents a second.
    pub frame_rate: f64,
    /// Its convolutions.
    pub seanet: Seanet,
    /// Its transformers.
    pub transformer: Transformer,
    /// Its bottleneck.
    pub quantizer: Quantizer,
}

/// The convolutional halves of the codec.
#[derive(Debug, Clone, Deserialize)]
pub struct Seanet {
    /// Upsampling of the decoder's stages, in its order.
    pub ratios: Vec<usize>,
    /// Residual units a stage.
    pub n_residual_layers: usize,
    /// Growth of dilation from unit to unit.
    pub dilation_base: usize,
    /// What stands before the first sample.
    pub pad_mode: PadMode,
}

/// What stands before the first sample of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PadMode {
    /// Zeros.
    Constant,
    /// Copies of the first sample.
    Replicate,
}

/// The codec's bottleneck.
#[derive(Debug, Clone, Deserialize)]
pub struct Quantizer {
    /// Width of a latent.
    pub dimension: usize,
}

impl Config {
    /// Read a configuration in the form that the `pocket-tts` package uses.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or lacks a key.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| place(path, error))?;
        serde_yaml_ng::from_str(&text).map_err(|error| place(path, error))
    }

    /// Width of a latent.
    #[must_use]
    pub fn latent_dim(&self) -> usize {
        self.mimi.quantizer.dimension
    }
}

impl Mimi {
    /// Samples a latent.
    #[must_use]
    pub fn frame_samples(&self) -> usize {
        (self.sample_rate as f64 / self.frame_rate) as usize
    }

    /// Steps of the codec's transformers a latent.
    #[must_use]
    pub fn steps_per_frame(&self) -> usize {
        self.frame_samples() / self.seanet.ratios.iter().product::<usize>()
    }
}

/// An error that says which file it is about.
pub fn place(path: &Path, error: impl std::fmt::Display) -> Error {
    Error::bad_input(format!("{}: {error}", path.display()))
}

fn yes() -> bool {
    true
}

fn temperature() -> f64 {
    0.3
}

fn eos_threshold() -> f64 {
    -4.0
}

fn max_period() -> f32 {
    10_000.0
}
