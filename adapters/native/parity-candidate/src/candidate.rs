//! The trait that a port implements.

use crate::{Case, Description, Result, Tap};

/// A port that can be compared with its reference.
pub trait Candidate: Sized {
    /// Load the model.
    ///
    /// `config` is a JSON object: the options that the user gave.
    ///
    /// # Errors
    ///
    /// [`Error::BadInput`](crate::Error::BadInput) for options that cannot be used, and
    /// [`Error::Failed`](crate::Error::Failed) for anything else.
    fn open(config: &str) -> Result<Self>;

    /// What this candidate is.
    fn describe(&self) -> Description;

    /// Run one case from a fresh state, and name tensors on the way.
    ///
    /// # Errors
    ///
    /// As [`Candidate::open`]; and what a tap returned, handed on with `?`.
    fn run(&mut self, case: &Case<'_>, tap: &Tap<'_>) -> Result<()>;
}
