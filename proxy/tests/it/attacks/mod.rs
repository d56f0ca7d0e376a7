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
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use outrigger_loadtest::{
    load::{self, Plan, Protocol, Running},
    origin::Origin,
};
use tokio::time::Instant;

use crate::support::{PATIENCE, Proxy, live::stop, origin, wait_for};

/// How long an attack goes on at least.
const SIEGE: Duration = Duration::from_secs(3);

/// How long an attacker that was sent away waits: what is asked is whether the proxy stands it, not the machine.
const PAUSE: Duration = Duration::from_millis(10);

/// What memory may grow by, in KiB (`docs/security.md` 18), and what of that may be left when all is over.
const GROWTH: u64 = 64 * 1024;
const LEFT: u64 = 24 * 1024;

/// How many attackers the proxy sends away in an attack at least, where it should send them away.
const SENT_AWAY: usize = 5;

/// How many answers each of those that behave gets during an attack. They are offered three times as many in [`SIEGE`];
/// where the machine is busy, the attack goes on for longer.
const ANSWERS: u64 = 30;

/// How long all that may take where the machine is busy.
const ENDURANCE: Duration = Duration::from_secs(60);

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
        Self {
            proxy: Proxy::start(&yaml),
            origin,
        }
    }

    fn rejected(&self, reason: &str) -> f64 {
        self.proxy.metric(&format!(
            "outrigger_downstream_rejected_total{{reason=\"{reason}\"}}"
        ))
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

    fn withstands_leaving(&self, most_left: u64, attack: impl Fn(SocketAddr)) {
        let _alone = FIELD.lock().unwrap_or_else(PoisonError::into_inner);
        self.one_siege(most_left, attack);
        wait_for("connections to end", || {
            (self
                .proxy
                .metric(r#"outrigger_downstream_connections_active{listener="in-0"}"#)
                < 0.5)
                .then_some(())
        });
        assert_eq!(self.proxy.metric("outrigger_panics_total"), 0.0);
    }

    fn one_siege(&self, most_left: u64, attack: impl Fn(SocketAddr)) {
        let others = [
            self.bystander(Protocol::Http1, false),
            self.bystander(Protocol::Http2 { streams: 2 }, false),
            self.bystander(Protocol::Http1, true),
        ];
        let begun = self.origin.hits();
        wait_for("the others to begin", || {
            (self.origin.hits() > begun + 20).then_some(())
        });
        let before = self.proxy.rss_kib();
        self.proxy.forget_peak();
        self.attack_while_answering(&others, attack);
        let grown = self.proxy.peak_kib().saturating_sub(before);
        println!("memory +{grown} KiB");
        for report in others.map(stop) {
            assert!(
                report.passed * 100 >= report.requests * 99,
                "{:#}",
                report.to_json()
            );
        }
        assert!(grown <= GROWTH, "memory grew by {grown} KiB");
        wait_for("memory to come back", || {
            (self.proxy.rss_kib().saturating_sub(before) <= most_left).then_some(())
        });
    }

    /// Attacks until each of the others has had [`ANSWERS`] meanwhile, at least once.
    fn attack_while_answering(&self, others: &[Running; 3], attack: impl Fn(SocketAddr)) {
        let answered = || {
            others.each_ref().map(|other| {
                let progress = other.progress();
                progress.ended - progress.failed
            })
        };
        let (before, deadline) = (answered(), Instant::now() + ENDURANCE);
        loop {
            attack(self.proxy.inbound());
            let now = answered();
            if now
                .iter()
                .zip(&before)
                .all(|(now, before)| now - before >= ANSWERS)
            {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "under attack {before:?} answers became {now:?} only"
            );
        }
    }

    fn bystander(&self, protocol: Protocol, connects: bool) -> Running {
        let mut plan = Plan::new(self.proxy.url("in-0", "/"));
        (plan.protocol, plan.connections, plan.connection_per_request) = (protocol, 4, connects);
        (plan.rate, plan.duration, plan.timeout) = (Some(30.0), Some(ENDURANCE * 10), PATIENCE);
        plan.retry_stale = false;
        load::start(plan).unwrap()
    }

    /// Waits until so many were refused for this reason.
    fn wait_rejected_at_least(&self, reason: &str, count: usize) {
        wait_for(reason, || {
            (self.rejected(reason) >= count as f64).then_some(())
        });
    }
}

/// Whether an attack goes on.
type GoesOn<'a> = &'a (dyn Fn() -> bool + Sync);

/// Has `count` attackers do the same over and over until [`SIEGE`] is over and `least` of them were sent away, as their
/// attack says.
fn again_and_again(count: usize, least: usize, attack: impl Fn(GoesOn<'_>) -> bool + Sync) {
    let begun = Instant::now();
    let sent_away = AtomicUsize::new(0);
    let goes_on = || {
        let limit = if sent_away.load(Relaxed) < least {
            ENDURANCE
        } else {
            SIEGE
        };
        begun.elapsed() < limit
    };
    thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(|| {
                while goes_on() {
                    sent_away.fetch_add(usize::from(attack(&goes_on)), Relaxed);
                    thread::sleep(PAUSE);
                }
            });
        }
    });
    let sent_away = sent_away.into_inner();
    assert!(
        sent_away >= least,
        "{sent_away} attackers of {least} were sent away"
    );
}

/// A connection that has room for little of what it is sent.
fn narrow(address: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::STREAM,
        None,
    )
    .unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&address.into()).unwrap();
    socket.into()
}
