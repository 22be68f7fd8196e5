//! Why a candidate could not go on.

use std::fmt;

/// Why a candidate could not go on, as the report prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The configuration or the case cannot be used.
    BadInput(String),
    /// Something failed.
    Failed(String),
    /// Nobody wants the rest of the run. Hand it on with `?`; it is not shown to anybody.
    Stopped,
}

impl Error {
    /// The configuration or the case cannot be used, for the given reason.
    pub fn bad_input(reason: impl fmt::Display) -> Self {
        Self::BadInput(reason.to_string())
    }

    /// Something failed, for the given reason.
    pub fn failed(reason: impl fmt::Display) -> Self {
        Self::Failed(reason.to_string())
    }

    /// The same, saying at which tap.
    #[cfg(feature = "capture")]
    pub(crate) fn at(self, path: &str) -> Self {
        match self {
            Self::Failed(reason) => Self::Failed(format!("{path}: {reason}")),
            other => other,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadInput(reason) | Self::Failed(reason) => formatter.write_str(reason),
            Self::Stopped => formatter.write_str("the run was stopped from outside"),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(feature = "candle")]
impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Self::failed(error)
    }
}

#[cfg(feature = "candle")]
impl From<Error> for candle_core::Error {
    fn from(error: Error) -> Self {
        Self::wrap(error)
    }
}
