//! Faults of the port that this one follows, to be switched on by a configuration.
//!
//! Without the feature `faults` none can be, and asking for one costs nothing.

use crate::Result;
use parity_candidate::Error;

macro_rules! faults {
    ($($(#[$doc:meta])* $fault:ident = $name:literal,)*) => {
        /// One thing that a port can get wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Fault {
            $($(#[$doc])* $fault,)*
        }

        /// Every fault by its name.
        pub const NAMES: &[(&str, Fault)] = &[$(($name, Fault::$fault),)*];
    };
}

faults! {
    /// Tokens are single characters.
    CharacterTokens = "character_tokens",
    /// Rotary positions on split halves instead of interleaved pairs.
    RopeHalves = "rope_halves",
    /// `RMSNorm` without bias where there is a layer norm.
    RmsNorm = "rms_norm",
    /// Time embedding: sines before cosines.
    SinCos = "sin_cos",
    /// GELU in the flow network's blocks instead of `SiLU`.
    FlowGelu = "flow_gelu",
    /// Adaptive norm: scale, shift, gate, and no `SiLU` before the linear layer.
    AdalnOrder = "adaln_order",
    /// One time, from 1 to 0, instead of the mean of two embeddings.
    OneTime = "one_time",
    /// GELU in the codec's decoder instead of ELU.
    SeanetGelu = "seanet_gelu",
    /// The mean of the voice is added to the text instead of standing before it.
    VoiceMean = "voice_mean",
    /// Text and then voice, in one pass.
    TextFirst = "text_first",
    /// No norm in the flow network's final layer.
    NoFinalNorm = "no_final_norm",
    /// tanh at the decoder's output.
    TanhOutput = "tanh_output",
    /// The time embedding's norm only multiplies by its weight.
    AlphaOnly = "alpha_only",
    /// Latents are denormalised inside the loop.
    DenormaliseInLoop = "denormalise_in_loop",
}

/// The faults that are on.
#[derive(Debug, Clone, Default)]
pub struct Faults(#[cfg(feature = "faults")] Vec<Fault>);

impl Faults {
    /// The faults of these names; `all` for every one.
    ///
    /// # Errors
    ///
    /// For an unknown name, and for any name where the feature `faults` is off.
    pub fn named<T: AsRef<str>>(names: &[T]) -> Result<Self> {
        let mut found = Vec::new();
        for name in names.iter().map(AsRef::as_ref) {
            if name == "all" {
                found.extend(NAMES.iter().map(|(_, fault)| *fault));
                continue;
            }
            let fault = NAMES.iter().find(|(known, _)| *known == name).ok_or_else(|| {
                let known: Vec<_> = NAMES.iter().map(|(name, _)| *name).collect();
                Error::bad_input(format!(
                    "unknown fault {name:?}; there are: all, {}",
                    known.join(", ")
                ))
            })?;
            found.push(fault.1);
        }
        Self::of(found)
    }

    #[cfg(feature = "faults")]
    #[allow(clippy::unnecessary_wraps)]
    fn of(found: Vec<Fault>) -> Result<Self> {
        Ok(Self(found))
    }

    #[cfg(not(feature = "faults"))]
    fn of(found: Vec<Fault>) -> Result<Self> {
        match found.into_iter().next() {
            None => Ok(Self()),
            Some(fault) => Err(Error::bad_input(format!(
                "{fault:?} was asked for, but this is built without the feature `faults`"
            ))),
        }
    }

    /// Whether a fault is on.
    #[must_use]
    pub fn has(&self, fault: Fault) -> bool {
        #[cfg(feature = "faults")]
        return self.0.contains(&fault);
        #[cfg(not(feature = "faults"))]
        {
            let _ = fault;
            false
        }
    }
}
