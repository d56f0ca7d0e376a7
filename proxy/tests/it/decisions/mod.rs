//! What an evaluation says about a request, and what the running proxy does with it, are the same: random configurations and
//! requests through both, the proxy over real sockets.
//!
//! `OUTRIGGER_TEST_SEED` repeats a run; a failure names its seed.

mod configuration;
mod expected;
mod request;
mod tokens;

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{Arc, Mutex},
};

use fastrand::Rng;
use outrigger::evaluation::Evaluation;
use serde_json::Value;

use self::{
    configuration::UPSTREAMS,
    expected::{Expected, Seen, Sent},
    request::Asked,
    tokens::Issuers,
};
use crate::support::{
    Proxy,
    recording::{Act, Message, Recording},
    wait_for,
    wire::{Wire, header},
};

const CONFIGURATIONS: usize = 100;
const REQUESTS: usize = 100;

/// Outcomes that so many pairs must have had, or the pairs say little.
const LEAST: &[(&str, usize)] = &[
    ("forward", 500),
    ("answer 204", 10),
    ("answer 302", 5),
    ("answer 418", 5),
    ("route.none", 100),
    ("request.path", 100),
    ("request.underscore_header", 50),
    ("request.authorization", 10),
    ("limit.target", 10),
    ("auth.missing_token", 20),
    ("auth.signature", 3),
    ("auth.expired", 3),
    ("authorize.denied", 5),
    ("authorize.not_allowed", 5),
    ("rate_limit.exceeded", 100),
    ("would deny", 50),
];

/// What each upstream has got since it was last looked at.
type Inbox = Arc<Mutex<Vec<(usize, Message)>>>;

/// The proxy, its upstreams, and the connection that requests come over.
struct Bench {
    proxy: Proxy,
    _upstreams: Vec<Recording>,
    inbox: Inbox,
    wire: Option<Wire>,
    /// Lines of the access log that were read.
    read: usize,
}

impl Bench {
    fn start(configure: impl FnOnce(&[u16]) -> String) -> (Self, Vec<u16>) {
        let inbox = Inbox::default();
        let upstream = |index| {
            let inbox = Arc::clone(&inbox);
            Recording::answering(move |message| {
                inbox.lock().unwrap().push((index, message.clone()));
                Act::Answer(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec())
            })
        };
        let upstreams: Vec<Recording> = (0..UPSTREAMS).map(upstream).collect();
        let ports: Vec<u16> = upstreams.iter().map(Recording::port).collect();
        let proxy = Proxy::start(&configure(&ports));
        let bench = Self {
            proxy,
            _upstreams: upstreams,
            inbox,
            wire: None,
            read: 0,
        };
        (bench, ports)
    }

    /// The head of the answer to a request, and what the upstreams have got.
    fn ask(&mut self, asked: &Asked) -> (String, Vec<(usize, Message)>) {
        let address = self.proxy.address("in");
        let mut wire = self.wire.take().unwrap_or_else(|| Wire::connect(address));
        let (head, _) = wire.ask(&asked.text());
        if header(&head, "connection") != Some("close") {
            self.wire = Some(wire);
        }
        let got = std::mem::take(&mut *self.inbox.lock().unwrap());
        (head, got)
    }

    /// The next lines of the access log: there is one worker, so they stand in the order of the requests.
    fn lines(&mut self, count: usize) -> Vec<Value> {
        let read = self.read;
        self.read += count;
        wait_for("the access log", || {
            let stdout = self.proxy.stdout();
            let lines: Vec<&str> = stdout.lines().skip(read).take(count).collect();
            let whole = lines.len() == count && stdout.ends_with('\n');
            whole.then(|| {
                let lines = lines.into_iter();
                lines
                    .map(|line| serde_json::from_str(line).unwrap())
                    .collect()
            })
        })
    }
}

/// A configuration that is accepted, most are at the first attempt.
fn accepted(random: &mut Rng, number: usize, ports: &[u16], issuers: &Issuers) -> String {
    (0..100)
        .map(|_| configuration::yaml(random, number, ports, issuers))
        .find(|yaml| outrigger_config::load_str("random.yaml", yaml, &|_: &str| None).is_ok())
        .expect("some random configuration is accepted")
}

fn seed() -> u64 {
    match std::env::var("OUTRIGGER_TEST_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => fastrand::u64(..),
    }
}

#[test]
fn an_evaluation_and_the_running_proxy_agree_on_random_configurations_and_requests() {
    let seed = seed();
    eprintln!("OUTRIGGER_TEST_SEED={seed}");
    let mut random = Rng::with_seed(seed);
    let issuers = Issuers::new();
    let (mut bench, ports) =
        Bench::start(|ports| accepted(&mut Rng::with_seed(seed), 0, ports, &issuers));
    let mut outcomes = BTreeMap::<String, usize>::new();
    for number in 0..CONFIGURATIONS {
        let yaml = accepted(&mut random, number + 1, &ports, &issuers);
        bench.proxy.rename_over(&yaml);
        bench.proxy.reload();
        let loaded = outrigger_config::load_str("random.yaml", &yaml, &|_: &str| None).unwrap();
        let evaluation = Evaluation::new(Arc::new(loaded.config)).unwrap();
        let pairs: Vec<_> = (0..REQUESTS)
            .map(|_| {
                let asked = Asked::random(&mut random, &issuers);
                let expected = Expected::of(&evaluation, &asked);
                let (head, got) = bench.ask(&asked);
                (asked, expected, head, got)
            })
            .collect();
        let lines = bench.lines(REQUESTS);
        for ((asked, expected, head, got), line) in pairs.into_iter().zip(lines) {
            let seen = Seen::of(&line, &head, Sent::of(got));
            let wanted = expected.for_upstream(seen.upstream.as_deref());
            let context = || {
                let mut text = format!("seed {seed}, configuration {number}:\n{yaml}\n");
                let _ = write!(text, "{}\n{head}\n{line}", asked.text());
                text
            };
            assert_eq!(
                seen,
                *wanted,
                "left: the proxy, right: decision\n{}",
                context()
            );
            for kind in wanted.kinds() {
                *outcomes.entry(kind).or_default() += 1;
            }
        }
    }
    eprintln!("{outcomes:?}");
    for (kind, least) in LEAST {
        let had = outcomes.get(*kind).copied().unwrap_or(0);
        assert!(
            had >= *least,
            "{kind}: {had} times, seed {seed}: {outcomes:#?}"
        );
    }
}
