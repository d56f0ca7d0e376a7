//! `docs/security.md` 17 and 18: attacks that cost the attacker little and should cost us no more, each bounded in count
//! and time. Meanwhile clients that behave are answered, and memory stays bounded and comes back.

mod floods;
mod http1;
mod http2;
mod idle;

use std::{
    net::{SocketAddr, TcpStream},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use outrigger_loadtest::{
    load::{self, Plan, Protocol, Report, Running},
    origin::Origin,
};
use tokio::time::Instant;

use crate::support::{PATIENCE, Proxy, live::stop, origin, wait_for};

/// How long an attack goes on.
const SIEGE: Duration = Duration::from_secs(3);

/// How long an attacker that was sent away waits: what is asked is whether the proxy stands it, not the machine.
const PAUSE: Duration = Duration::from_millis(10);

/// What memory may grow by, in KiB (`docs/security.md` 18), and what of that may be left when all is over.
const GROWTH: u64 = 64 * 1024;
const LEFT: u64 = 24 * 1024;

/// How many times one attack may be tried.
const TURNS: usize = 3;

/// Who behaves is answered within this time.
const SOON: Duration = Duration::from_secs(1);

/// One siege at a time: what is measured is what an attack does to the proxy, not what the tests do to each other.
static FIELD: Mutex<()> = Mutex::new(());

/// A proxy under attack.
struct Siege {
    proxy: Proxy,
    origin: Origin,
}

impl Siege {
    /// One worker, so that attackers and others share it, and one listener with these keys.
    fn new(keys: &str) -> Self {
        let origin = origin();
        let yaml = format!(
            "workers: 1\napp: {{ port: {} }}\nlisteners: [{{ port: 0{keys} }}]\n",
            origin.address().port()
        );
        Self { proxy: Proxy::start(&yaml), origin }
    }

    fn rejected(&self, reason: &str) -> f64 {
        self.proxy.metric(&format!("outrigger_downstream_rejected_total{{reason=\"{reason}\"}}"))
    }

    /// Waits until that many were refused for this reason, and no more.
    fn wait_rejected(&self, reason: &str, count: f64) {
        wait_for(reason, || (self.rejected(reason) >= count).then_some(()));
        assert_eq!(self.rejected(reason), count, "{reason}");
    }

    /// Runs `attack` while others go on, and looks at what it did to them and to memory.
    fn withstands(&self, attack: impl Fn(SocketAddr)) {
        self.withstands_leaving(LEFT, attack);
    }

    /// A busy machine is slow without any attack, so the best of [`TURNS`] counts: what is wrong with us is wrong each time.
    fn withstands_leaving(&self, most_left: u64, attack: impl Fn(SocketAddr)) {
        let _alone = FIELD.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = Vec::new();
        while let Err(problem) = self.one_siege(most_left, &attack) {
            println!("{problem}");
            found.push(problem);
            assert!(found.len() < TURNS, "in each of {TURNS} turns: {found:#?}");
        }
        wait_for("connections to end", || {
            (self.proxy.metric(r#"outrigger_downstream_connections{listener="in-0"}"#) < 0.5).then_some(())
        });
        assert_eq!(self.proxy.metric("outrigger_panics_total"), 0.0);
    }

    fn one_siege(&self, most_left: u64, attack: impl Fn(SocketAddr)) -> Result<(), String> {
        let others = [
            self.bystander(Protocol::Http1, false),
            self.bystander(Protocol::Http2 { streams: 2 }, false),
            self.bystander(Protocol::Http1, true),
        ];
        let begun = self.origin.hits();
        wait_for("the others to begin", || (self.origin.hits() > begun + 20).then_some(()));
        let before = self.proxy.rss_kib();
        let most = self.peak_during(|| attack(self.proxy.inbound()));
        let grown = most.saturating_sub(before);
        let mut slow = Ok(());
        for report in others.map(stop) {
            let soon = answered_within(&report, SOON);
            let told = format!("memory +{grown} KiB; {soon} of {} within {SOON:?}", report.requests);
            println!("{told}: {}", report.to_json());
            if report.requests < 30 || soon * 100 < report.requests * 99 {
                slow = Err(told);
            }
        }
        assert!(grown <= GROWTH, "memory grew by {grown} KiB");
        wait_for("memory to come back", || {
            (self.proxy.rss_kib().saturating_sub(before) <= most_left).then_some(())
        });
        slow
    }

    fn bystander(&self, protocol: Protocol, connects: bool) -> Running {
        let mut plan = Plan::new(self.proxy.url("in-0", "/"));
        (plan.protocol, plan.connections, plan.connection_per_request) = (protocol, 4, connects);
        (plan.rate, plan.duration, plan.timeout) = (Some(30.0), Some(PATIENCE * 3), PATIENCE);
        plan.retry_stale = false;
        load::start(plan).unwrap()
    }

    /// The most resident memory while `work` runs, in KiB.
    fn peak_during(&self, work: impl FnOnce()) -> u64 {
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            // Also when the work panics: the scope waits for its threads.
            let _end = End(&done);
            let watching = scope.spawn(|| {
                let mut most = 0;
                while !done.load(Relaxed) {
                    most = most.max(self.proxy.rss_kib());
                    thread::sleep(Duration::from_millis(10));
                }
                most
            });
            work();
            done.store(true, Relaxed);
            watching.join().unwrap()
        })
    }
}

/// Sets its flag when it is dropped.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

fn answered_within(report: &Report, limit: Duration) -> u64 {
    report.latency.count_between(0, u64::try_from(limit.as_nanos()).unwrap()).min(report.passed)
}

/// Has `count` attackers do the same over and over until [`SIEGE`] is over; how many times they did.
fn again_and_again(count: usize, attack: impl Fn(Instant) + Sync) -> usize {
    let end = Instant::now() + SIEGE;
    let times = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(|| {
                while Instant::now() < end {
                    attack(end);
                    thread::sleep(PAUSE);
                    times.fetch_add(1, Relaxed);
                }
            });
        }
    });
    times.into_inner()
}

/// A connection that has room for little of what it is sent.
fn narrow(address: SocketAddr) -> TcpStream {
    let socket =
        socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&address.into()).unwrap();
    socket.into()
}
