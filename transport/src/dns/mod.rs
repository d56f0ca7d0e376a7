//! Looks names up on the control thread, as long as somebody needs them: host names in URLs, whose endpoint gets the
//! addresses, and `dns` of upstreams, whose addresses or services are endpoints.
//!
//! A name is asked for when it appears and again when its answer is over, from a second to five minutes later. Whatever
//! fails, the last good answer stays, also when the name is said to be gone: whoever cannot be asked says nothing about
//! endpoints. IPv4 and IPv6 addresses are asked for separately, and each family keeps what it last had. A name that was never found leaves its upstream without endpoint (503 `UH`), which is no load error: it may
//! appear later. Addresses that vanish from an answer get no new requests; what is under way there ends by itself.

mod answer;
mod failure;
mod families;
mod hosts;
mod lookup;
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

/// How long an answer is used, whatever it says.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(5 * 60);

/// The wait after a failure; it doubles with each further one, up to the longest.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(30);

/// How long one lookup may take, all servers and search domains together.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);

/// The tasks that look up, one for each name.
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
    /// What looks names up, for callers that look one up themselves.
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

    /// Begins with names that nobody looks up yet, and waits at most for `limit` until each of them was tried once:
    /// called before a configuration is published, so that the first requests find addresses.
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

    /// Ends the lookups of names that the published configuration does not have.
    pub fn keep_only(&mut self, names: &[Name]) {
        self.tasks
            .retain(|task| names.iter().any(|name| name.user.is(&task.user)));
    }
}

/// Looks a name up for as long as the task lives.
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
        let answer = match looked_up.unwrap_or(Err(Failure::Timeout)) {
            Ok(answer) => {
                count(LookupResult::Ok);
                failures = 0;
                lookup.user.last().answered(good_for(answer.ttl));
                Some(answer)
            }
            Err(error) => {
                count(error.result());
                lookup.user.last().failed(error.to_string());
                failures = failures.saturating_add(1);
                if failures.is_power_of_two() {
                    let name = lookup.user.label();
                    tracing::warn!(%name, %error, failures, "name not looked up; the last good answer stays");
                }
                None
            }
        };
        if let Some(first) = first.take() {
            let _ = first.send(());
        }
        let again = match answer {
            Some(answer) => lookup.rest(answer, &mut incomplete).await,
            None => Instant::now() + retry(failures),
        };
        sleep_until(again).await;
    }
}

/// How long an answer with this TTL is used.
fn good_for(ttl: Duration) -> Duration {
    ttl.clamp(SHORTEST, LONGEST)
}

/// How long to wait behind so many failures in a row, give or take a tenth, so that pods do not ask together.
fn retry(failures: u32) -> Duration {
    let doubled = FIRST_RETRY.saturating_mul(1 << failures.saturating_sub(1).min(10));
    doubled.min(LAST_RETRY).mul_f64(0.9 + 0.2 * fastrand::f64())
}
