//! The keys of one provider, shared by the thread that fetches them and the workers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use arc_swap::{ArcSwapOption, Guard};
use outrigger_config::model::{JwtProvider, KeySource, RemoteKeys};
use outrigger_filters::jwt::KeySet;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout},
};

use crate::telemetry::metrics::JwksCounters;

/// Shortest interval between fetches that tokens with unknown keys cause.
pub(super) const REQUEST_INTERVAL: Duration = Duration::from_secs(10);

pub(crate) struct KeyCell {
    /// The provider's name.
    pub name: Arc<str>,
    /// `iss`, by which discovery finds the keys.
    pub(super) issuer: Arc<str>,
    /// The source of the keys.
    pub(super) source: KeySource,
    keys: ArcSwapOption<Loaded>,
    pub(super) counters: Arc<JwksCounters>,
    fetches: Fetches,
}

/// Keys, and when they were fetched.
pub(crate) struct Loaded {
    keys: KeySet,
    since: Instant,
}

/// Numbers of the fetches that have started and ended, counted from 1.
struct Fetches {
    begun: AtomicU64,
    ended: watch::Sender<u64>,
    /// When a worker last requested a fetch, and which one; see [`FetchRequest`].
    requested: AtomicU64,
    note: Notify,
    made: Instant,
}

/// A time in milliseconds (40 bits) and the number of a fetch (24 bits) in one word. Zero means
/// none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FetchRequest(u64);

impl FetchRequest {
    fn new(at: Duration, fetch: u64) -> Self {
        Self((at.as_millis() as u64) << 24 | fetch & 0xff_ffff)
    }

    fn is_recent(self, now: Duration) -> bool {
        let at = Duration::from_millis(self.0 >> 24);
        self.0 != 0 && now.saturating_sub(at) < REQUEST_INTERVAL
    }

    /// Whether the requested fetch has ended. Numbers wrap around; the two are never far apart.
    fn is_over(self, ended: u64) -> bool {
        ended.wrapping_sub(self.0) & 0xff_ffff < 0x80_0000
    }
}

impl KeyCell {
    /// A cell for a provider. Keys from the configuration are loaded at once.
    pub(super) fn new(provider: &JwtProvider, counters: Arc<JwksCounters>) -> Self {
        let cell = Self {
            name: Arc::clone(&provider.name),
            issuer: Arc::clone(&provider.issuer),
            source: provider.keys.clone(),
            keys: ArcSwapOption::empty(),
            counters,
            fetches: Fetches {
                begun: AtomicU64::new(0),
                ended: watch::Sender::new(0),
                requested: AtomicU64::new(0),
                note: Notify::new(),
                made: Instant::now(),
            },
        };
        cell.load_configured();
        cell
    }

    /// The keys were checked when the configuration was accepted, so no error is expected here.
    fn load_configured(&self) {
        let keys = match &self.source {
            KeySource::Discovery(_) | KeySource::Url(..) => return,
            KeySource::Text { jwks, .. } => {
                KeySet::read(jwks.as_bytes()).map_err(|error| error.to_string())
            }
            KeySource::Secret(secret) => {
                KeySet::secret(secret.clone()).map_err(|error| error.to_string())
            }
        };
        match keys {
            Ok(keys) => self.load(keys),
            Err(error) => tracing::error!(provider = %self.name, %error, "keys cannot be used"),
        }
    }

    /// Whether a provider of a new configuration may keep these keys.
    pub(super) fn is_for(&self, provider: &JwtProvider) -> bool {
        *self.name == *provider.name
            && self.issuer == provider.issuer
            && self.source == provider.keys
    }

    /// How its keys are fetched; `None` for keys from the configuration.
    pub(super) fn remote(&self) -> Option<&RemoteKeys> {
        match &self.source {
            KeySource::Discovery(remote) | KeySource::Url(_, remote) => Some(remote),
            KeySource::Text { .. } | KeySource::Secret(_) => None,
        }
    }

    /// Calls `read` with the keys, or with `None` when none were ever loaded or the last ones are
    /// too old.
    pub(crate) fn with<R>(&self, read: impl FnOnce(Option<&KeySet>) -> R) -> R {
        let loaded: Guard<Option<Arc<Loaded>>> = self.keys.load();
        let fresh = loaded.as_ref().filter(|loaded| {
            self.remote()
                .is_none_or(|remote| loaded.since.elapsed() <= remote.max_stale)
        });
        read(fresh.map(|loaded| &loaded.keys))
    }

