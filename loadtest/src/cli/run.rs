//! `outrigger-loadtest run`: from arguments to a plan, a progress bar while it runs, and a table or
//! JSON at the end.

use std::io::{IsTerminal, stderr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgGroup, Args};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::{Instant, interval};

use super::process::{Placement, need_descriptors};
use super::{FAILED, USAGE, fail, interrupted, print, table, value};
use crate::load::{self, Expect, Plan, PlanError, Protocol, Report, Running, TlsPlan};
use crate::units;

/// Refresh interval of the progress bar.
const REDRAW: Duration = Duration::from_millis(100);

/// Send load to an http:// or https:// URL and verify every response
///
/// Without --rate each connection (or stream) sends its next request after the last response. With
/// --rate requests are due on a fixed schedule, and both latency and timeout are measured from the
/// scheduled time, so that a stall is visible in the figures. Exit code: 0 success, 1 a request
/// failed, 2 usage error.
///
/// The JSON report has, for the measured part: `requests`, `passed`, `failed`, `failures` by kind,
/// `statuses`, `examples` of failures, `elapsed_s`, `requests_per_s` (verified responses),
/// `latency_us` with min, mean, p50, p90, p99, p99.9 and max in microseconds, and with --rate
/// `send_lag_us`. For the whole run, including the warm-up: `connections` opened, TLS `handshakes`
/// completed and resumed, with --hold `held`, `stale` connections, and `bytes` received and sent
/// (on the wire) and of verified bodies. `warmup` has the requests of the warm-up.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("multiplexed").multiple(true)))]
pub(super) struct Run {
    /// Target URL: `http://host:port/path` or `https://host:port/path`; the port is optional
    url: String,

    /// Connect to this Unix socket; host and path come from the URL
    #[arg(long, value_name = "PATH")]
    unix: Option<PathBuf>,

    /// CA certificates (PEM) for an https:// URL, which is always verified
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,

    /// Server name (SNI) to send and verify instead of the URL's host
    #[arg(long, value_name = "NAME", requires = "ca")]
    server_name: Option<String>,

    /// Certificate chain (PEM) of the client, for mTLS
    #[arg(long, value_name = "FILE", requires_all = ["ca", "key"])]
    cert: Option<PathBuf>,

    /// Key (PEM) of the client's certificate
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,

    /// Resume TLS sessions. A handshake that could have been resumed but was not is a failure, and
    /// so is a run without a resumed handshake
    #[arg(long, requires = "ca")]
    resume: bool,

    /// Number of open connections
    #[arg(short, long, value_name = "N", default_value_t = 16)]
    connections: usize,

    /// Requests per second over all connections, on a fixed schedule
    #[arg(short, long, value_name = "R")]
    rate: Option<f64>,

    /// Use HTTP/2: with prior knowledge, or by ALPN over TLS
    #[arg(long, group = "multiplexed")]
    http2: bool,

    /// Make unary gRPC calls over HTTP/2: a message of --body-size bytes must come back with
    /// grpc-status 0
    #[arg(long, group = "multiplexed", conflicts_with_all = ["method", "handshakes"])]
    grpc: bool,

    /// Concurrent requests on each connection
    #[arg(long, value_name = "M", default_value_t = 1, requires = "multiplexed")]
    streams: usize,

    /// Number of threads
    #[arg(short, long, value_name = "N", default_value_t = 1)]
    threads: usize,

    /// Duration of the load [default: 10s unless --requests is given]
    #[arg(short, long, value_name = "TIME", value_parser = units::duration)]
    duration: Option<Duration>,

    /// Number of requests
    #[arg(short = 'n', long, value_name = "N")]
    requests: Option<u64>,

    /// Duration of the warm-up, which is not counted
    #[arg(short, long, value_name = "TIME", default_value = "0s", value_parser = units::duration)]
    warmup: Duration,

    /// Request method
    #[arg(short, long, default_value = "GET")]
    method: Method,

    /// Additional request header; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME:VALUE", value_parser = value::header)]
    headers: Vec<(HeaderName, HeaderValue)>,

    /// Size of the generated request body; k, m and g are powers of 1024
    #[arg(long, value_name = "BYTES", value_parser = units::size)]
    body_size: Option<u64>,

    /// Open a new connection for every request
    #[arg(long)]
    connection_per_request: bool,

