//! From the bytes of a file to the documents that sinks send: framing, joining, parsing, mapping, redaction.
//!
//! Pure: no files, no sockets, and time is passed in. Nothing in here loses a line: what cannot be parsed is kept as
//! text with the reason beside it, what is too long is cut and marked. Only `drop` and `keep` remove records.
//!
//! One document is one JSON object with names of the Elastic Common Schema; other protocols are made from it.

mod assemble;
pub mod cri;
mod document;
mod filter;
mod frame;
pub mod logfmt;
mod mapping;
pub mod multiline;
mod parse;
mod redact;
#[cfg(test)]
mod tests;
mod timestamp;

pub use self::{
    assemble::{Assembler, AssemblerSettings},
    document::{Labels, rfc3339},
    filter::{Filter, Rule},
    frame::{Framer, Line},
    mapping::{FieldPath, Mapping},
    parse::{Format, Outcome, Parser, Report},
    redact::Redact,
    timestamp::{Timestamps, UnknownZone},
};

/// What happened to a record on its way, as shown in `log.flags`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// Several lines were joined.
    pub const MULTILINE: Self = Self(1);
    /// Cut at a limit.
    pub const TRUNCATED: Self = Self(2);
    /// The line had no newline when it was sent; its rest may follow as a record of its own.
    pub const PARTIAL: Self = Self(4);
    /// Bytes that are not UTF-8 were replaced by U+FFFD.
    pub const INVALID_UTF8: Self = Self(8);
    /// The timestamp could not be read; the record has the time at which its line was read.
    pub const BAD_TIMESTAMP: Self = Self(16);

    /// Every flag with its name.
    const NAMES: [(Self, &'static str); 5] = [
        (Self::MULTILINE, "multiline"),
        (Self::TRUNCATED, "truncated"),
        (Self::PARTIAL, "partial"),
        (Self::INVALID_UTF8, "invalid_utf8"),
        (Self::BAD_TIMESTAMP, "bad_timestamp"),
    ];

    /// Both.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are set.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether none is set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The names of those that are set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES
            .into_iter()
            .filter(move |(flag, _)| self.has(*flag))
            .map(|(_, name)| name)
    }
}

/// The text of one record, joined from all its lines, before it is parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Offset of its first byte in the file.
    pub start: u64,
    /// Its text, without line ends.
    pub text: std::borrow::Cow<'a, str>,
    /// Nanoseconds since 1970, where the container runtime wrote them.
    pub time: Option<i64>,
    /// The stream of the container, where the runtime wrote it.
    pub stream: Option<cri::Stream>,
    /// What happened to it.
    pub flags: Flags,
    /// Why it is not what its format promises.
    pub problem: Option<&'static str>,
}
