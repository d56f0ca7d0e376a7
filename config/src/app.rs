//! `app`: the application in this pod.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;

use crate::{
    block::{
        At, Int, Time, Word, block,
        field::{narrow, time_over_zero, word},
        problem::Report,
        show::{self, Object, text, time},
    },
    part::{path, probe::ReadinessProbe},
    upstream::{
        limits::{self, UpstreamLimits, UpstreamLimitsBlock},
        protocol::Protocol,
    },
};

block! {
    /// The application in this pod: a loopback port or a Unix socket.
    AppBlock {
        /// The port the app listens on, 1 to 65535.
        "port" port: Int<1, 65535>,
        /// Path of the Unix socket the app listens on, relative to this file.
        "socket" socket: String,
        /// Loopback address of the app. Default 127.0.0.1; `localhost` means the same.
        "host" host: String,
        /// Protocol used with the app: `auto` (HTTP/1.1, and HTTP/2 for gRPC requests), `http1` or
        /// `h2c`. Default auto.
        "protocol" protocol: Word<Protocol>,
        /// How /readyz checks whether the app is ready. Default: a TCP connect.
        "readiness" readiness: ReadinessBlock,
        /// Limits on what the app may send.
        "limits" limits: UpstreamLimitsBlock,
    }
    one_of ["port", "socket"]
    later ["tls", "retry", "connections", "circuitBreaker"]
}

block! {
    /// How /readyz checks the app. Without `path` and `grpc`: a TCP connect.
    ReadinessBlock {
        /// The app is ready when GET on this path returns 200 to 399, over HTTP/2 with `protocol:
        /// h2c`, else over HTTP/1.1.
        "path" path: String,
        /// The app is ready when the gRPC health check of this service returns SERVING; empty for
        /// the server as a whole.
        "grpc" grpc: String,
        /// How long a successful result is cached, over 0. A failure is cached for at most 1s.
        /// Default 5s.
        "interval" interval: Time,
        /// From the start of the connect to the complete response, over 0. Default 1s.
        "timeout" timeout: Time,
    }
}

/// The `app` block.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct App {
    /// Where the app listens: always loopback or a Unix socket.
    pub address: AppAddress,
    /// Protocol used with the app.
    pub protocol: Protocol,
    /// How `/readyz` checks whether the app is ready.
    pub readiness: Readiness,
    /// Limits on what the app may send.
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

/// How `/readyz` checks the app.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Readiness {
    /// The kind of check.
    pub probe: ReadinessProbe,
    /// How long a successful result is cached; a request for `/readyz` triggers the check. Default
    /// 5 s.
    pub interval: Duration,
    /// From the start of the connect to the complete response. Default 1 s.
    pub timeout: Duration,
}

/// Maximum bytes of a Unix socket's path: `sun_path` without its terminating zero.
const MAX_SOCKET_PATH: usize = 107;

/// Default address of the app.
const APP_HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Half of the kubelet's default period of 10 s, so that no probe gets a result older than its own
/// period.
const READINESS_INTERVAL: Duration = Duration::from_secs(5);

/// The default timeout of a Kubernetes probe.
const READINESS_TIMEOUT: Duration = Duration::from_secs(1);

/// Validates the `app` block.
pub(crate) fn accept(app: &At<AppBlock>, base: &Path, report: &mut Report) -> App {
    let app = &app.value;
    App {
        address: address(app, base, report),
        protocol: word(&app.protocol, Protocol::Auto),
        readiness: readiness(app.readiness.as_ref(), report),
        limits: limits::accept(app.limits.as_ref()),
    }
}

fn address(app: &AppBlock, base: &Path, report: &mut Report) -> AppAddress {
    let host = app
        .host
        .as_ref()
        .map_or(APP_HOST, |host| loopback(host, report));
    let Some(socket) = &app.socket else {
        let port = app.port.as_ref().map_or(0, |port| narrow(port.value.0));
        return AppAddress::Tcp(SocketAddr::new(host, port));
    };
    if let Some(host) = &app.host {
        let help = "remove `host`, or write `port` in place of `socket`";
        report.error(
            &host.place,
            "conflicting-keys",
            "`host` cannot be used with `socket`",
            help,
        );
    }
    let path = base.join(&socket.value);
    if socket.value.is_empty() || path.as_os_str().len() > MAX_SOCKET_PATH {
        let message = format!("the path of a socket must have 1 to {MAX_SOCKET_PATH} bytes");
        report.error(
            &socket.place,
            "bad-path",
            message,
            "write a shorter path such as /run/app.sock",
        );
    }
    AppAddress::Unix(Arc::new(path))
}

fn loopback(host: &At<String>, report: &mut Report) -> IpAddr {
    if host.value == "localhost" {
        return APP_HOST;
    }
    let address = host.value.parse().ok().filter(IpAddr::is_loopback);
    address.unwrap_or_else(|| {
        let message = format!(
            "{:?} is not a loopback address, and the app must be in this pod",
            host.value
        );
        let help = "write 127.0.0.1 or ::1; configure other services in `upstreams`";
        report.error(&host.place, "not-loopback", message, help);
        APP_HOST
    })
}

fn readiness(block: Option<&At<ReadinessBlock>>, report: &mut Report) -> Readiness {
    let Some(At { value: block, .. }) = block else {
        return Readiness {
            probe: ReadinessProbe::Connect,
            interval: READINESS_INTERVAL,
            timeout: READINESS_TIMEOUT,
        };
    };
    let probe = match (&block.path, &block.grpc) {
        (Some(_), Some(grpc)) => {
            let help = "keep exactly one of them";
            report.error(
                &grpc.place,
                "conflicting-keys",
                "`path` and `grpc` cannot be used together",
                help,
            );
            ReadinessProbe::Connect
        }
        (Some(target), None) => {
            path::target(target, report);
            ReadinessProbe::Http {
                path: target.value.clone(),
            }
        }
        (None, Some(service)) => ReadinessProbe::Grpc {
            service: service.value.clone(),
        },
        (None, None) => ReadinessProbe::Connect,
    };
    Readiness {
        probe,
        interval: time_over_zero(&block.interval, READINESS_INTERVAL, report),
        timeout: time_over_zero(&block.timeout, READINESS_TIMEOUT, report),
    }
}

/// Renders the accepted value.
pub(crate) fn show(app: &App) -> Value {
    let object = match &app.address {
        AppAddress::Tcp(socket) => Object::new()
            .with("port", socket.port())
            .with("host", socket.ip().to_string()),
        AppAddress::Unix(path) => Object::new().with("socket", text(&path.to_string_lossy())),
    };
    let readiness = match &app.readiness.probe {
        ReadinessProbe::Connect => Object::new(),
        ReadinessProbe::Http { path } => Object::new().with("path", text(path)),
        ReadinessProbe::Grpc { service } => Object::new().with("grpc", text(service)),
    };
    let readiness = readiness
        .with("interval", time(app.readiness.interval))
        .with("timeout", time(app.readiness.timeout));
    let limits = app.limits.show();
    object
        .with("protocol", show::word(app.protocol))
        .with("readiness", readiness)
        .with("limits", limits)
        .into()
}