    /// Requests a fetch, unless one was requested a moment ago, and waits until that fetch has
    /// ended, at most `jwks.timeout`. The keys may be newer afterwards.
    pub(crate) async fn ask(&self) {
        let Some(remote) = self.remote() else { return };
        let mut ended = self.fetches.ended.subscribe();
        let requested = self.fetches.ask(self.fetches.made.elapsed());
        let _ = timeout(
            remote.timeout,
            ended.wait_for(|ended| requested.is_over(*ended)),
        )
        .await;
    }

    pub(super) fn load(&self, keys: KeySet) {
        self.counters.loaded(keys.len());
        self.keys.store(Some(Arc::new(Loaded {
            keys,
            since: Instant::now(),
        })));
    }

    /// Notes the start of a fetch. There is only one at a time.
    pub(super) fn begin_fetch(&self) -> u64 {
        self.fetches.begun.fetch_add(1, SeqCst) + 1
    }

    /// Notes the end of a fetch, successful or not.
    pub(super) fn end_fetch(&self, number: u64) {
        self.fetches.ended.send_replace(number);
    }

    /// Waits until the first fetch has ended.
    pub(super) async fn first_fetch(&self) {
        let _ = self
            .fetches
            .ended
            .subscribe()
            .wait_for(|ended| *ended > 0)
            .await;
    }

    /// Waits until a worker requests a fetch.
    pub(super) async fn fetch_requested(&self) {
        self.fetches.note.notified().await;
    }
}

impl Fetches {
    /// The fetch that was requested within the last ten seconds, otherwise the next one.
    fn ask(&self, now: Duration) -> FetchRequest {
        let now = now + Duration::from_millis(1); // zero means none
        let mut seen = self.requested.load(SeqCst);
        loop {
            if FetchRequest(seen).is_recent(now) {
                return FetchRequest(seen);
            }
            let next = FetchRequest::new(now, self.begun.load(SeqCst) + 1);
            match self
                .requested
                .compare_exchange(seen, next.0, SeqCst, SeqCst)
            {
                Ok(_) => {
                    self.note.notify_one();
                    return next;
                }
                Err(other) => seen = other,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::Future, task::Poll};

    use super::*;

    fn fetches() -> Fetches {
        Fetches {
            begun: AtomicU64::new(0),
            ended: watch::Sender::new(0),
            requested: AtomicU64::new(0),
            note: Notify::new(),
            made: Instant::now(),
        }
    }

    /// docs/security.md 14.
    #[test]
    fn requests_within_ten_seconds_wait_for_the_same_fetch() {
        let fetches = fetches();
        fetches.begun.store(1, SeqCst);
        let first = fetches.ask(Duration::ZERO);
        assert!(
            first.is_over(2) && first.is_over(3) && !first.is_over(1),
            "{first:?}"
        );
        fetches.begun.store(2, SeqCst);
        assert_eq!(
            fetches.ask(REQUEST_INTERVAL - Duration::from_millis(1)),
            first
        );
        let second = fetches.ask(REQUEST_INTERVAL);
        assert!(second.is_over(3) && !second.is_over(2), "{second:?}");
    }

    #[tokio::test]
    async fn one_note_is_left_however_many_ask() {
        let fetches = fetches();
        let first = fetches.ask(Duration::ZERO);
        assert_eq!(fetches.ask(Duration::ZERO), first);
        fetches.note.notified().await;
        let mut another = std::pin::pin!(fetches.note.notified());
        assert!(
            std::future::poll_fn(|cx| Poll::Ready(another.as_mut().poll(cx)))
                .await
                .is_pending()
        );
    }

    #[test]
    fn numbers_of_fetches_wrap() {
        let requested = FetchRequest::new(Duration::from_secs(1), (1 << 24) + 5);
        assert!(
            requested.is_over((1 << 24) + 5)
                && requested.is_over(1 << 25 | 6)
                && !requested.is_over((1 << 24) + 4)
        );
    }
}
