//! Outlier detection (passive health checks): an endpoint that fails repeatedly is ejected for a
//! while.
//!
//! The state of one endpoint is a few atomics, so that workers share it without a lock. Times are
//! microseconds, passed in by the caller. After its ejection an endpoint is not back in use at
//! once: one probe request is sent, and only a successful response to it ends the ejection.

use std::{
    sync::atomic::{
        AtomicU32, AtomicU64,
        Ordering::{AcqRel, Acquire, Relaxed, Release},
    },
    time::Duration,
};

use outrigger_config::model::OutlierDetection;

/// In use.
const IN: u64 = 0;
/// Ejected, with a probe request in flight.
const PROBING: u64 = u64::MAX;

/// Failures and ejections of one endpoint.
#[derive(Debug, Default)]
pub(crate) struct Outlier {
    /// Consecutive failures.
    consecutive: AtomicU32,
    /// [`IN`], [`PROBING`], or when the ejection ends.
    until: AtomicU64,
    /// How often it was ejected; decreases while it does not fail.
    times: AtomicU32,
    /// When the last ejection ended.
    returned: AtomicU64,
}

/// The state of an ejection, for status pages.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ejection {
    /// Remaining time; zero once a probe may be sent, `None` while one is in flight.
    pub left: Option<Duration>,
    /// How often it was ejected. Time without failure reduces it at the next ejection.
    pub times: u32,
}

/// How a request gets to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Normally.
    Open,
    /// As the probe that decides whether the ejection ends.
    Probe,
    /// Not at all.
    Closed,
}

/// A change of state through the result of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Ejected after this many failures, for this long.
    Ejected(u32, Duration),
    /// Back in use.
    Returned,
}

impl Outlier {
    /// Whether it is ejected, or a probe is in flight.
    pub(crate) fn is_out(&self) -> bool {
        self.until.load(Relaxed) != IN
    }

    /// Its current ejection, if any.
    pub(crate) fn ejection(&self, now: u64) -> Option<Ejection> {
        let times = self.times.load(Relaxed);
        match self.until.load(Relaxed) {
            IN => None,
            PROBING => Some(Ejection { left: None, times }),
            until => Some(Ejection {
                left: Some(Duration::from_micros(until.saturating_sub(now))),
                times,
            }),
        }
    }

    /// Whether it may get a request; `now` is called only when the result depends on it.
    pub(crate) fn admits(&self, now: impl FnOnce() -> u64) -> bool {
        match self.until.load(Relaxed) {
            IN => true,
            PROBING => false,
            until => until <= now(),
        }
    }

    /// Admits a request. Of several candidates for the probe, one is chosen.
    pub(crate) fn enter(&self, now: impl FnOnce() -> u64) -> Entry {
        let until = self.until.load(Acquire);
        match until {
            IN => Entry::Open,
            PROBING => Entry::Closed,
            _ if until > now() => Entry::Closed,
            _ => match self.until.compare_exchange(until, PROBING, AcqRel, Relaxed) {
                Ok(_) => Entry::Probe,
                Err(_) => Entry::Closed,
            },
        }
    }

    /// Records a success.
    pub(crate) fn succeeded(&self, entry: Entry, now: impl FnOnce() -> u64) -> Option<Change> {
        if self.consecutive.load(Relaxed) != 0 {
            self.consecutive.store(0, Relaxed);
        }
        if entry != Entry::Probe {
            // A request from before the ejection, or in panic mode, does not end the ejection.
            return None;
        }
        self.returned.store(now(), Relaxed);
        self.until.store(IN, Release);
        Some(Change::Returned)
    }

    /// Records a failure. `may_eject` is called only when this failure is sufficient, and its value
    /// is held until the ejection is stored.
    pub(crate) fn failed<T>(
        &self,
        entry: Entry,
        now: u64,
        settings: &OutlierDetection,
        may_eject: impl FnOnce() -> Option<T>,
    ) -> Option<Change> {
        if entry == Entry::Probe {
            return Some(Change::Ejected(1, self.eject(now, settings)));
        }
        if self.is_out() {
            return None;
        }
        let errors = self.consecutive.fetch_add(1, Relaxed).saturating_add(1);
        if errors < settings.consecutive_errors {
            return None;
        }
        let _turn = may_eject()?;
        self.consecutive.store(0, Relaxed);
        Some(Change::Ejected(errors, self.eject(now, settings)))
    }

    /// The probe ended without a result; another request may probe.
    pub(crate) fn gave_up(&self, entry: Entry) {
        if entry == Entry::Probe {
            self.until.store(IN + 1, Release);
        }
    }

