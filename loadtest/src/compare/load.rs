//! One load: the arguments of the generator, and its report. The generator is a separate process,
//! so that it has its own CPUs and its work is never counted for another process.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::{Child, Command};

use super::configure::{Listen, Setup};
use super::material::Algorithm;

/// The requests and their concurrency.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// Path of the request.
    pub path: String,
    /// Connections, or parallel handshakes.
    pub connections: usize,
    /// Concurrent requests on each HTTP/2 connection; 0 is HTTP/1.1.
    pub streams: usize,
    /// 14 additional headers, about 900 bytes.
    pub headers: bool,
    /// Requests per second on a fixed schedule.
    pub rate: Option<f64>,
    /// A new connection for every request.
    pub fresh: bool,
    /// Handshakes only.
    pub handshakes: Option<Handshake>,
    /// Tokens in requests.
    pub tokens: Option<Tokens>,
    /// gRPC calls.
    pub grpc: bool,
    /// Length of every correct response.
    pub length: Option<u64>,
}

/// Kind of handshakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handshake {
    /// Without a session.
    Full,
    /// Resumed with the ticket of the previous one.
    Resumed,
}

/// Which tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tokens {
    /// A different one in each request.
    First(Algorithm),
    /// The same one in each request.
    Repeated(Algorithm),
}

impl Tokens {
    pub(super) fn algorithm(self) -> Algorithm {
        let (Self::First(algorithm) | Self::Repeated(algorithm)) = self;
        algorithm
    }

    fn file(self) -> &'static str {
        match self {
            Self::First(algorithm) => algorithm.many(),
            Self::Repeated(algorithm) => algorithm.one(),
        }
    }
}

impl Load {
    /// Small requests over 64 keep-alive connections.
    #[must_use]
    pub fn small() -> Self {
        Self {
            path: "/".to_owned(),
            connections: 64,
            streams: 0,
            headers: false,
            rate: None,
            fresh: false,
            handshakes: None,
            tokens: None,
            grpc: false,
            length: Some(13),
        }
    }

    /// Arguments of the generator, without duration or number.
    pub(super) fn arguments(&self, setup: &Setup, to: SocketAddr, material: &Path) -> Vec<String> {
        let scheme = if setup.listen == Listen::Plain {
            "http"
        } else {
            "https"
        };
        let mut words = vec![format!("{scheme}://{to}{}", self.path), "--json".to_owned()];
        let mut add = |name: &str, value: String| words.extend([name.to_owned(), value]);
        let file = |name: &str| material.join(name).display().to_string();
        add("--connections", self.connections.to_string());
        if setup.listen != Listen::Plain {
            add("--ca", file("ca.crt"));
            add("--server-name", "localhost".to_owned());
        }
        if setup.listen == Listen::Mtls {
            add("--cert", file("client.crt"));
            add("--key", file("client.key"));
        }
        // One is the default, and held connections allow no such argument.
        if self.streams > 1 {
            add("--streams", self.streams.to_string());
        }
        if let Some(rate) = self.rate {
            add("--rate", rate.to_string());
        }
        if let Some(tokens) = self.tokens {
            add("--bearer-file", file(tokens.file()));
        }
        if let Some(length) = self.length {
            add("--expect-length", length.to_string());
        }
        if self.headers {
            for number in 0..14 {
                add(
                    "--header",
                    format!("x-field-{number}: {}", "v".repeat(20 + 5 * number)),
                );
            }
        }
        let flags = [
            ("--http2", self.streams > 0 && !self.grpc),
            ("--grpc", self.grpc),
            ("--connection-per-request", self.fresh),
            ("--handshakes", self.handshakes.is_some()),
            ("--resume", self.handshakes == Some(Handshake::Resumed)),
        ];
        words.extend(
            flags
                .iter()
                .filter(|(_, on)| *on)
                .map(|(flag, _)| (*flag).to_owned()),
        );
        words
    }
}

/// Content of the generator's report.
#[derive(Debug, Clone, Default)]
pub(super) struct Ran {
    /// Requests, including the warm-up.
    pub(super) requests: f64,
    /// Correct responses, without the warm-up.
    pub(super) passed: f64,
    pub(super) rate: f64,
    /// Microseconds: min, p50, p90, p99, p99.9, max.
    pub(super) latency: Option<[f64; 6]>,
    pub(super) handshakes: f64,
    pub(super) resumed: f64,
    /// Why it was not clean, as text.
    pub(super) trouble: Option<String>,
}

