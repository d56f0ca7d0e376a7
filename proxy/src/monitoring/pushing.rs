//! Sends the page to a collector, on a clock of its own.

use std::sync::Arc;

use http::HeaderMap;
use tokio::{
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

use super::{Monitoring, watch::Watch};

/// Ends with its handle.
pub(super) struct Pushing(JoinHandle<()>);

impl Drop for Pushing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Pushing {
    /// Begins to send what is asked for; `None` where nothing is.
    pub(super) fn start(monitoring: &Arc<Monitoring>, watch: &Arc<Watch>) -> Option<Self> {
        let every = watch.push_interval()?;
        let (monitoring, watch) = (Arc::clone(monitoring), Arc::clone(watch));
        Some(Self(tokio::spawn(async move {
            let mut clock = interval(every);
            clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut failed = false;
            loop {
                clock.tick().await;
                // Without `Accept` the page is text, which becomes OTLP.
                let (_, page) = monitoring.page(watch.app(), &HeaderMap::new()).await;
                let result = watch.push(&page).await;
                match &result {
                    Err(error) if !failed => tracing::warn!(%error, "metrics are not pushed"),
                    Ok(()) if failed => tracing::info!("metrics are pushed again"),
                    _ => {}
                }
                failed = result.is_err();
            }
        })))
    }
}
