#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

#[cfg(feature = "capture")]
mod abi;
mod candidate;
mod case;
mod describe;
mod error;
#[doc(hidden)]
pub mod export;
mod point;
mod record;
mod tap;

pub use candidate::Candidate;
pub use case::{Case, Input};
pub use describe::Description;
pub use error::Error;
pub use point::{Point, Role};
pub use record::{Element, Record, Values, View};
pub use tap::{Named, Phase, Tap};

/// What everything in this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;