    /// Open all connections, send one request on each, and keep them open for this time. Prints
    /// `holding connections=N failed=F` to stderr when all are open; a connection that does not
    /// stay open is a failure
    #[arg(long, value_name = "TIME", value_parser = units::duration,
        conflicts_with_all = ["duration", "requests", "rate", "warmup", "handshakes", "connection_per_request", "streams"])]
    hold: Option<Duration>,

    /// Use N source addresses in turn, 127.0.0.1 and the following ones
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000), conflicts_with = "unix")]
    source_addresses: Option<u32>,

    /// Make only TLS handshakes: connect, handshake, close_notify, and wait for the peer's
    /// close_notify. The report counts handshakes as requests
    #[arg(long, requires = "ca", conflicts_with_all = ["http2", "connection_per_request", "body_size", "unix"])]
    handshakes: bool,

    /// Send the bearer tokens in this file, one per line, in turn
    #[arg(long, value_name = "FILE")]
    bearer_file: Option<PathBuf>,

    /// Number the requests from N, in the header x-load-id
    #[arg(long, value_name = "N")]
    number_from: Option<u64>,

    /// Retry a safe request once when a reused connection is closed
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    retry_stale: bool,

    /// Timeout of each request
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = units::duration)]
    timeout: Duration,

    /// Acceptable statuses
    #[arg(
        long,
        value_name = "CODE[,CODE]",
        default_value = "200",
        value_delimiter = ','
    )]
    expect_status: Vec<StatusCode>,

    /// Expected length of every body
    #[arg(long, value_name = "BYTES", value_parser = units::size)]
    expect_length: Option<u64>,

    /// Expected SHA-256 of every body
    #[arg(long, value_name = "HEX", value_parser = value::sha256)]
    expect_sha256: Option<[u8; 32]>,

    /// Every body must have the length and checksum of the first one
    #[arg(long)]
    expect_same: bool,

    /// Print the report as JSON on stdout instead of the table
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    placement: Placement,
}

impl Run {
    pub(super) fn placement(&self) -> Placement {
        self.placement
    }

    pub(super) async fn execute(self: Box<Self>) -> ExitCode {
        let json = self.json;
        let bearer_tokens = match self.bearer_file.as_deref().map(value::tokens).transpose() {
            Ok(tokens) => tokens.unwrap_or_default(),
            Err(problem) => {
                eprintln!("outrigger-loadtest: --bearer-file: {problem}");
                return ExitCode::from(USAGE);
            }
        };
        let plan = Plan {
            bearer_tokens,
            ..self.into_plan()
        };
        if let Err(problem) = need_descriptors(plan.descriptors()) {
            eprintln!("outrigger-loadtest: {problem}");
            return ExitCode::from(USAGE);
        }
        let running = match load::start(plan.clone()) {
            Ok(running) => running,
            Err(error @ PlanError::Start(_)) => return fail(FAILED, &error),
            Err(error) => return fail(USAGE, &error),
        };
        let bar = bar(&plan);
        watch(&running, &plan, &bar).await;
        running.stop();
        let report = running.finish().await;
        bar.finish_and_clear();
        show(&plan, &report, json);
        if report.is_clean() {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(FAILED)
        }
    }

    fn into_plan(self) -> Plan {
        let (server_name, resume) = (self.server_name, self.resume);
        let identity = self.cert.zip(self.key);
        let tls = self.ca.map(|ca| TlsPlan {
            ca,
            server_name,
            identity,
            resume,
        });
        Plan {
            tls,
            url: self.url,
            unix: self.unix,
            protocol: match self.http2 || self.grpc {
                true => Protocol::Http2 {
                    streams: self.streams,
                },
                false => Protocol::Http1,
            },
            connections: self.connections,
            threads: self.threads,
            rate: self.rate,
            duration: self.duration,
            requests: self.requests,
            warmup: self.warmup,
            method: self.method,
            headers: self.headers,
            body_size: self.body_size,
            connection_per_request: self.connection_per_request,
            hold: self.hold,
            source_addresses: self.source_addresses,
            grpc: self.grpc,
            handshakes: self.handshakes,
            bearer_tokens: Vec::new(),
            first_id: self.number_from,
            retry_stale: self.retry_stale,
            timeout: self.timeout,
            expect: Expect {
                statuses: self.expect_status,
                length: self.expect_length,
                sha256: self.expect_sha256,
                same: self.expect_same,
            },
        }
    }
}

/// By time if the plan has a duration, otherwise by requests; hidden unless stderr is a terminal.
fn bar(plan: &Plan) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let length = match (
        plan.hold.or_else(|| plan.effective_duration()),
        plan.requests,
    ) {
        (Some(duration), _) => millis(plan.warmup + duration),
        (None, requests) => requests.unwrap_or(0),
    };
    let style = ProgressStyle::with_template("{wide_bar} {elapsed_precise} {msg}")
        .expect("a constant template is valid");
    ProgressBar::new(length).with_style(style)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Draws the progress bar until the run ends or is interrupted.
async fn watch(running: &Running, plan: &Plan, bar: &ProgressBar) {
    let begun = Instant::now();
    let mut redraw = interval(REDRAW);
    let mut interrupted = std::pin::pin!(interrupted());
    let mut reported = false;
    while !running.is_finished() {
        tokio::select! {
            _ = redraw.tick() => {}
            _ = &mut interrupted => return,
        }
        let progress = running.progress();
        if let Some(held) = progress
            .held
            .filter(|_| !std::mem::replace(&mut reported, progress.held.is_some()))
        {
            bar.suspend(|| eprintln!("holding connections={} failed={}", held.open, held.failed));
        }
        let by_time = plan.hold.is_some() || plan.effective_duration().is_some();
        bar.set_position(if by_time {
            millis(begun.elapsed())
        } else {
            progress.ended
        });
        bar.set_message(format!(
            "{} requests, {} failed",
            progress.ended, progress.failed
        ));
    }
}

fn show(plan: &Plan, report: &Report, json: bool) {
    if json {
        let mut value = report.to_json();
        value["url"] = plan.url.clone().into();
        print(format_args!("{value:#}"));
    } else {
        print(table::render(report));
    }
}
