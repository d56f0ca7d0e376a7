//! Every default value, each beside its reason.

use std::time::Duration;

/// Envoy waits 20 ms for its rate limit service; redis is often a zone away.
pub(crate) const REDIS_TIMEOUT: Duration = Duration::from_millis(50);
