//! Direction of a listener's requests.

use crate::block::words;

/// Whether requests come from outside the pod or from the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From outside, towards the app.
    Inbound,
    /// From the app, towards the outside. Serves only routes that name it.
    Outbound,
}

words! {
    Direction { "inbound" => Inbound, "outbound" => Outbound }
}
