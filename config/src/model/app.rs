//! The application in this pod.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use super::{Protocol, UpstreamLimits};

/// The `app` block.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct App {
    /// Where the app listens: loopback or a Unix socket, never anything else.
    pub address: AppAddress,
    /// What is spoken to the app.
    pub protocol: Protocol,
    /// How `/readyz` finds out whether the app is ready.
    pub readiness: Readiness,
    /// Limits on what it may send.
    pub limits: UpstreamLimits,
}

/// Where the app listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AppAddress {
    /// A loopback address and port.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(Arc<PathBuf>),
}

/// How `/readyz` asks the app.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Readiness {
    /// What is asked.
    pub probe: ReadinessProbe,
    /// How long an answer is kept; the app is asked when `/readyz` is asked. Default 5 s.
    pub interval: Duration,
    /// From the start of the connect to the whole answer. Default 1 s.
    pub timeout: Duration,
}

/// What a readiness check asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadinessProbe {
    /// A connection can be made.
    Connect,
    /// `GET path` answers 200-399.
    Http {
        /// Origin-form target, beginning with `/`.
        path: String,
    },
    /// `grpc.health.v1.Health/Check` answers SERVING.
    Grpc {
        /// The service asked for; empty for the server as a whole.
        service: String,
    },
}
