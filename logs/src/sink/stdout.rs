//! `type: stdout`: lines of JSON on the stdout of the process.
//!
//! Who starts the shipper says how lines get there: another thread may write to stdout as well, and a pipe that nothing reads must
//! not hold this one.

use std::{io, sync::Arc};

use tokio::sync::oneshot;

use super::{Attempt, Batch};

/// Writes whole lines, and says when that is done.
pub type Written = Arc<dyn Fn(Vec<u8>, oneshot::Sender<io::Result<()>>) + Send + Sync>;

/// The stdout of the process.
pub struct StdoutSink {
    write: Written,
}

impl StdoutSink {
    /// Over what writes the lines.
    pub fn new(write: Written) -> Self {
        Self { write }
    }

    /// Writes what is left of a batch.
    pub async fn send(&mut self, batch: &mut Batch) -> Attempt {
        let mut lines = Vec::with_capacity(batch.bytes() + batch.left());
        for record in batch.records() {
            lines.extend_from_slice(record.document);
            lines.push(b'\n');
        }
        let (done, written) = oneshot::channel();
        (self.write)(lines, done);
        match written.await {
            Ok(Ok(())) => {
                batch.settle_all();
                Attempt::Progress
            }
            Ok(Err(error)) => Attempt::retry(format!("stdout: {error}")),
            Err(_) => Attempt::retry("stdout: nothing writes to it any more"),
        }
    }
}
