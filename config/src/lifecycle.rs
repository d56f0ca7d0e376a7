//! `lifecycle`: durations of drain and shutdown.

use std::time::Duration;

use crate::block::{At, Time, block, field::time};

block! {
    /// Durations of drain and shutdown.
    LifecycleBlock {
        /// Time between the start of a drain and the closing of the first connections. Default 5s.
        "shutdownDelay" shutdown_delay: Time,
        /// Time for in-flight requests after that, and for peers of WebSockets to answer the close
        /// frame. Default 20s.
        "drainTimeout" drain_timeout: Time,
        /// Time at exit for the rest of the log files to be sent (`logs`), and for the access log to
        /// reach stdout. Default 1s.
        "logFlushTimeout" log_flush_timeout: Time,
    }
    shown_as Lifecycle
}

/// The `lifecycle` block.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lifecycle {
    /// Time between the start of a drain and the closing of the first connections. Default 5 s.
    pub shutdown_delay: Duration,
    /// Time for in-flight requests after that. Default 20 s.
    pub drain_timeout: Duration,
    /// Time for the access log to reach stdout at exit. Default 1 s.
    pub log_flush_timeout: Duration,
}

/// Time until load balancers stop using this endpoint, before connections are closed.
const SHUTDOWN_DELAY: Duration = Duration::from_secs(5);

/// Together with delay and flush less than Kubernetes' grace period of 30 s.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);

/// stdout is a pipe to the container runtime; 1 s is enough unless the pipe is stalled.
const LOG_FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Validates the block.
pub(crate) fn accept(written: Option<&At<LifecycleBlock>>) -> Lifecycle {
    let none = LifecycleBlock::default();
    let block = written.map_or(&none, |block| &block.value);
    Lifecycle {
        shutdown_delay: time(&block.shutdown_delay, SHUTDOWN_DELAY),
        drain_timeout: time(&block.drain_timeout, DRAIN_TIMEOUT),
        log_flush_timeout: time(&block.log_flush_timeout, LOG_FLUSH_TIMEOUT),
    }
}
