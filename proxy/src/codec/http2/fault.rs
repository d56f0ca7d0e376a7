//! Connection errors, and their GOAWAY.

use super::{ErrorCode, Excess};

/// A connection error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) reason: ErrorCode,
    pub(super) why: &'static str,
    pub(super) excess: Option<Excess>,
}

impl Fault {
    pub(super) const fn new(reason: ErrorCode, why: &'static str) -> Self {
        Self {
            reason,
            why,
            excess: None,
        }
    }

    pub(super) const fn protocol(why: &'static str) -> Self {
        Self::new(ErrorCode::PROTOCOL_ERROR, why)
    }

    pub(super) fn excess(excess: Excess) -> Self {
        let why = match excess {
            Excess::Resets => "too many streams were reset",
            Excess::Pings => "too many PING frames",
            Excess::Settings => "too many SETTINGS frames",
            Excess::Data => "too many empty DATA frames",
            Excess::Continuation => "too many CONTINUATION frames",
            Excess::Fields => "a header block that decodes to too many bytes",
        };
        Self {
            reason: ErrorCode::ENHANCE_YOUR_CALM,
            why,
            excess: Some(excess),
        }
    }
}
