//! `pocket-tts-candle`: text to a WAV file.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use parity_candidate::{Error, Tap};
use pocket_tts_candle::{Decode, Faults, Noise, Options, PocketTts, Prefill, Result, Settings};

/// Speak a text in the voice of a recording.
#[derive(Parser)]
#[command(
    version,
    after_help = "Example:\n  pocket-tts-candle --assets .cache/pocket_tts/full \
    --voice .cache/pocket_tts/full/voices/alba.wav 'Hello there!' -o hello.wav"
)]
struct Arguments {
    /// What to say
    text: String,
    /// Folder with config.yaml, weights.safetensors and tokenizer.model
    #[arg(long)]
    assets: PathBuf,
    /// Recording of the voice: a mono WAV file at the model's rate
    #[arg(long)]
    voice: PathBuf,
    /// The WAV file to write
    #[arg(short, long, default_value = "speech.wav")]
    output: PathBuf,
    /// Also write every named tensor here, for `parity import`
    #[arg(long, value_name = "FILE.safetensors")]
    dump: Option<PathBuf>,
    /// Of the noise
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Variance of the noise; the model's own by default
    #[arg(long)]
    temperature: Option<f64>,
    /// Decode all latents of a chunk in one pass
    #[arg(long)]
    batch: bool,
    /// Read prompts one position after the other
    #[arg(long)]
    token_by_token: bool,
    /// Do these things wrong; needs the feature `faults`
    #[arg(long, value_delimiter = ',')]
    faults: Vec<String>,
}

fn main() -> ExitCode {
    match speak(&Arguments::parse()) {
        Ok(seconds) => {
            println!("{seconds:.2} s of speech");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn speak(arguments: &Arguments) -> Result<f64> {
    let model = PocketTts::load(&arguments.assets)?;
    let mut settings = Settings::of(&arguments.text, model.config());
    settings.temperature = arguments.temperature.unwrap_or(settings.temperature);
    let noise = Noise::seeded(arguments.seed, &settings, model.config().latent_dim())?;
    let options = Options {
        decode: if arguments.batch { Decode::Batch } else { Decode::Stream },
        prefill: if arguments.token_by_token { Prefill::Token } else { Prefill::Block },
        faults: Faults::named(&arguments.faults)?,
    };
    let rate = model.config().mimi.sample_rate;
    let voice = read_wav(&arguments.voice, rate)?;
    let dump = dump::Dump::default();
    let tap = if arguments.dump.is_some() { dump.tap() } else { Tap::none() };
    let speech = model.speak(&settings, &voice, noise, &options, &tap)?;
    drop(tap);
    if let Some(path) = &arguments.dump {
        dump.write(path)?;
    }
    write_wav(&arguments.output, &speech.waveform, rate)?;
    Ok(speech.waveform.len() as f64 / rate as f64)
}

fn read_wav(path: &std::path::Path, rate: usize) -> Result<Vec<f32>> {
    let refused = |error: String| Error::bad_input(format!("{}: {error}", path.display()));
    let mut reader = hound::WavReader::open(path).map_err(|error| refused(error.to_string()))?;
    let spec = reader.spec();
    if spec.channels != 1 || spec.sample_rate as usize != rate {
        return Err(refused(format!(
            "has {} channels at {} Hz; needed is one at {rate} Hz",
            spec.channels, spec.sample_rate
        )));
    }
    let samples: hound::Result<Vec<f32>> = match spec.sample_format {
        hound::SampleFormat::Float => reader.samples().collect(),
        hound::SampleFormat::Int => {
            let full = 2f32.powi(i32::from(spec.bits_per_sample) - 1);
            reader.samples::<i32>().map(|sample| Ok(sample? as f32 / full)).collect()
        }
    };
    samples.map_err(|error| refused(error.to_string()))
}

fn write_wav(path: &std::path::Path, samples: &[f32], rate: usize) -> Result<()> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: rate as u32,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let write = || -> hound::Result<()> {
        let mut writer = hound::WavWriter::create(path, spec)?;
        samples.iter().try_for_each(|&sample| writer.write_sample(sample))?;
        writer.finalize()
    };
    write().map_err(|error| Error::failed(format!("{}: {error}", path.display())))
}

mod dump;
