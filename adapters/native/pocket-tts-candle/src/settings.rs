//! How one text is to be spoken.

use serde::Deserialize;

use crate::config::Config;

/// How one text is to be spoken, as a case's `inputs` say it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What is said.
    pub text: String,
    /// The variance of the noise.
    pub temperature: f64,
    /// Jumps of the flow network a latent.
    pub decode_steps: usize,
    /// The logit above which speech ends.
    pub eos_threshold: f64,
    /// Frames kept after that; by the text's length where there is no number.
    pub frames_after_eos: Option<usize>,
    /// Bound of the noise.
    pub noise_clamp: Option<f64>,
    /// Frames before which the end of speech is not believed.
    pub min_frames: usize,
    /// Most tokens of a chunk of the text.
    pub max_tokens: usize,
}

/// What a case gives: what it leaves out, the model knows.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Given {
    text: String,
    temperature: Option<f64>,
    decode_steps: Option<usize>,
    eos_threshold: Option<f64>,
    frames_after_eos: Option<usize>,
    noise_clamp: Option<f64>,
    min_frames_before_eos: Option<usize>,
    max_tokens_per_chunk: Option<usize>,
}

impl Given {
    /// With the model's own values for what was left out.
    #[must_use]
    pub fn settings(self, config: &Config) -> Settings {
        Settings {
            text: self.text,
            temperature: self.temperature.unwrap_or(config.default_temperature),
            decode_steps: self.decode_steps.unwrap_or(1),
            eos_threshold: self.eos_threshold.unwrap_or(config.default_eos_threshold),
            frames_after_eos: self.frames_after_eos.or(config.model_recommended_frames_after_eos),
            noise_clamp: self.noise_clamp,
            min_frames: self.min_frames_before_eos.unwrap_or(6),
            max_tokens: self.max_tokens_per_chunk.unwrap_or(50),
        }
    }
}

impl Settings {
    /// The model's own settings for a text.
    #[must_use]
    pub fn of(text: &str, config: &Config) -> Self {
        Given { text: text.into(), ..Given::default() }.settings(config)
    }
}
