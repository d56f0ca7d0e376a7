//! An accepted percentage.

/// A share of 100 in parts per million, so that it can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(pub(crate) u32);

impl Percent {
    /// A share in parts of 1 000 000, at most all of them.
    pub fn of_million(parts: u32) -> Self {
        Self(parts.min(1_000_000))
    }

    /// The share as parts of 1 000 000.
    pub fn per_million(self) -> u32 {
        self.0
    }
}
