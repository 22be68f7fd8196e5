//! Where a tensor stands.

/// What a named tensor was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Role {
    /// Any point of the computation.
    Tap = 0,
    /// What went into the module or function of that name.
    Input = 1,
    /// What came out of it: what a hook on the reference's module records.
    Output = 2,
    /// A weight.
    Param = 3,
    /// A cache or a history, carried from call to call.
    State = 4,
}

/// Where a tensor stands: its path, its role, and which of several it is.
///
/// A path alone is an output, since that is what hooks on a reference record.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(feature = "capture"), allow(dead_code))]
pub struct Point<'a> {
    pub(crate) path: &'a str,
    pub(crate) role: Role,
    pub(crate) slot: &'a str,
}

impl<'a> Point<'a> {
    /// A tensor with the given role.
    #[must_use]
    pub fn new(path: &'a str, role: Role) -> Self {
        Self { path, role, slot: "" }
    }

    /// Which of several tensors of that role: `1` for the second output of a tuple.
    #[must_use]
    pub fn slot(mut self, slot: &'a str) -> Self {
        self.slot = slot;
        self
    }
}

impl<'a> From<&'a str> for Point<'a> {
    fn from(path: &'a str) -> Self {
        Self::new(path, Role::Output)
    }
}

impl<'a> From<&'a String> for Point<'a> {
    fn from(path: &'a String) -> Self {
        Self::new(path, Role::Output)
    }
}