/// The names of [`Ran::latency`] in the generator's report.
const LATENCIES: [&str; 6] = ["min", "p50", "p90", "p99", "p99.9", "max"];

/// Starts a generator; it is killed when it is dropped.
pub(super) fn spawn(program: &Path, words: &[String]) -> Result<Child, String> {
    let mut command = Command::new(program);
    command
        .arg("run")
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("the load cannot be started: {error}"))
}

/// Waits for its end and reads its report.
pub(super) async fn finish(child: Child, limit: Duration) -> Result<Ran, String> {
    let ended = tokio::time::timeout(limit, child.wait_with_output()).await;
    let output = ended.map_err(|_| format!("the load did not end within {limit:?}"))?;
    let output = output.map_err(|error| error.to_string())?;
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let report: Value = serde_json::from_slice(&output.stdout).map_err(|_| {
        format!(
            "the load has no report ({}): {}",
            output.status,
            telling(&errors)
        )
    })?;
    let mut ran = Ran::read(&report);
    if ran.trouble.is_none() && !output.status.success() {
        let (shaken, resumed) = (ran.handshakes, ran.resumed);
        let said = telling(&errors);
        ran.trouble = Some(format!(
            "the load ended with {}: {said}; {shaken} handshakes, {resumed} resumed",
            output.status
        ));
    }
    Ok(ran)
}

/// Runs one generator to its end.
pub(super) async fn run(program: &Path, words: &[String], limit: Duration) -> Result<Ran, String> {
    finish(spawn(program, words)?, limit).await
}

/// The line that reports an error, else the last one.
fn telling(text: &str) -> &str {
    let error = text.lines().find(|line| line.starts_with("error"));
    error
        .or_else(|| text.trim_end().lines().next_back())
        .unwrap_or("no output")
}

impl Ran {
    fn read(report: &Value) -> Self {
        let number = |value: &Value| value.as_f64().unwrap_or(0.0);
        let latency = &report["latency_us"];
        let failed = number(&report["failed"]) + number(&report["warmup"]["failed"]);
        let kinds = report["failures"].as_object().into_iter().flatten();
        let kinds: Vec<_> = kinds
            .map(|(kind, count)| format!("{count} × {kind}"))
            .collect();
        let example = report["examples"][0]
            .as_str()
            .map_or_else(String::new, |text| format!("; {text}"));
        let trouble = match failed > 0.0 {
            true => Some(format!(
                "{failed} requests failed ({}{example})",
                kinds.join(", ")
            )),
            false if number(&report["passed"]) == 0.0 => {
                Some("no request got a response".to_owned())
            }
            false => None,
        };
        Self {
            requests: number(&report["requests"]) + number(&report["warmup"]["requests"]),
            passed: number(&report["passed"]),
            rate: number(&report["requests_per_s"]),
            latency: latency
                .is_object()
                .then(|| LATENCIES.map(|name| number(&latency[name]))),
            handshakes: number(&report["handshakes"]["completed"]),
            resumed: number(&report["handshakes"]["resumed"]),
            trouble,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_went_wrong_is_told_with_an_example() {
        let mut report = json!({
            "requests": 90, "passed": 89, "failed": 1, "failures": { "status 503": 1 }, "examples": ["GET /: 503"],
            "warmup": { "requests": 10, "failed": 0 }, "requests_per_s": 45.0, "handshakes": null,
            "latency_us": { "min": 1, "p50": 2, "p90": 3, "p99": 4, "p99.9": 5, "max": 6 },
        });
        let ran = Ran::read(&report);
        assert_eq!(
            (ran.requests, ran.passed, ran.handshakes),
            (100.0, 89.0, 0.0)
        );
        assert_eq!(ran.latency, Some([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
        assert_eq!(
            ran.trouble.unwrap(),
            "1 requests failed (1 × status 503; GET /: 503)"
        );
        report["failed"] = 0.into();
        assert_eq!(Ran::read(&report).trouble, None);
        report["passed"] = 0.into();
        assert_eq!(
            Ran::read(&report).trouble.unwrap(),
            "no request got a response"
        );
    }
}
