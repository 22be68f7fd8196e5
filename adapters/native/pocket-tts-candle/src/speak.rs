//! The loaded model, and one text from beginning to end.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use parity_candidate::Tap;

use crate::Result;
use crate::chunking::split_text;
use crate::config::{Config, place};
use crate::faults::{Fault, Faults};
use crate::generate::{Decode, decode_latents, embed_voice, generate_latents, longest};
use crate::generate::{prompt_text, prompt_voice};
use crate::noise::Noise;
use crate::settings::Settings;
use crate::site::Site;
use crate::text::{frames_after_eos, prepare};
use crate::tokenizer::Tokenizer;

/// How a prompt is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefill {
    /// In one pass.
    Block,
    /// One position after the other.
    Token,
}

/// How the model runs; the results differ by rounding only.
#[derive(Debug, Clone)]
pub struct Options {
    /// How latents become a waveform.
    pub decode: Decode,
    /// How prompts are read.
    pub prefill: Prefill,
    /// What is done wrong on purpose.
    pub faults: Faults,
}

impl Default for Options {
    fn default() -> Self {
        Self { decode: Decode::Stream, prefill: Prefill::Block, faults: Faults::default() }
    }
}

/// Pocket TTS, loaded.
pub struct PocketTts {
    config: Config,
    tokenizer: Tokenizer,
    weights: HashMap<String, Tensor>,
}

/// What was said.
pub struct Speech {
    /// At the codec's rate, all chunks one after another.
    pub waveform: Vec<f32>,
    /// Before denormalisation, `[frames, latent]`.
    pub latents: Tensor,
    /// After text preparation.
    pub tokens: Vec<u32>,
    /// How the tokens are divided.
    pub tokens_per_chunk: Vec<usize>,
    /// How the latents are divided.
    pub frames_per_chunk: Vec<usize>,
}

/// One text being spoken: what stays the same from the first pass to the last.
pub struct Run<'a> {
    pub config: &'a Config,
    pub settings: &'a Settings,
    pub site: Site<'a>,
    pub noise: RefCell<Noise>,
    pub prefill: Prefill,
}

impl PocketTts {
    /// Load `config.yaml`, `weights.safetensors` and `tokenizer.model` from a folder.
    ///
    /// # Errors
    ///
    /// When one of them cannot be read.
    pub fn load(assets: &Path) -> Result<Self> {
        let path = assets.join("weights.safetensors");
        let loaded = candle_core::safetensors::load(&path, &Device::Cpu);
        let mut weights = loaded.map_err(|error| place(&path, error))?;
        for tensor in weights.values_mut() {
            *tensor = tensor.to_dtype(DType::F32)?;
        }
        Ok(Self {
            config: Config::load(&assets.join("config.yaml"))?,
            tokenizer: Tokenizer::load(&assets.join("tokenizer.model"))?,
            weights,
        })
    }

    /// What the network looks like.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Speak a text in the voice of a recording at the codec's rate, naming tensors on the way.
    ///
    /// # Errors
    ///
    /// When the text is empty, the noise tape too short, or the weights do not fit.
    pub fn speak(
        &self,
        settings: &Settings,
        voice: &[f32],
        noise: Noise,
        options: &Options,
        tap: &Tap<'_>,
    ) -> Result<Speech> {
        let run = Run {
            config: &self.config,
            settings,
            site: Site::root(&self.weights, &options.faults, tap),
            noise: RefCell::new(noise),
            prefill: options.prefill,
        };
        let (voice, heard) = {
            let _phase = tap.phase("voice_prompt");
            let voice = embed_voice(&run, voice)?;
            let heard = prompt_voice(&run, &voice)?;
            (voice, heard)
        };
        let chunks =
            split_text(&settings.text, &self.config, &self.tokenizer, settings.max_tokens)?;
        let mut latents = Vec::new();
        let mut speech = Speech::empty();
        for chunk in chunks {
            let mut stream = heard.clone();
            let tokens = self.tokens(&run, &chunk)?;
            {
                let _phase = tap.phase("text_prompt");
                prompt_text(&run, tokens.clone(), &voice, &mut stream)?;
            }
            let frames = {
                let _phase = tap.phase("generate");
                let tail = match settings.frames_after_eos {
                    Some(count) => count,
                    None => frames_after_eos(&chunk, &self.config)?,
                };
                let bound = longest(tokens.len(), self.config.mimi.frame_rate);
                Tensor::cat(&generate_latents(&run, &mut stream, bound, tail)?, 0)?
            };
            let _phase = tap.phase("decode");
            speech.waveform.extend(decode_latents(&run, &frames, options.decode)?);
            speech.tokens_per_chunk.push(tokens.len());
            speech.frames_per_chunk.push(frames.dim(0)?);
            speech.tokens.extend(tokens);
            latents.push(frames);
        }
        speech.latents = Tensor::cat(&latents, 0)?;
        Ok(speech)
    }

    fn tokens(&self, run: &Run<'_>, chunk: &str) -> Result<Vec<u32>> {
        let text = prepare(chunk, &self.config)?;
        Ok(if run.site.has(Fault::CharacterTokens) {
            self.tokenizer.encode_characters(&text)
        } else {
            self.tokenizer.encode(&text)
        })
    }
}

impl Speech {
    fn empty() -> Self {
        Self {
            waveform: Vec::new(),
            latents: Tensor::zeros((0, 0), DType::F32, &Device::Cpu).expect("zeros can be made"),
            tokens: Vec::new(),
            tokens_per_chunk: Vec::new(),
            frames_per_chunk: Vec::new(),
        }
    }
}
