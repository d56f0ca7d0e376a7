//! `outrigger-loadtest origin`: serves until it is interrupted.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::process::{Placement, raise_descriptors};
use super::{FAILED, fail, interrupted, print};
use crate::origin::{self, Listen};

/// Serve an origin with predictable responses, over HTTP/1.1 and HTTP/2 (prior knowledge)
///
/// Paths: /  /bytes/N  /chunked/N  /echo  /sink  /headers  /delay/MS  /drip/N/MS  /sse/N/MS
/// /trailers /status/CODE  /abort/N  /close-before  /early  /informational  /ws  /stats
///
/// A unary gRPC call to any path gets its message back. GET / and /bytes/N and small uploads to
/// /sink over HTTP/1.1 use the least CPU.
#[derive(Debug, Args)]
pub(super) struct Origin {
    /// Address to listen on; port 0 lets the kernel choose
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,

    /// Listen on this Unix socket instead
    #[arg(long, value_name = "PATH", conflicts_with = "listen")]
    unix: Option<PathBuf>,

    /// Add `x-origin: NAME` to responses, to distinguish several origins
    #[arg(long, value_name = "NAME", value_parser = name)]
    name: Option<String>,

    #[command(flatten)]
    placement: Placement,
}

impl Origin {
    pub(super) fn placement(&self) -> Placement {
        self.placement
    }

    pub(super) async fn execute(self) -> ExitCode {
        // No connection limit: a limit would distort the measurement of the proxy.
        raise_descriptors();
        let mut builder = origin::Origin::builder().listen(match self.unix {
            Some(path) => Listen::Unix(path),
            None => Listen::Tcp(self.listen),
        });
        if let Some(name) = &self.name {
            builder = builder.name(name);
        }
        let mut origin = match builder.start().await {
            Ok(origin) => origin,
            Err(error) => return fail(FAILED, &error),
        };
        match origin.listen() {
            Listen::Tcp(address) => print(format_args!("listening address={address}")),
            Listen::Unix(path) => print(format_args!("listening unix={}", path.display())),
        }
        let outcome = interrupted().await;
        origin.stop().await;
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(FAILED, &error),
        }
    }
}

fn name(text: &str) -> Result<String, String> {
    match http::HeaderValue::from_str(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
