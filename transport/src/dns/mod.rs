//! Looks up names on the control thread while the published configuration uses them: host names in
//! URLs, whose endpoint gets the addresses, and `dns` of upstreams, whose addresses or services
//! become endpoints.
//!
//! A name is looked up when it appears, and again when its response expires, after 1 s to 5 min.
//! The last successful response stays in use after any failure, also after NXDOMAIN: a DNS failure
//! says nothing about the endpoints. IPv4 and IPv6 addresses are queried separately, and each
//! family keeps its last addresses. A name that was never resolved leaves its upstream without
//! endpoints (503 `UH`); this is not a load error, since the name may appear later. Addresses that
//! disappear from a response get no new requests; requests in flight complete.

mod failure;
mod families;
mod hosts;
mod lookup;
mod records;
mod resolv_conf;
mod resolver;
#[cfg(test)]
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "the same server stands in front of the binary"
)]
#[path = "../../../proxy/tests/it/support/dns.rs"]
mod stub;
#[cfg(test)]
mod tests;
mod user;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};

use self::{failure::Failure, lookup::Lookup};
pub use self::{
    resolver::Resolver,
    user::{Counters, Endpoints, Host, LookupResult, Name, User},
};

/// Bounds of how long a response is used, whatever its TTL.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(5 * 60);

/// The wait after a failure. It doubles with each consecutive failure, up to the longest.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(30);

/// Time limit of one lookup, all servers and search domains together.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);

/// The lookup tasks, one for each name.
#[derive(Default)]
pub struct Lookups {
    resolver: Arc<Resolver>,
    tasks: Vec<Task>,
}

struct Task {
    user: User,
    task: JoinHandle<()>,
}

impl Drop for Task {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Lookups {
    /// The resolver, for callers that look up names themselves.
    pub fn resolver(&self) -> &Arc<Resolver> {
        &self.resolver
    }

    /// With another resolver than the system's.
    #[cfg(test)]
    fn with(resolver: Resolver) -> Self {
        Self {
            resolver: Arc::new(resolver),
            tasks: Vec::new(),
        }
    }

    /// Starts lookups of names that have none yet, and waits at most `limit` until each was
    /// attempted once. Called before a configuration is published, so that the first requests have
    /// addresses.
    pub async fn begin(&mut self, names: Vec<Name>, limit: Duration) {
        let mut tried = Vec::new();
        for name in names {
            if self.tasks.iter().any(|task| task.user.is(&name.user)) {
                continue;
            }
            let (first, done) = oneshot::channel();
            tried.push(done);
            let user = name.user.clone();
            let task = tokio::spawn(keep(name, Arc::clone(&self.resolver), first));
            self.tasks.push(Task { user, task });
        }
        let _ = timeout(limit, async {
            for done in tried {
                let _ = done.await;
            }
        })
        .await;
    }

    /// Stops lookups of names that the published configuration does not use.
    pub fn retain(&mut self, names: &[Name]) {
        self.tasks
            .retain(|task| names.iter().any(|name| name.user.is(&task.user)));
    }
}

/// Looks up a name repeatedly, for as long as the task lives.
async fn keep(name: Name, resolver: Arc<Resolver>, first: oneshot::Sender<()>) {
    let mut first = Some(first);
    let count = |result| {
        name.counters
            .iter()
            .for_each(|counters| counters.looked_up(result))
    };
    let mut lookup = Lookup::new(name.user);
    let (mut failures, mut incomplete) = (0_u32, 0_u32);
    loop {
        let looked_up = timeout(LOOKUP_TIMEOUT, lookup.run(&resolver)).await;
        let outcome = match looked_up.unwrap_or(Err(Failure::Timeout)) {
            Ok(outcome) => {
                count(LookupResult::Ok);
                failures = 0;
                lookup.user.last().answered(good_for(outcome.ttl));
                Some(outcome)
            }
            Err(error) => {
                count(error.result());
                lookup.user.last().failed(error.to_string());
                failures = failures.saturating_add(1);
                if failures.is_power_of_two() {
                    let name = lookup.user.label();
                    tracing::warn!(%name, %error, failures, "name cannot be looked up; its last addresses stay in use");
                }
                None
            }
        };
        if let Some(first) = first.take() {
            let _ = first.send(());
        }
        let again = match outcome {
            Some(outcome) => lookup.rest(outcome, &mut incomplete).await,
            None => Instant::now() + retry(failures),
        };
        sleep_until(again).await;
    }
}

/// How long a response with this TTL is used.
fn good_for(ttl: Duration) -> Duration {
    ttl.clamp(SHORTEST, LONGEST)
}

/// How long to wait after `failures` consecutive failures, ±10 %, so that pods do not retry at the
/// same time.
fn retry(failures: u32) -> Duration {
    let doubled = FIRST_RETRY.saturating_mul(1 << failures.saturating_sub(1).min(10));
    doubled.min(LAST_RETRY).mul_f64(0.9 + 0.2 * fastrand::f64())
}
