//! `type: loki`: Loki's push API, as JSON.
//!
//! Labels come from the configuration alone, so their number is bounded. The line is the whole document, so that `| json` finds every
//! field. Loki keeps one of two entries with the same time, labels and line, so a repetition is harmless. A 400 is final: what Loki
//! took of the request it took, and the rest it will not take again.

use std::{collections::BTreeMap, io::Write};

use super::{
    Attempt, Batch, DeadLetters, Fate,
    http::{Post, Verdict, reason, verdict},
};

const PATH: &str = "/loki/api/v1/push";
const CONTENT_TYPE: &str = "application/json";

/// Loki measures a message as it is after decompression, with the time of each entry.
const OVERHEAD: usize = 48;

/// The push API of one server.
pub struct Loki {
    post: Post,
    /// What stands before the entries.
    head: Vec<u8>,
    limit: usize,
    most: usize,
    dead_letters: DeadLetters,
}

impl Loki {
    pub(super) fn new(
        post: Post,
        labels: &BTreeMap<String, String>,
        limit: usize,
        dead_letters: DeadLetters,
    ) -> Self {
        let labels = serde_json::json!(labels);
        let head = format!("{{\"streams\":[{{\"stream\":{labels},\"values\":[");
        Self {
            post,
            head: head.into_bytes(),
            limit,
            most: limit,
            dead_letters,
        }
    }

    /// Sends as much of a batch as one request may have.
    pub(super) async fn send(&mut self, batch: &mut Batch) -> Attempt {
        let (body, count) = self.body(batch);
        let size = body.len();
        let response = match self.post.send(PATH, CONTENT_TYPE, body).await {
            Ok(response) => response,
            Err(error) => return Attempt::retry(error.to_string()),
        };
        let status = response.status.as_u16();
        // A message over the limit of gRPC between Loki's parts is a 500 that never goes away.
        let too_large =
            status == 413 || (status == 500 && reason(&response).contains("larger than max"));
        if too_large && count > 1 {
            self.limit = (size / 2).max(1);
            return Attempt::Progress;
        }
        match verdict(&response) {
            Verdict::Success => {
                self.limit = (self.limit * 2).min(self.most);
                batch.settle(count, |_, _| Fate::Sent);
                Attempt::Progress
            }
            Verdict::Later(attempt) if !too_large => attempt,
            Verdict::Later(_) | Verdict::Smaller(_) => {
                self.refused(batch, count, &reason(&response));
                Attempt::Progress
            }
        }
    }

    /// Loki has taken what it takes of the request. Which entries it refused is only in the words of its answer.
    fn refused(&mut self, batch: &mut Batch, count: usize, reason: &str) {
        let dead_letters = &mut self.dead_letters;
        let Some(ignored) = ignored(reason).filter(|_| count > 1) else {
            batch.settle(count, |_, record| {
                dead_letters.add(record.document, reason);
                Fate::Refused
            });
            return;
        };
        dead_letters.add_unnamed(ignored.min(count) as u64, reason);
        batch.settle(count, |index, _| match index < ignored {
            true => Fate::Refused,
            false => Fate::Sent,
        });
    }

    fn body(&self, batch: &Batch) -> (Vec<u8>, usize) {
        let mut body = self.head.clone();
        let mut count = 0;
        for record in batch.records() {
            let size = body.len() + record.document.len() + OVERHEAD;
            if count > 0 && size > self.limit {
                break;
            }
            if count > 0 {
                body.push(b',');
            }
            let line = String::from_utf8_lossy(record.document);
            // Writing to memory does not fail.
            let _ = write!(body, "[\"{}\",", record.time.max(0));
            let _ = serde_json::to_writer(&mut body, &line);
            body.push(b']');
            count += 1;
        }
        body.extend_from_slice(b"]}]}");
        (body, count)
    }
}

/// How many entries Loki says it ignored while it took the others; `None` when it took none. Its words are those of
/// `pkg/validation` and `pkg/ingester/stream.go` in grafana/loki.
fn ignored(reason: &str) -> Option<usize> {
    if let Some((_, rest)) = reason.split_once("total ignored: ") {
        return rest.split(' ').next()?.parse().ok();
    }
    const ONE: [&str; 5] = [
        "too far behind",
        "greater than max age",
        "timestamp too old",
        "timestamp too new",
        "Max entry size",
    ];
    ONE.iter().any(|words| reason.contains(words)).then_some(1)
}
