//! What is known of the checks of `monitor`, for `GET /status`.

use std::time::{Duration, SystemTime};

use outrigger_monitor::checks::Report;
use serde_json::{Map, Value, json};

/// Each check by its name.
pub(super) fn checks(reports: &[Report]) -> Value {
    let each = reports.iter().map(|one| (one.name.to_string(), check(one)));
    each.collect::<Map<_, _>>().into()
}

fn check(report: &Report) -> Value {
    let mut told = Map::new();
    let [succeeded, failed] = report.counts;
    told.insert("succeeded".to_owned(), json!(succeeded));
    told.insert("failed".to_owned(), json!(failed));
    if let Some(last) = &report.last {
        told.insert("success".to_owned(), json!(last.failure.is_none()));
        told.insert("failure".to_owned(), json!(last.failure));
        told.insert("ageSeconds".to_owned(), json!(last.at.elapsed().as_secs()));
        told.insert("durationMs".to_owned(), json!(millis(last.took)));
        if let Some(expiry) = last.certificate_expiry {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            let now = now.map_or(0, |now| now.as_secs() as i64);
            told.insert(
                "certificateRemainingSeconds".to_owned(),
                json!(expiry - now),
            );
        }
    }
    told.into()
}

/// With three decimals, as people read it.
fn millis(time: Duration) -> f64 {
    time.as_micros() as f64 / 1_000.0
}
