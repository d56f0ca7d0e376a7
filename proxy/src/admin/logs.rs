//! What is known of the log shipper, for `GET /status`.

use std::sync::{PoisonError, atomic::Ordering::Relaxed};

use outrigger_logs::counters::{Counters, SinkCounters, SourceCounters};
use serde_json::{Map, Value, json};

/// Sources, sinks and the buffer between them.
pub(super) fn logs(counters: &Counters) -> Value {
    let sources: Map<_, _> = counters
        .sources()
        .iter()
        .map(|(name, one)| (name.clone(), source(one)))
        .collect();
    let sinks: Map<_, _> = counters
        .sinks()
        .iter()
        .map(|(name, one)| (name.clone(), sink(one)))
        .collect();
    let buffer = &counters.buffer;
    json!({
        "sources": sources,
        "sinks": sinks,
        "buffer": {
            "memoryBytes": buffer.memory.load(Relaxed),
            "diskBytes": buffer.disk.load(Relaxed),
            "blocked": buffer.blocked.load(Relaxed),
        },
    })
}

fn source(one: &SourceCounters) -> Value {
    json!({
        "files": one.files.load(Relaxed),
        "unreadableFiles": one.unreadable.load(Relaxed),
        "records": one.records.load(Relaxed),
        "lagBytes": one.lag_bytes.load(Relaxed),
        "lostBytes": one.lost_bytes.load(Relaxed),
    })
}

fn sink(one: &SinkCounters) -> Value {
    let last = one
        .last_error
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    json!({
        "up": !one.failing.load(Relaxed),
        "sent": one.sent.load(Relaxed),
        "deadLetters": one.dead_letters.load(Relaxed),
        "dropped": one.dropped.load(Relaxed),
        "lastError": *last,
    })
}
