//! How long a scraper waits: Prometheus says so in each request.

use std::time::Duration;

use http::HeaderMap;
use tokio::time::{Instant, timeout_at};

/// What Prometheus sends: its `scrape_timeout` in seconds, as a decimal number.
const HEADER: &str = "x-prometheus-scrape-timeout-seconds";

/// Kept for the way back and for the page itself.
const RESERVE: Duration = Duration::from_millis(500);

/// The longest time that a header may ask for: a mistake in it must not keep a request for ever.
const LONGEST: Duration = Duration::from_secs(300);

/// Until when the page must be complete.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget(Option<Instant>);

impl Budget {
    /// Of a request. Without the header there is no limit but those of what is asked.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        Self(allowed(headers).map(|time| Instant::now() + time))
    }

    /// The result of `work`, or `None` when the time was over first.
    pub(super) async fn within<T>(self, work: impl Future<Output = T>) -> Option<T> {
        match self.0 {
            Some(end) => timeout_at(end, work).await.ok(),
            None => Some(work.await),
        }
    }
}

/// The time that the scraper waits, without the reserve; at least half of it.
fn allowed(headers: &HeaderMap) -> Option<Duration> {
    let seconds: f64 = headers.get(HEADER)?.to_str().ok()?.trim().parse().ok()?;
    let whole = Duration::try_from_secs_f64(seconds).ok()?.min(LONGEST);
    Some(whole.saturating_sub(RESERVE).max(whole / 2)).filter(|time| !time.is_zero())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_time_of_the_scraper_is_kept_with_a_reserve() {
        for (value, millis) in [
            ("10", Some(9_500)),
            ("1", Some(500)),
            ("0.5", Some(250)),
            ("1e9", Some(299_500)),
            ("0", None),
            ("-1", None),
            ("NaN", None),
            ("inf", None),
            ("soon", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, HeaderValue::from_static(value));
            assert_eq!(
                allowed(&headers),
                millis.map(Duration::from_millis),
                "{value}"
            );
        }
    }
}
