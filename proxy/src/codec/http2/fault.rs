//! What ends a connection, and how its GOAWAY says so.

use super::{ErrorCode, Excess};

/// What ends a connection.
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
            Excess::Pings => "too many PING",
            Excess::Settings => "too many SETTINGS",
            Excess::Data => "a flood of empty DATA",
            Excess::Continuation => "too many CONTINUATION",
            Excess::Fields => "a header block that unfolds into too much",
        };
        Self {
            reason: ErrorCode::ENHANCE_YOUR_CALM,
            why,
            excess: Some(excess),
        }
    }
}
