//! What the proxy tells about itself: metrics and the access log.

pub(crate) mod access_log;
pub(crate) mod events;
pub(crate) mod handshakes;
pub(crate) mod metrics;
pub(crate) mod stdout;
