//! `connections` of an upstream.

use std::time::Duration;

use crate::block::{
    At, Time, block,
    field::{time_or_off, time_over_zero},
    problem::Report,
};

block! {
    /// Connect, idle and age limits of connections.
    ConnectionsBlock {
        /// From the first SYN to an open connection, over 0. Default 1s.
        "connectTimeout" connect_timeout: Time,
        /// How long an idle connection is kept, over 0. Default 30s.
        "idleTimeout" idle_timeout: Time,
        /// Age at which a connection is not reused. Default 0s, which is off.
        "maxAge" max_age: Time,
    }
    shown_as ConnectionSettings
}

/// Connect, idle and age limits of connections to one upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionSettings {
    /// From the first SYN to an open connection. Default 1 s.
    pub connect_timeout: Duration,
    /// How long an idle connection is kept. Default 30 s; 3 s for the app.
    pub idle_timeout: Duration,
    /// Age at which a connection is not reused. Default off.
    pub max_age: Option<Duration>,
}

impl ConnectionSettings {
    /// No age limit.
    pub fn new(connect_timeout: Duration, idle_timeout: Duration) -> Self {
        Self {
            connect_timeout,
            idle_timeout,
            max_age: None,
        }
    }
}

/// Within one cluster a connect takes milliseconds; one second means a lost SYN.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Under the 60 s after which most servers close an idle connection.
const UPSTREAM_IDLE: Duration = Duration::from_secs(30);

/// Under the 5 s after which common app servers (Node.js, uvicorn) close an idle connection.
const APP_IDLE: Duration = Duration::from_secs(3);

/// Validates the block.
pub(crate) fn accept(
    block: Option<&At<ConnectionsBlock>>,
    report: &mut Report,
) -> ConnectionSettings {
    let none = ConnectionsBlock::default();
    let block = block.map_or(&none, |block| &block.value);
    ConnectionSettings {
        connect_timeout: time_over_zero(&block.connect_timeout, CONNECT_TIMEOUT, report),
        idle_timeout: time_over_zero(&block.idle_timeout, UPSTREAM_IDLE, report),
        max_age: time_or_off(&block.max_age, None),
    }
}

/// The settings of the app, which has no such block.
pub(crate) fn of_app() -> ConnectionSettings {
    ConnectionSettings {
        connect_timeout: CONNECT_TIMEOUT,
        idle_timeout: APP_IDLE,
        max_age: None,
    }
}
