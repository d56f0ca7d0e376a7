//! The log shipper: started, told of other settings, and ended with the process.

use std::{sync::Arc, time::Duration};

use outrigger_config::{Environment, ProcessEnvironment, model};
use outrigger_logs::{
    counters::Counters,
    shipper::{Ended, Settings, Shipper},
};

use super::StartError;
use crate::telemetry::access_log::Writer;

/// The shipper, while there is one.
pub(super) struct Logs {
    shipper: Option<Shipper>,
    log: Writer,
}

impl Logs {
    /// Starts it where the configuration says so.
    ///
    /// # Errors
    /// The state directory or a sink cannot be used.
    pub(super) fn start(
        model: Option<&model::Logs>,
        counters: Arc<Counters>,
        log: Writer,
    ) -> Result<Self, StartError> {
        let mut logs = Self { shipper: None, log };
        if let Some(model) = model {
            logs.shipper = Some(logs.begin(model, counters)?);
        }
        Ok(logs)
    }

    fn begin(&self, model: &model::Logs, counters: Arc<Counters>) -> Result<Shipper, StartError> {
        let log = self.log.clone();
        let stdout = Arc::new(move |lines, done| log.ship(lines, done));
        Ok(Shipper::start(settings(model)?, counters, stdout)?)
    }

    /// Ships by another configuration from now on.
    ///
    /// # Errors
    /// The state directory or a sink cannot be used; what was shipped before goes on.
    pub(super) async fn configure(
        &mut self,
        model: Option<&model::Logs>,
        counters: &Arc<Counters>,
        limit: Duration,
    ) -> Result<(), StartError> {
        match (&self.shipper, model) {
            (None, None) => {}
            (None, Some(model)) => {
                self.shipper = Some(self.begin(model, Arc::clone(counters))?);
            }
            (Some(shipper), Some(model)) => shipper.configure(settings(model)?).await?,
            (Some(_), None) => self.end(limit).await,
        }
        Ok(())
    }

    /// The shipper alone; nothing is shipped here any more.
    pub(super) fn take(&mut self) -> Self {
        Self {
            shipper: self.shipper.take(),
            log: self.log.clone(),
        }
    }

    /// Reads and sends the rest within the limit; what is left is in the spool.
    pub(super) async fn end(&mut self, limit: Duration) {
        let Some(shipper) = self.shipper.take() else {
            return;
        };
        let Some(ended) = shipper.stop(limit).await else {
            return;
        };
        match ended {
            Ended {
                in_spool: 0,
                in_files: 0,
            } => tracing::info!("logs: every record was sent"),
            Ended { in_spool, in_files } => tracing::warn!(
                in_spool,
                in_files,
                "logs: logFlushTimeout passed before every record was sent; what is in the spool is sent after the next start, what is only in the log files as well if they are still there"
            ),
        }
    }
}

fn settings(model: &model::Logs) -> Result<Settings, StartError> {
    Ok(Settings::of(model, |name| ProcessEnvironment.get(name))?)
}
