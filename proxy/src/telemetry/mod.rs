//! Observability: metrics, the access log, and events for the operational log.

pub(crate) mod access_log;
pub(crate) mod events;
pub(crate) mod handshakes;
pub(crate) mod metrics;
pub(crate) mod stdout;
