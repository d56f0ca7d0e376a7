//! What the log shipper counts. These families are not on the page while nothing is shipped.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use outrigger_logs::counters::{Counters, SinkCounters, SourceCounters};

use super::{
    Metrics,
    family::{self, Family},
    lock,
    page::Page,
};

type Sources = [(String, Arc<SourceCounters>)];
type Sinks = [(String, Arc<SinkCounters>)];

impl Metrics {
    pub(super) fn render_logs(&self, page: &mut Page) {
        let Some(counters) = lock(&self.logs).clone() else {
            return;
        };
        render_sources(&counters.sources(), page);
        render_sinks(&counters.sinks(), page);
        render_buffer(&counters, page);
    }
}

fn each<T>(
    page: &mut Page,
    family: &Family<1>,
    all: &[(String, Arc<T>)],
    read: fn(&T) -> &AtomicU64,
) {
    let samples = all
        .iter()
        .map(|(name, one)| ([&**name], read(one).load(Relaxed)));
    page.family(family, samples);
}

fn render_sources(all: &Sources, page: &mut Page) {
    each(page, &family::LOGS_READ_BYTES, all, |one| &one.bytes);
    each(page, &family::LOGS_READ_LINES, all, |one| &one.lines);
    let results = all.iter().flat_map(|(name, one)| {
        [("accepted", &one.records), ("filtered", &one.filtered)]
            .map(|(result, count)| ([&**name, result], count.load(Relaxed)))
    });
    page.family(&family::LOGS_RECORDS, results);
    let problems = all.iter().flat_map(|(name, one)| {
        [
            ("parse_error", &one.parse_errors),
            ("bad_timestamp", &one.bad_timestamps),
            ("invalid_utf8", &one.invalid_utf8),
            ("truncated", &one.truncated),
        ]
        .map(|(problem, count)| ([&**name, problem], count.load(Relaxed)))
    });
    page.family(&family::LOGS_PROBLEMS, problems);
    each(page, &family::LOGS_REDACTIONS, all, |one| &one.redacted);
    each(page, &family::LOGS_LOST_BYTES, all, |one| &one.lost_bytes);
    each(page, &family::LOGS_LAG_BYTES, all, |one| &one.lag_bytes);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_millis() as u64);
    let lag = all.iter().map(|(name, one)| {
        let seconds = match one.lag_since.load(Relaxed) {
            0 => 0.0,
            since => now.saturating_sub(since) as f64 / 1_000.0,
        };
        ([&**name], seconds)
    });
    page.family(&family::LOGS_LAG_SECONDS, lag);
    each(page, &family::LOGS_FILES, all, |one| &one.files);
    each(page, &family::LOGS_UNREADABLE_FILES, all, |one| {
        &one.unreadable
    });
}

fn render_sinks(all: &Sinks, page: &mut Page) {
    each(page, &family::LOGS_SENT_RECORDS, all, |one| &one.sent);
    each(page, &family::LOGS_SENT_BYTES, all, |one| &one.sent_bytes);
    each(page, &family::LOGS_RETRIES, all, |one| &one.retries);
    each(page, &family::LOGS_DEAD_LETTERS, all, |one| {
        &one.dead_letters
    });
    each(page, &family::LOGS_DROPPED_RECORDS, all, |one| &one.dropped);
    let up = all
        .iter()
        .map(|(name, one)| ([&**name], u8::from(!one.failing.load(Relaxed))));
    page.family(&family::LOGS_SINK_UP, up);
}

fn render_buffer(counters: &Counters, page: &mut Page) {
    let buffer = &counters.buffer;
    let places = [("memory", &buffer.memory), ("disk", &buffer.disk)];
    let places = places.map(|(place, bytes)| ([place], bytes.load(Relaxed)));
    page.family(&family::LOGS_BUFFERED_BYTES, places);
    let blocked = u8::from(buffer.blocked.load(Relaxed));
    page.single(&family::LOGS_BLOCKED, blocked);
    let errors = counters.checkpoint_errors.load(Relaxed);
    page.single(&family::LOGS_CHECKPOINT_ERRORS, errors);
}
