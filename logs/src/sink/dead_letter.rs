//! Records that a sink refused for good, with the reason: in a file of the state directory, so that they can be looked at.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering::Relaxed},
};

use serde_json::{Value, json};

use crate::{counters::SinkCounters, record::rfc3339, source::unix_now};

/// The file is replaced at this size; the one before it is kept.
const MOST: u64 = 8 << 20;

/// The dead letters of one sink.
#[derive(Debug)]
pub struct DeadLetters {
    path: PathBuf,
    sink: String,
    counters: Arc<SinkCounters>,
    told: bool,
}

impl DeadLetters {
    /// In `dead-letters-SINK.ndjson` of the directory, which is made when the first one comes.
    pub fn new(directory: &Path, sink: &str, counters: Arc<SinkCounters>) -> Self {
        Self {
            path: directory.join(format!("dead-letters-{sink}.ndjson")),
            sink: sink.to_owned(),
            counters,
            told: false,
        }
    }

    /// One more.
    pub fn add(&mut self, document: &[u8], reason: &str) {
        let document = serde_json::from_slice(document)
            .unwrap_or_else(|_| String::from_utf8_lossy(document).into());
        self.keep(1, document, reason);
    }

    /// So many of a request; the sink does not say which.
    pub fn add_unnamed(&mut self, records: u64, reason: &str) {
        self.keep(records, Value::Null, reason);
    }

    fn keep(&mut self, records: u64, document: Value, reason: &str) {
        self.counters.dead_letters.fetch_add(records, Relaxed);
        if !std::mem::replace(&mut self.told, true) {
            tracing::warn!(
                sink = %self.sink, %reason, file = %self.path.display(),
                "logs: the sink refused a record for good; such records are in the file, and counted"
            );
        }
        if let Err(error) = self.write(records, document, reason) {
            tracing::error!(sink = %self.sink, file = %self.path.display(), %error, "logs: a refused record cannot be kept and is lost");
        }
    }

    fn write(&self, records: u64, document: Value, reason: &str) -> std::io::Result<()> {
        let mut file = self.open()?;
        if file.metadata()?.len() >= MOST {
            fs::rename(&self.path, self.path.with_extension("ndjson.1"))?;
            file = self.open()?;
        }
        let mut now = Vec::new();
        rfc3339(unix_now(), &mut now);
        let letter = json!({
            "time": String::from_utf8_lossy(&now),
            "sink": self.sink,
            "records": records,
            "reason": reason,
            "document": document,
        });
        file.write_all(format!("{letter}\n").as_bytes())
    }

    fn open(&self) -> std::io::Result<File> {
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)
    }
}