    /// Each ejection is longer than the last, until the endpoint has not failed for as long.
    fn eject(&self, now: u64, settings: &OutlierDetection) -> Duration {
        let base = micros(settings.base_ejection_time);
        let behaved = match self.returned.load(Relaxed) {
            0 => 0,
            returned => now.saturating_sub(returned) / base.max(1),
        };
        let forgiven = u32::try_from(behaved).unwrap_or(u32::MAX);
        let times = self
            .times
            .load(Relaxed)
            .saturating_sub(forgiven)
            .saturating_add(1);
        self.times.store(times, Relaxed);
        let span = base
            .saturating_mul(u64::from(times))
            .min(micros(settings.max_ejection_time))
            .max(1);
        self.until
            .store(now.saturating_add(span).min(PROBING - 1), Release);
        Duration::from_micros(span)
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Whether one more of `all` endpoints may be ejected, when `out` are ejected already and `others`
/// besides it are usable. Never the last usable one, and never more than `max_percent`.
pub(crate) fn may_eject(all: usize, out: usize, others: usize, max_percent: u8) -> bool {
    others > 0 && (out + 1) * 100 <= all * usize::from(max_percent)
}

#[cfg(test)]
mod tests {
    use outrigger_config::load_str;

    use super::*;

    const SECOND: u64 = 1_000_000;

    fn settings(keys: &str) -> OutlierDetection {
        let yaml = format!(
            "upstreams: {{ u: {{ endpoints: [{{ url: http://a }}], outlierDetection: {{ {keys} }} }} }}\n\
             routes: [{{ name: r, backendRefs: [u] }}]"
        );
        let config = load_str("outrigger.yaml", &yaml, &|_: &str| None)
            .unwrap()
            .config;
        config.upstreams[0].outlier_detection.clone().unwrap()
    }

    /// Fails until it is ejected; returns the seconds of the ejection.
    fn until_ejected(outlier: &Outlier, now: u64, settings: &OutlierDetection) -> u64 {
        for _ in 0..settings.consecutive_errors - 1 {
            assert_eq!(
                outlier.failed(Entry::Open, now, settings, || Some(())),
                None
            );
        }
        match outlier.failed(Entry::Open, now, settings, || Some(())) {
            Some(Change::Ejected(_, span)) => span.as_secs(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_fifth_failure_in_a_row_ejects_and_a_success_between_begins_anew() {
        let (outlier, settings) = (Outlier::default(), settings(""));
        for _ in 0..20 {
            for _ in 0..4 {
                assert_eq!(outlier.failed(Entry::Open, 0, &settings, || Some(())), None);
            }
            assert_eq!(outlier.succeeded(Entry::Open, || 0), None);
        }
        assert!(!outlier.is_out());
        assert_eq!(until_ejected(&outlier, SECOND, &settings), 30);
        assert!(outlier.is_out());
        assert_eq!(outlier.enter(|| 30 * SECOND), Entry::Closed);
        assert_eq!(
            outlier.failed(Entry::Open, 2 * SECOND, &settings, || Some(())),
            None,
            "it is out already"
        );
        assert_eq!(
            outlier.succeeded(Entry::Open, || 2 * SECOND),
            None,
            "late answers do not let it in"
        );
        assert!(outlier.is_out());
    }

    #[test]
    fn one_request_tries_again_and_its_answer_lets_the_others_in() {
        let (outlier, settings) = (Outlier::default(), settings(""));
        until_ejected(&outlier, SECOND, &settings);
        let later = 31 * SECOND;
        let left = |now| {
            outlier
                .ejection(now)
                .map(|ejection| (ejection.left, ejection.times))
        };
        assert_eq!(left(SECOND), Some((Some(Duration::from_secs(30)), 1)));
        assert_eq!(left(later), Some((Some(Duration::ZERO), 1)));
        assert!(outlier.admits(|| later));
        assert_eq!(outlier.enter(|| later), Entry::Probe);
        assert_eq!(
            (outlier.enter(|| later), outlier.admits(|| later)),
            (Entry::Closed, false)
        );
        assert_eq!(left(later), Some((None, 1)), "it is being tried");
        outlier.gave_up(Entry::Probe);
        assert_eq!(
            outlier.enter(|| later),
            Entry::Probe,
            "the client of the first went away"
        );
        assert_eq!(
            outlier.succeeded(Entry::Probe, || later),
            Some(Change::Returned)
        );
        assert_eq!(
            (outlier.enter(|| later), outlier.is_out()),
            (Entry::Open, false)
        );
        assert_eq!(left(later), None);
    }

    #[test]
    fn each_ejection_is_longer_up_to_the_longest_and_good_behaviour_is_remembered() {
        let (outlier, settings) = (Outlier::default(), settings("maxEjectionTime: 100s"));
        let mut now = SECOND;
        let mut span = until_ejected(&outlier, now, &settings);
        for expected in [30, 60, 90, 100, 100] {
            assert_eq!(span, expected);
            now += span * SECOND;
            assert_eq!(outlier.enter(|| now), Entry::Probe);
            let Some(Change::Ejected(1, longer)) =
                outlier.failed(Entry::Probe, now, &settings, || Some(()))
            else {
                panic!("a failed try ejects at once")
            };
            span = longer.as_secs();
        }
        now += span * SECOND;
        assert_eq!(outlier.enter(|| now), Entry::Probe);
        outlier.succeeded(Entry::Probe, || now);
        // It was ejected six times; five base times without a failure undo five ejections.
        assert_eq!(until_ejected(&outlier, now + 150 * SECOND, &settings), 60);
    }

    #[test]
    fn never_the_last_one_and_never_more_than_the_share() {
        for (all, out, others, percent, expected) in [
            (1, 0, 0, 100, false),
            (2, 0, 1, 50, true),
            (2, 1, 0, 100, false),
            (3, 0, 2, 50, true),
            (3, 1, 1, 50, false),
            (3, 1, 1, 70, true),
            (4, 1, 2, 50, true),
            (4, 0, 0, 50, false), // the others are unhealthy
            (10, 0, 9, 9, false),
            (10, 0, 9, 0, false),
        ] {
            assert_eq!(
                may_eject(all, out, others, percent),
                expected,
                "{out} of {all}, {percent} %"
            );
        }
        let (outlier, settings) = (Outlier::default(), settings(""));
        for _ in 0..50 {
            assert_eq!(
                outlier.failed(Entry::Open, 0, &settings, || None::<()>),
                None
            );
        }
        let change = outlier.failed(Entry::Open, 0, &settings, || Some(()));
        assert_eq!(
            change,
            Some(Change::Ejected(51, Duration::from_secs(30))),
            "as soon as it may be"
        );
    }
}
