//! Where records go: one file per protocol, and what all of them share.
//!
//! A sink sends a part of a batch with one request and says what became of it. What it is given stays in the batch until it was
//! acknowledged or refused for good, so that a failure repeats exactly the rest.

mod backoff;
mod batch;
mod dead_letter;
mod delivery;
mod elasticsearch;
mod file;
mod http;
mod loki;
pub mod otlp;
mod stdout;

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use outrigger_transport::dns::Resolver;

pub(crate) use self::{
    backoff::Backoff,
    delivery::{Delivery, Signals},
};
pub use self::{
    batch::{Batch, Fate},
    dead_letter::DeadLetters,
    elasticsearch::{Elasticsearch, Index},
    file::FileSink,
    http::{ApiKey, HttpSettings, Unusable},
    loki::Loki,
    otlp::Otlp,
    stdout::{StdoutSink, Written},
};
use crate::counters::SinkCounters;

/// A sink of the configuration.
#[derive(Clone)]
pub struct SinkSettings {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: SinkKind,
    /// What is sent at once.
    pub batch: BatchSettings,
}

/// What is sent at once: until one of these is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSettings {
    /// Bytes of documents.
    pub bytes: usize,
    /// Records.
    pub records: usize,
    /// How long the first record waits for others.
    pub age: Duration,
}

/// What a sink is.
#[derive(Clone)]
pub enum SinkKind {
    /// Lines of JSON in a file that is rotated.
    File {
        /// Its path.
        path: std::path::PathBuf,
        /// It is rotated at this size.
        max_bytes: u64,
        /// Files that are kept besides.
        keep: u32,
    },
    /// Lines of JSON on stdout.
    Stdout,
    /// The bulk API of Elasticsearch and OpenSearch.
    Elasticsearch {
        /// The server.
        http: Box<HttpSettings>,
        /// The index or data stream of a record.
        index: Index,
    },
    /// The push API of Loki.
    Loki {
        /// The server.
        http: Box<HttpSettings>,
        /// The labels of the one stream.
        labels: BTreeMap<String, String>,
    },
    /// The logs service of OTLP over HTTP.
    Otlp {
        /// The server; `/v1/logs` is put behind its path.
        http: Box<HttpSettings>,
    },
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// Something was acknowledged or refused for good, or the next request will be smaller.
    Progress,
    /// The same again later.
    Retry {
        /// The server says when, at the earliest.
        after: Option<Duration>,
        /// What happened.
        reason: String,
    },
}

impl Attempt {
    /// The same again later.
    pub(crate) fn retry(reason: impl Into<String>) -> Self {
        Self::Retry {
            after: None,
            reason: reason.into(),
        }
    }
}

/// Any sink.
pub(crate) enum Sink {
    File(FileSink),
    Stdout(StdoutSink),
    Elasticsearch(Box<Elasticsearch>),
    Loki(Box<Loki>),
    Otlp(Box<Otlp>),
}

/// What a sink needs of the process.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) stdout: Written,
    pub(crate) resolver: Arc<Resolver>,
}

impl Sink {
    pub(crate) fn new(
        settings: &SinkSettings,
        around: &Surroundings,
        state: &Path,
        counters: &Arc<SinkCounters>,
    ) -> Result<Self, Unusable> {
        let limit = settings.batch.bytes;
        let dead_letters = || DeadLetters::new(state, &settings.name, Arc::clone(counters));
        Ok(match &settings.kind {
            SinkKind::File {
                path,
                max_bytes,
                keep,
            } => Self::File(FileSink::new(path.clone(), *max_bytes, *keep)),
            SinkKind::Stdout => Self::Stdout(StdoutSink::new(Arc::clone(&around.stdout))),
            SinkKind::Elasticsearch { http, index } => {
                let client = http.client(&around.resolver)?;
                Self::Elasticsearch(Box::new(Elasticsearch::new(
                    client,
                    index.clone(),
                    limit,
                    dead_letters(),
                )))
            }
            SinkKind::Loki { http, labels } => {
                let client = http.client(&around.resolver)?;
                Self::Loki(Box::new(Loki::new(client, labels, limit, dead_letters())))
            }
            SinkKind::Otlp { http } => {
                let client = http.client(&around.resolver)?;
                let counters = Arc::clone(counters);
                Self::Otlp(Box::new(Otlp::new(client, limit, dead_letters(), counters)))
            }
        })
    }

    /// Sends a part of what is left of a batch.
    pub(crate) async fn send(&mut self, batch: &mut Batch) -> Attempt {
        match self {
            Self::File(sink) => sink.send(batch),
            Self::Stdout(sink) => sink.send(batch).await,
            Self::Elasticsearch(sink) => sink.send(batch).await,
            Self::Loki(sink) => sink.send(batch).await,
            Self::Otlp(sink) => sink.send(batch).await,
        }
    }
}
