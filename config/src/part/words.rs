//! Keywords that several blocks share.

use crate::block::words;

/// Whether a rejection is enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    /// The request is rejected.
    #[default]
    Enforce,
    /// The request is forwarded; the rejection is logged and counted.
    Report,
}

/// What happens when a service that decides about requests does not respond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnError {
    /// The request is rejected.
    Deny,
    /// The request is forwarded.
    Allow,
}

/// The keyword that disables a feature in place of its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Off {
    Off,
}

/// The hash key that needs no block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientIp {
    ClientIp,
}

words! {
    Mode { "enforce" => Enforce, "report" => Report }
    OnError { "deny" => Deny, "allow" => Allow }
    Off { "off" => Off }
    ClientIp { "clientIP" => ClientIp }
}
