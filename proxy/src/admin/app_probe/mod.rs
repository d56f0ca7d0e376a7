//! Probes of the app's own containers through the status port: the kubelet connects to the pod's
//! address, where an app on 127.0.0.1 does not listen.
//!
//! Each probe is a command-line argument (`--app-probe`), which `outrigger inject --rewrite-probes`
//! writes from the probes of the manifest. Nothing else on loopback can be reached: the target is
//! never part of a request. Success is defined as in the kubelet (`pkg/probe/http` and
//! `pkg/probe/tcp` of Kubernetes).

mod http;
mod read;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use ::http::{HeaderMap, HeaderValue};
use outrigger_transport::probe::{self, Cause, Target};
use tokio::{net::TcpStream, time::timeout};

/// The address of the app.
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A probe of an app's container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AppProbe {
    /// The path on the status port.
    path: String,
    handler: Handler,
    timeout: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Handler {
    Http {
        port: u16,
        /// Path and query.
        target: String,
        headers: HeaderMap,
    },
    Tcp {
        port: u16,
    },
    Grpc {
        port: u16,
        service: String,
    },
}

impl AppProbe {
    /// Parses a probe of the command line: JSON with `path`, `timeoutSeconds`, and `httpGet`,
    /// `tcpSocket` or `grpc` as in Kubernetes, with a port number.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        read::read(text)
    }

    /// Whether a request on the status port is for this probe.
    pub(super) fn is_at(&self, path: &str) -> bool {
        self.path == path
    }

    /// Probes the app; the error is the reason of a failure.
    pub(super) async fn ask(&self, user_agent: Option<&HeaderValue>) -> Result<(), String> {
        match timeout(self.timeout, self.handler.ask(user_agent)).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {:?}", self.timeout)),
        }
    }
}

impl Handler {
    async fn ask(&self, user_agent: Option<&HeaderValue>) -> Result<(), Cause> {
        match self {
            Self::Http {
                port,
                target,
                headers,
            } => http::get(*port, target, headers, user_agent).await,
            Self::Tcp { port } => connect(*port).await.map(drop),
            Self::Grpc { port, service } => {
                let asked = Target {
                    scheme: "http",
                    host: "localhost",
                };
                probe::grpc(connect(*port).await?, asked, service).await
            }
        }
    }
}

async fn connect(port: u16) -> Result<TcpStream, Cause> {
    let stream = TcpStream::connect(SocketAddr::new(LOOPBACK, port)).await?;
    stream.set_nodelay(true)?; // HTTP/2 starts with several small frames
    Ok(stream)
}
