//! `outrigger-loadtest run`: from arguments to a plan, a progress bar while it runs, a table or JSON at the end.

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

/// How often the progress bar is drawn.
const REDRAW: Duration = Duration::from_millis(100);

/// Put load on an http:// or https:// URL and verify every answer
///
/// Without --rate each connection (or stream) sends its next request when the last is answered. With --rate requests
/// are due on a fixed schedule, and both latency and time limit count from when a request was due, so that a stall
/// shows in the figures. Exit code: 0 all fine, 1 any request failed, 2 wrong usage.
///
/// The report as JSON: `requests` that ended in the measured part, `passed` and `failed` of them, `failures` by kind,
/// `statuses`, `examples` of failures in words, `elapsed_s`, `requests_per_s` (verified answers), `latency_us` with min,
/// mean, p50, p90, p99, p99.9 and max in microseconds, with --rate also `send_lag_us`; and of the whole run, the warm-up
/// included, `connections` opened, TLS `handshakes` completed and resumed, with --hold `held`, those found `stale`, and `bytes` received and sent (on the wire) and of verified bodies;
/// `warmup` has the requests of the warm-up.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("multiplexed").multiple(true)))]
pub(super) struct Run {
    /// Where to send requests: `http://host:port/path` or `https://host:port/path`; the port may be left out
    url: String,

    /// Connect to this Unix socket; the URL then only gives host and path
    #[arg(long, value_name = "PATH")]
    unix: Option<PathBuf>,

    /// Certificates (PEM) that may vouch for the peer of an https:// URL, which is always verified
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,

    /// Name to ask for (SNI) and to verify instead of the URL's host
    #[arg(long, value_name = "NAME", requires = "ca")]
    server_name: Option<String>,

    /// Certificate chain (PEM) of the client, for mTLS
    #[arg(long, value_name = "FILE", requires_all = ["ca", "key"])]
    cert: Option<PathBuf>,

    /// Key (PEM) of the client's certificate
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,

    /// Resume TLS sessions; a handshake that could have been resumed but was not fails, and so does a run that
    /// resumed none
    #[arg(long, requires = "ca")]
    resume: bool,

    /// Connections kept open
    #[arg(short, long, value_name = "N", default_value_t = 16)]
    connections: usize,

    /// Requests per second over all connections, on a fixed schedule
    #[arg(short, long, value_name = "R")]
    rate: Option<f64>,

    /// Speak HTTP/2: with prior knowledge, over TLS by ALPN
    #[arg(long, group = "multiplexed")]
    http2: bool,

    /// Make unary gRPC calls, over HTTP/2: a message of --body-size bytes has to come back with grpc-status 0
    #[arg(long, group = "multiplexed", conflicts_with_all = ["method", "handshakes"])]
    grpc: bool,

    /// Concurrent requests on each connection
    #[arg(long, value_name = "M", default_value_t = 1, requires = "multiplexed")]
    streams: usize,

    /// Threads the connections are spread over
    #[arg(short, long, value_name = "N", default_value_t = 1)]
    threads: usize,

    /// How long to send requests [default: 10s unless --requests is given]
    #[arg(short, long, value_name = "TIME", value_parser = units::duration)]
    duration: Option<Duration>,

    /// How many requests to send
    #[arg(short = 'n', long, value_name = "N")]
    requests: Option<u64>,

    /// How long to send requests before counting starts
    #[arg(short, long, value_name = "TIME", default_value = "0s", value_parser = units::duration)]
    warmup: Duration,

    /// Request method
    #[arg(short, long, default_value = "GET")]
    method: Method,

    /// Further request header; may be given several times
    #[arg(short = 'H', long = "header", value_name = "NAME:VALUE", value_parser = value::header)]
    headers: Vec<(HeaderName, HeaderValue)>,

    /// Size of the generated request body; k, m and g are powers of 1024
    #[arg(long, value_name = "BYTES", value_parser = units::size)]
    body_size: Option<u64>,

    /// Open a new connection for every request
    #[arg(long)]
    connection_per_request: bool,

    /// Open all connections, make one request on each, and keep them open for this long. A line on stderr, `holding
    /// connections=N failed=F`, says when all are open; one that does not stay open is a failure
    #[arg(long, value_name = "TIME", value_parser = units::duration,
        conflicts_with_all = ["duration", "requests", "rate", "warmup", "handshakes", "connection_per_request", "streams"])]
    hold: Option<Duration>,

    /// Let connections come from N addresses, 127.0.0.1 and those after it, in turn
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000), conflicts_with = "unix")]
    source_addresses: Option<u32>,

    /// Make TLS handshakes and no requests: connect, shake hands, say goodbye and wait until the peer has done so too.
    /// The report then counts handshakes where it says requests
    #[arg(long, requires = "ca", conflicts_with_all = ["http2", "connection_per_request", "body_size", "unix"])]
    handshakes: bool,

    /// Send the bearer tokens in this file, one a line, one after the other
    #[arg(long, value_name = "FILE")]
    bearer_file: Option<PathBuf>,

    /// Number the requests from N on, in the header x-load-id
    #[arg(long, value_name = "N")]
    number_from: Option<u64>,

    /// Send a safe request again, once, when a reused connection turns out to be closed
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    retry_stale: bool,

    /// Limit for each request
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

    /// Length every body must have
    #[arg(long, value_name = "BYTES", value_parser = units::size)]
    expect_length: Option<u64>,

    /// SHA-256 every body must have
    #[arg(long, value_name = "HEX", value_parser = value::sha256)]
    expect_sha256: Option<[u8; 32]>,

    /// Every body must have the length and the checksum of the first
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

/// By time when the plan has one, otherwise by requests; hidden unless stderr is a terminal.
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

/// Draws the bar until the run is over or interrupted.
async fn watch(running: &Running, plan: &Plan, bar: &ProgressBar) {
    let begun = Instant::now();
    let mut redraw = interval(REDRAW);
    let mut interrupted = std::pin::pin!(interrupted());
    let mut told = false;
    while !running.is_finished() {
        tokio::select! {
            _ = redraw.tick() => {}
            _ = &mut interrupted => return,
        }
        let progress = running.progress();
        if let Some(held) = progress
            .held
            .filter(|_| !std::mem::replace(&mut told, progress.held.is_some()))
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
