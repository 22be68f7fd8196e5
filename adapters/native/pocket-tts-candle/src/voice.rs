//! The voice prompt: a recording whose manner of speaking the model takes on.

const FRAME_SECONDS: f64 = 0.02;
const FADE_SECONDS: f64 = 0.02;
const PAUSE_SECONDS: f64 = 0.08;
const FLOOR_DB: f32 = 35.0;

/// Cut trailing silence, fade the last of the speech out, and add a short pause.
///
/// Silence is every 20 ms frame more than 35 dB below the loudest. A prompt that ends within speech
/// would be spoken on.
#[must_use]
pub fn end_on_pause(audio: &[f32], sample_rate: usize) -> Vec<f32> {
    let samples = |seconds: f64| (seconds * sample_rate as f64) as usize;
    let frame = samples(FRAME_SECONDS);
    let levels: Vec<f32> = audio.chunks_exact(frame).map(level_db).collect();
    let Some(loudest) = levels.iter().copied().reduce(f32::max) else { return audio.to_vec() };
    let last = levels.iter().rposition(|&level| level > loudest - FLOOR_DB).unwrap_or(0);
    let mut speech = audio[..(last + 1) * frame].to_vec();
    fade_out(&mut speech, samples(FADE_SECONDS));
    speech.resize(speech.len() + samples(PAUSE_SECONDS), 0.0);
    speech
}

fn level_db(frame: &[f32]) -> f32 {
    let power = frame.iter().map(|sample| sample * sample).sum::<f32>() / frame.len() as f32;
    20.0 * (power.sqrt() + 1e-12).log10()
}

fn fade_out(audio: &mut [f32], samples: usize) {
    let count = samples.min(audio.len());
    let start = audio.len() - count;
    for (sample, factor) in audio[start..].iter_mut().zip(linspace(1.0, 0.0, count)) {
        *sample *= factor;
    }
}

/// Evenly spaced numbers, both ends included, from each end to the middle as torch computes them.
pub fn linspace(start: f32, end: f32, count: usize) -> impl Iterator<Item = f32> {
    let step = (end - start) / (count.max(2) - 1) as f32;
    (0..count).map(move |index| {
        if index < count / 2 {
            start + step * index as f32
        } else {
            end - step * (count - index - 1) as f32
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{end_on_pause, linspace};

    #[test]
    fn silence_goes_and_a_pause_comes() {
        let mut audio = vec![0.5; 2400];
        audio.extend([0.0; 2400]);
        let ended = end_on_pause(&audio, 24_000);
        assert_eq!(ended.len(), 2400 + 1920);
        assert!((ended[0] - 0.5).abs() < 1e-9 && ended[2399] == 0.0);
    }

    #[test]
    fn what_is_shorter_than_a_frame_stays() {
        assert_eq!(end_on_pause(&[0.1; 100], 24_000), [0.1; 100]);
    }

    #[test]
    fn both_ends_are_there() {
        assert_eq!(linspace(0.0, 1.0, 3).collect::<Vec<_>>(), [0.0, 0.5, 1.0]);
    }
}
