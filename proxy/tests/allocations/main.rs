//! Allocations per request, in the real process: each case has a limit, so that a regression is
//! detected at once and on every machine.
//!
//! This binary is also the measured proxy (see [`the_proxy_that_is_counted`]): its allocator
//! counts, and allocations of client and app are in another process.

// Helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

#[path = "../it/support/mod.rs"]
#[allow(missing_docs, unreachable_pub, reason = "shared with another test")]
mod support;

use std::{
    alloc::System,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Command, Stdio},
    thread,
};

use outrigger_loadtest::origin::Origin;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use support::{
    Proxy,
    client::{H2, full, request},
    origin,
    tokens::{claims, corp, signer},
    wire::{Wire, status},
    with_servers,
};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The configuration of the measured process.
const FILE: &str = "OUTRIGGER_COUNTED_FILE";

/// Warm-up requests: one-time allocations happen here.
const BEFORE: usize = 200;

/// Measured requests.
const COUNTED: usize = 1_000;

/// Not a test but the proxy of the other tests, which start it alone and pass its configuration in
/// a variable.
#[test]
fn the_proxy_that_is_counted() {
    let Some(file) = std::env::var_os(FILE) else {
        return;
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for asker in listener.incoming() {
            let stats = ALLOCATOR.stats();
            let count = (stats.allocations + stats.reallocations) as u64;
            let _ = asker.unwrap().write_all(&count.to_be_bytes());
        }
    });
    eprintln!("counting name=counts address={address}");
    let _ = outrigger::cli::run(["outrigger".into(), "run".into(), "-c".into(), file]);
}

/// A proxy with counted allocations and one worker.
struct Counted {
    proxy: Proxy,
    _origin: Origin,
}

impl Counted {
    fn start(yaml: &str) -> Self {
        let origin = origin();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("outrigger.yaml");
        let app = origin.address().port();
        let common = "workers: 1\ntelemetry: { accessLog: { samplePercent: 0 } }\nlisteners: [{ port: 0 }]\n";
        let text = format!("{common}app: {{ port: {app} }}\n{yaml}");
        std::fs::write(&file, with_servers(&text)).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "the_proxy_that_is_counted", "--nocapture"])
            .env(FILE, &file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self {
            proxy: Proxy::spawn(folder, &mut command),
            _origin: origin,
        }
    }

    /// The current count.
    fn count(&self) -> u64 {
        let mut bytes = [0; 8];
        let mut stream = TcpStream::connect(self.proxy.address("counts")).unwrap();
        stream.read_exact(&mut bytes).unwrap();
        u64::from_be_bytes(bytes)
    }

    /// Allocations of one call of `ask`, which is one request over an open connection.
    fn per_request(&self, mut ask: impl FnMut()) -> f64 {
        (0..BEFORE).for_each(|_| ask());
        let before = self.count();
        (0..COUNTED).for_each(|_| ask());
        (self.count() - before) as f64 / COUNTED as f64
    }

    /// The same for a GET over HTTP/1.1 with these fields.
    fn per_get(&self, fields: &str) -> f64 {
        let mut wire = Wire::connect(self.proxy.inbound());
        let request = format!("GET /bytes/64 HTTP/1.1\r\nhost: a.example\r\n{fields}\r\n");
        self.per_request(|| {
            let (head, _) = wire.ask(&request);
            assert_eq!(status(&head), 200, "{head}");
        })
    }
}

/// Fails when the result is over the limit: the measured value plus a small margin for rare
/// allocations. An improvement lowers the limit here.
fn hold(case: &str, found: f64, bound: f64) {
    eprintln!("{case}: {found:.2} allocations a request, at most {bound}");
    assert!(found > 0.5, "{case}: nothing was counted");
    assert!(
        found <= bound,
        "{case}: {found:.2} allocations a request, and {bound} were enough before"
    );
}

/// Sixteen fields, as browsers and gateways send them.
fn sixteen() -> String {
    (0..16)
        .map(|number| format!("x-field-{number}: value-{number}-of-this-request\r\n"))
        .collect()
}

fn bearer() -> String {
    format!("authorization: Bearer {}\r\n", signer().token(&claims()))
}

#[test]
fn a_small_get() {
    hold("plain", Counted::start("").per_get(""), 2.2);
}

#[test]
fn a_get_with_sixteen_headers() {
    hold("16 headers", Counted::start("").per_get(&sixteen()), 2.2);
}

#[test]
fn a_get_with_a_token_that_was_seen_before() {
    let counted = Counted::start(&corp("    claimHeaders: { x-user: sub }\n"));
    hold("token, repeated", counted.per_get(&bearer()), 4.2);
}

#[test]
fn a_get_through_every_filter() {
    let yaml = format!(
        "{}rateLimits:\n  address: {{ requests: 1000000, per: 1s, key: clientIP }}\n  \
         user: {{ requests: 1000000, per: 1s, key: {{ claim: sub }} }}\n\
         routes:\n- name: all\n  matches: [{{ path: /bytes, method: GET }}]\n  rateLimits: [address, user]\n  \
         authorize: {{ rules: [{{ name: alice, action: allow, when: {{ methods: [GET] }} }}] }}\n  \
         concurrency: {{ max: 100 }}\n  cors: {{ allowOrigins: [\"https://a.example\"] }}\n  \
         urlRewrite: {{ path: {{ replacePrefixMatch: /bytes }} }}\n  \
         requestHeaders: {{ set: {{ x-set: v }}, remove: [x-gone] }}\n  \
         responseHeaders: {{ set: {{ x-answer: v }} }}\n  timeouts: {{ request: 10s, backendRequest: 5s }}\n  \
         retry: {{ attempts: 1 }}\n",
        corp("    claimHeaders: { x-user: sub }\n")
    );
    let counted = Counted::start(&yaml);
    hold(
        "every filter",
        counted.per_get(&format!("origin: https://a.example\r\n{}", bearer())),
        10.2,
    );
}

#[test]
fn a_get_over_http2() {
    let counted = Counted::start("");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let address: SocketAddr = counted.proxy.inbound();
    let mut client = runtime.block_on(H2::connect(address));
    let found = counted.per_request(|| {
        runtime.block_on(async {
            let answer = client
                .send(request("GET", "/bytes/64").body(full("")).unwrap())
                .await;
            assert_eq!(support::client::Answer::of(answer).await.status, 200);
        });
    });
    hold("HTTP/2", found, 8.3);
}
