//! `type: elasticsearch`: the bulk API of Elasticsearch and OpenSearch.
//!
//! Every record is a `create` with an `_id` made from file and offset: a repetition is answered with 409, which counts as done,
//! and data streams take nothing else. Each item of a response is judged by itself: 429 and 5xx are sent again, others are dead letters.

use std::{borrow::Cow, collections::BTreeMap, fmt::Write as _};

use jiff::{Timestamp, tz::Offset};
use serde::Deserialize;

use super::{
    Attempt, Batch, DeadLetters, Fate,
    http::{Post, Verdict, verdict},
};
use crate::chunk::RecordRef;

/// Only what is looked at: an answer without errors is short.
const PATH: &str =
    "/_bulk?filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason";

const CONTENT_TYPE: &str = "application/x-ndjson";

/// A request is never smaller than this before its size is doubled again.
const GROW: usize = 2;

/// The index or data stream of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index(String);

/// The bulk API of one server.
pub struct Elasticsearch {
    post: Post,
    index: Index,
    /// Bytes of a request; smaller after a refusal.
    limit: usize,
    most: usize,
    dead_letters: DeadLetters,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(default)]
    errors: bool,
    #[serde(borrow, default)]
    items: Vec<BTreeMap<Cow<'a, str>, Item<'a>>>,
}

#[derive(Deserialize)]
struct Item<'a> {
    status: u16,
    #[serde(borrow, default)]
    error: Option<Problem<'a>>,
}

#[derive(Deserialize)]
struct Problem<'a> {
    #[serde(borrow, default)]
    r#type: Cow<'a, str>,
    #[serde(borrow, default)]
    reason: Cow<'a, str>,
}

impl Index {
    /// From its pattern: `%Y`, `%m`, `%d` and `%H` are of the record's own time, in UTC.
    pub fn new(pattern: &str) -> Self {
        Self(pattern.to_owned())
    }

    /// The name for a record of this time, in nanoseconds since 1970.
    pub fn name(&self, time: i64) -> Cow<'_, str> {
        if !self.0.contains('%') {
            return Cow::Borrowed(&self.0);
        }
        let time = Timestamp::from_nanosecond(i128::from(time)).unwrap_or_default();
        let date = Offset::UTC.to_datetime(time);
        let name = self.0.replace("%Y", &format!("{:04}", date.year()));
        let name = name.replace("%m", &format!("{:02}", date.month()));
        let name = name.replace("%d", &format!("{:02}", date.day()));
        name.replace("%H", &format!("{:02}", date.hour())).into()
    }
}

impl Elasticsearch {
    pub(super) fn new(post: Post, index: Index, limit: usize, dead_letters: DeadLetters) -> Self {
        Self {
            post,
            index,
            limit,
            most: limit,
            dead_letters,
        }
    }

    /// Sends as much of a batch as one request may have.
    pub(super) async fn send(&mut self, batch: &mut Batch) -> Attempt {
        let (body, count) = self.body(batch);
        let response = match self.post.send(PATH, CONTENT_TYPE, body).await {
            Ok(response) => response,
            Err(outrigger_transport::client::Error::TooLarge { .. }) if count > 1 => {
                return self.smaller(batch, count, "the answer is too long");
            }
            Err(error) => return Attempt::retry(error.to_string()),
        };
        match verdict(&response) {
            Verdict::Later(attempt) => attempt,
            Verdict::Smaller(reason) => self.smaller(batch, count, &reason),
            Verdict::Success => self.read(batch, count, &response.body),
        }
    }

    fn body(&self, batch: &Batch) -> (Vec<u8>, usize) {
        let mut body = Vec::with_capacity(self.limit.min(batch.bytes() + batch.left() * 96) + 1024);
        let mut count = 0;
        for record in batch.records() {
            if count > 0 && body.len() + record.document.len() + 128 > self.limit {
                break;
            }
            let mut action = String::from("{\"create\":{\"_index\":");
            // A name that was checked, and numbers: nothing to escape.
            let _ = writeln!(
                action,
                "\"{}\",\"_id\":\"{}\"}}}}",
                self.index.name(record.time),
                id(&record)
            );
            body.extend_from_slice(action.as_bytes());
            body.extend_from_slice(record.document);
            body.push(b'\n');
            count += 1;
        }
        (body, count)
    }

    /// The next request has half the size; a single record that is refused is a dead letter.
    fn smaller(&mut self, batch: &mut Batch, count: usize, reason: &str) -> Attempt {
        if count > 1 {
            let bytes: usize = batch
                .records()
                .take(count)
                .map(|record| record.document.len() + 128)
                .sum();
            self.limit = (bytes / 2).max(1);
        } else {
            let dead_letters = &mut self.dead_letters;
            batch.settle(1, |_, record| {
                dead_letters.add(record.document, reason);
                Fate::Refused
            });
        }
        Attempt::Progress
    }

    fn read(&mut self, batch: &mut Batch, count: usize, answer: &[u8]) -> Attempt {
        let Ok(answer) = serde_json::from_slice::<Answer<'_>>(answer) else {
            return Attempt::retry("the answer is not that of a bulk request; is url right?");
        };
        self.limit = (self.limit * GROW).min(self.most);
        if !answer.errors {
            batch.settle(count, |_, _| Fate::Sent);
            return Attempt::Progress;
        }
        if answer.items.len() != count {
            let found = answer.items.len();
            return Attempt::retry(format!("an answer for {found} of {count} records"));
        }
        let mut again = None;
        let dead_letters = &mut self.dead_letters;
        batch.settle(count, |index, record| {
            let Some(item) = answer.items[index].values().next() else {
                return Fate::Again;
            };
            match item.status {
                200..=299 | 409 => Fate::Sent,
                429 | 500..=599 => {
                    again.get_or_insert_with(|| item.reason());
                    Fate::Again
                }
                _ => {
                    dead_letters.add(record.document, &item.reason());
                    Fate::Refused
                }
            }
        });
        again.map_or(Attempt::Progress, Attempt::retry)
    }
}

/// Names a record: the same for every repetition.
fn id(record: &RecordRef<'_>) -> String {
    format!("{:016x}-{:x}", record.key, record.offset)
}

impl Item<'_> {
    fn reason(&self) -> String {
        let problem = self.error.as_ref();
        let (kind, reason) = problem.map_or(("", ""), |one| (&*one.r#type, &*one.reason));
        format!("{} {kind}: {reason}", self.status)
    }
}
