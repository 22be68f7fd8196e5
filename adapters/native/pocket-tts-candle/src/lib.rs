//! Pocket TTS on candle: text and a voice in, 24 kHz speech out.
//!
//! A port of Kyutai's Pocket TTS (the January 2026 English model), one small function for each
//! convention, under the names of the reference's modules. It serves as a library
//! ([`PocketTts`]), as the command `pocket-tts-candle`, and, through `parity-candidate`, as a
//! candidate that `parity` compares with the reference.

mod attention;
mod candidate;
mod chunking;
mod config;
mod conv;
mod faults;
mod flow_lm;
mod flow_net;
mod generate;
mod layers;
mod mimi;
mod noise;
mod protobuf;
mod rope;
mod seanet;
mod settings;
mod site;
mod speak;
mod stream;
mod text;
mod tokenizer;
mod transformer;
mod voice;

pub use candidate::Port;
pub use config::Config;
pub use faults::Faults;
pub use generate::Decode;
pub use noise::Noise;
pub use settings::Settings;
pub use speak::{Options, PocketTts, Prefill, Speech};
pub use tokenizer::Tokenizer;

/// What everything here returns.
pub type Result<T> = parity_candidate::Result<T>;

parity_candidate::export_candidate!(Port);
