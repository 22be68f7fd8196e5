//! The port as a candidate that `parity` runs.

use std::path::PathBuf;

use parity_candidate::{Candidate, Case, Description, Error, Input, Tap, Values};
use serde::Deserialize;

use crate::Result;
use crate::faults::Faults;
use crate::generate::Decode;
use crate::noise::Noise;
use crate::settings::Given;
use crate::speak::{Options, PocketTts, Prefill, Speech};

/// The port as a candidate that `parity` runs.
pub struct Port {
    model: PocketTts,
    options: Options,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Configuration {
    assets: PathBuf,
    #[serde(default = "stream")]
    decode: String,
    #[serde(default = "block")]
    prompt: String,
    #[serde(default)]
    faults: Names,
}

/// Names in a list, or in one text with commas between.
#[derive(Deserialize)]
#[serde(untagged)]
enum Names {
    List(Vec<String>),
    Text(String),
}

impl Default for Names {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

#[derive(Deserialize)]
struct Document {
    inputs: Given,
    seed: u64,
    noise: Option<Vec<serde_json::Value>>,
}

impl Candidate for Port {
    fn open(config: &str) -> Result<Self> {
        let config: Configuration = serde_json::from_str(config).map_err(Error::bad_input)?;
        let names = match config.faults {
            Names::List(names) => names,
            Names::Text(text) => text.split(',').map(|name| name.trim().to_owned()).collect(),
        };
        let options = Options {
            decode: one_of(
                "decode",
                &config.decode,
                [("stream", Decode::Stream), ("batch", Decode::Batch)],
            )?,
            prefill: one_of(
                "prompt",
                &config.prompt,
                [("block", Prefill::Block), ("token", Prefill::Token)],
            )?,
            faults: Faults::named(&names)?,
        };
        Ok(Self { model: PocketTts::load(&config.assets)?, options })
    }

    fn describe(&self) -> Description {
        Description::new("pocket-tts-candle", "candle")
            .fact("framework_version", "0.9")
            .fact("precision", "float32")
            .fact("device", "cpu")
            .fact("decode", if self.options.decode == Decode::Stream { "stream" } else { "batch" })
            .fact("prompt", if self.options.prefill == Prefill::Block { "block" } else { "token" })
            .input("text")
            .input("voice_audio")
            .inject()
            .streaming()
    }

    fn run(&mut self, case: &Case<'_>, tap: &Tap<'_>) -> Result<()> {
        let document: Document = serde_json::from_str(case.json()).map_err(Error::bad_input)?;
        let settings = document.inputs.settings(self.model.config());
        let dim = self.model.config().latent_dim();
        let noise = match document.noise {
            Some(_) => {
                let draws = case.noise().iter().filter_map(Input::values::<f32>);
                Noise::tape(draws.map(<[f32]>::to_vec).collect(), dim)
            }
            None => Noise::seeded(document.seed, &settings, dim)?,
        };
        let (voice, _) = case.array::<f32>("voice_audio")?;
        name_outputs(tap, self.model.speak(&settings, voice, noise, &self.options, tap)?)
    }
}

fn name_outputs(tap: &Tap<'_>, speech: Speech) -> Result<()> {
    let numbers = |counts: Vec<usize>| {
        let shape = vec![counts.len()];
        Values { values: counts.into_iter().map(|count| count as i64).collect::<Vec<_>>(), shape }
    };
    let shape = vec![speech.waveform.len()];
    tap.record("waveform", &Values { values: speech.waveform, shape })?;
    tap.record("latents", &speech.latents)?;
    tap.record(
        "tokens",
        &numbers(speech.tokens.into_iter().map(|token| token as usize).collect()),
    )?;
    tap.record("tokens_per_chunk", &numbers(speech.tokens_per_chunk))?;
    tap.record("frames_per_chunk", &numbers(speech.frames_per_chunk))
}

fn one_of<T: Copy>(option: &str, given: &str, known: [(&str, T); 2]) -> Result<T> {
    known.iter().find(|(name, _)| *name == given).map(|(_, value)| *value).ok_or_else(|| {
        let [(first, _), (second, _)] = known;
        Error::bad_input(format!("{option} is {given:?}; it can be {first} or {second}"))
    })
}

fn stream() -> String {
    "stream".into()
}

fn block() -> String {
    "block".into()
}
