//! Words that several blocks have.

use crate::block::words;

/// Whether a refusal is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    /// The request is refused.
    #[default]
    Enforce,
    /// The request goes on; the refusal is logged and counted.
    Report,
}

/// What happens when a service that decides gives no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnError {
    /// The request is refused.
    Deny,
    /// The request goes on.
    Allow,
}

/// What switches something off that is described by a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Off {
    Off,
}

/// What an upstream may hash by without further words.
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
