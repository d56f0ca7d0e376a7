//! `type: otlp`: OTLP over HTTP with protobuf.
//!
//! Documents have ECS names; here they get those of the OpenTelemetry semantic conventions. What is the same for all records of a
//! pod becomes the resource. A partial success is never repeated (opentelemetry-proto, `docs/specification.md`): the server has
//! taken the rest and counts what it rejected.

mod convert;
pub mod message;

use std::sync::{Arc, atomic::Ordering::Relaxed};

use prost::Message;

use self::message::{Request, ResourceLogs, Response, Scope, ScopeLogs};
use super::{
    Attempt, Batch, DeadLetters, Fate,
    http::{Post, reason, retry_after},
};
use crate::{counters::SinkCounters, source::unix_now};

const CONTENT_TYPE: &str = "application/x-protobuf";

/// The logs service of one server.
pub struct Otlp {
    post: Post,
    limit: usize,
    most: usize,
    dead_letters: DeadLetters,
    counters: Arc<SinkCounters>,
    told: bool,
}

impl Otlp {
    pub(super) fn new(
        post: Post,
        limit: usize,
        dead_letters: DeadLetters,
        counters: Arc<SinkCounters>,
    ) -> Self {
        Self {
            post,
            limit,
            most: limit,
            dead_letters,
            counters,
            told: false,
        }
    }

    /// Sends as much of a batch as one request may have.
    pub(super) async fn send(&mut self, batch: &mut Batch) -> Attempt {
        let (body, count) = self.body(batch);
        let response = match self.post.send("/v1/logs", CONTENT_TYPE, body).await {
            Ok(response) => response,
            Err(error) => return Attempt::retry(error.to_string()),
        };
        match response.status.as_u16() {
            200..=299 => {
                self.limit = (self.limit * 2).min(self.most);
                self.partial(&response.body);
                batch.settle(count, |_, _| Fate::Sent);
                Attempt::Progress
            }
            413 if count > 1 => {
                let bytes: usize = batch
                    .records()
                    .take(count)
                    .map(|one| one.document.len())
                    .sum();
                self.limit = (bytes / 2).max(1);
                Attempt::Progress
            }
            // The request itself is wrong, and stays so.
            400 | 413 | 422 => {
                let reason = reason(&response);
                let dead_letters = &mut self.dead_letters;
                batch.settle(count, |_, record| {
                    dead_letters.add(record.document, &reason);
                    Fate::Refused
                });
                Attempt::Progress
            }
            // The specification repeats 429, 502, 503 and 504; a wrong token or path is mended by people.
            _ => Attempt::Retry {
                after: retry_after(&response.headers),
                reason: reason(&response),
            },
        }
    }

    /// Records that the server says it rejected; which ones it does not say.
    fn partial(&mut self, body: &[u8]) {
        let Some(partial) = Response::decode(body)
            .ok()
            .and_then(|one| one.partial_success)
        else {
            return;
        };
        let rejected = u64::try_from(partial.rejected_log_records).unwrap_or(0);
        self.counters.dead_letters.fetch_add(rejected, Relaxed);
        if rejected > 0 && !std::mem::replace(&mut self.told, true) {
            tracing::warn!(rejected, reason = %partial.error_message, "logs: the server took a request and rejected some of its records for good; they are counted");
        }
    }

    fn body(&self, batch: &Batch) -> (Vec<u8>, usize) {
        let observed = unix_now().unsigned_abs();
        let mut resources: Vec<ResourceLogs> = Vec::new();
        let (mut bytes, mut count) = (0, 0);
        for record in batch.records() {
            bytes += record.document.len();
            if count > 0 && bytes > self.limit {
                break;
            }
            count += 1;
            let (resource, log_record) = convert::record(&record, observed);
            let known = resources
                .iter()
                .position(|one| one.resource.as_ref() == Some(&resource));
            let index = known.unwrap_or_else(|| {
                resources.push(ResourceLogs {
                    resource: Some(resource),
                    scope_logs: vec![ScopeLogs {
                        scope: Some(Scope {
                            name: "outrigger".to_owned(),
                            version: env!("CARGO_PKG_VERSION").to_owned(),
                        }),
                        log_records: Vec::new(),
                    }],
                });
                resources.len() - 1
            });
            resources[index].scope_logs[0].log_records.push(log_record);
        }
        let request = Request {
            resource_logs: resources,
        };
        (request.encode_to_vec(), count)
    }
}
