//! `lifecycle`: how long draining and shutting down may take.

use std::time::Duration;

use crate::block::{At, Time, block, field::time};

block! {
    /// How long draining and shutting down may take.
    LifecycleBlock {
        /// Between the start of a drain and the first connection that is asked to end. Default 5s.
        "shutdownDelay" shutdown_delay: Time,
        /// For requests in flight after that, and for peers of WebSockets to answer the close frame. Default 20s.
        "drainTimeout" drain_timeout: Time,
        /// For the access log to reach stdout at exit. Default 1s.
        "logFlushTimeout" log_flush_timeout: Time,
    }
    shown_as Lifecycle
}

/// The `lifecycle` block.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lifecycle {
    /// Time between the start of a drain and the first connection that is asked to end. Default 5 s.
    pub shutdown_delay: Duration,
    /// Time for requests in flight after that. Default 20 s.
    pub drain_timeout: Duration,
    /// Time for the access log to reach stdout at exit. Default 1 s.
    pub log_flush_timeout: Duration,
}

/// Time for endpoints to be taken out of load balancers before connections end.
const SHUTDOWN_DELAY: Duration = Duration::from_secs(5);

/// With the delay and the flush: under Kubernetes' grace period of 30 s.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);

/// stdout is a pipe to the container runtime; a second is plenty unless it stalls.
const LOG_FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Checks what was written.
pub(crate) fn accept(written: Option<&At<LifecycleBlock>>) -> Lifecycle {
    let none = LifecycleBlock::default();
    let block = written.map_or(&none, |block| &block.value);
    Lifecycle {
        shutdown_delay: time(&block.shutdown_delay, SHUTDOWN_DELAY),
        drain_timeout: time(&block.drain_timeout, DRAIN_TIMEOUT),
        log_flush_timeout: time(&block.log_flush_timeout, LOG_FLUSH_TIMEOUT),
    }
}
