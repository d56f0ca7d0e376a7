//! Evaluates requests under a configuration without a listener: the tables, steps and limits of the
//! data path, and [`outrigger_decision::evaluate`] over them.

use std::sync::Arc;

use http::request::Parts;
use outrigger_config::model::Config;
use outrigger_decision::{Conditions, Decision, Runtime, Subject, Trace, evaluate};

use crate::{
    snapshot::{Snapshot, Unusable},
    telemetry::{events::Reporter, metrics::Metrics},
    view::View,
};

/// A configuration under which requests can be evaluated. It has its own limits, whose buckets are
/// full at first.
pub struct Evaluation {
    view: View,
}

/// The TLS settings of the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CannotEvaluate(String);

impl From<Unusable> for CannotEvaluate {
    fn from(unusable: Unusable) -> Self {
        Self(match unusable {
            Unusable::Listener(name, error) => format!("TLS of listener {name}: {error}"),
            Unusable::Upstream(name, error) => format!("TLS of upstream {name}: {error}"),
        })
    }
}

impl Evaluation {
    /// Creates the state that the data path of `config` would have. Only keys that are in the
    /// configuration are available; nothing is fetched and no name is resolved.
    ///
    /// # Errors
    /// The same errors as at the start of the proxy.
    pub fn new(config: Arc<Config>) -> Result<Self, CannotEvaluate> {
        let metrics = Metrics::default();
        let (_, tls_events) = Reporter::new();
        let snapshot = Snapshot::build(config, None, &metrics, &tls_events)?;
        let (shard, tokens) = (metrics.shard(), Default::default());
        let view = View::new(Arc::new(snapshot), None, shard, &tokens);
        Ok(Self { view })
    }

    /// Decides about one request.
    pub fn decide<T: Trace>(
        &self,
        subject: &Subject<'_>,
        head: Parts,
        conditions: &Conditions<'_>,
        trace: T,
    ) -> Decision {
        evaluate(&self.view, subject, head, conditions, trace)
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        Runtime::config(&self.view)
    }
}
