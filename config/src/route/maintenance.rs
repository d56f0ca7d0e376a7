//! `maintenance` of a route: 503 for all requests while its upstream is out of service.

use std::{sync::Arc, time::Duration};

use crate::block::{
    Time, block,
    field::whole_seconds,
    problem::Report,
    show::{Object, text, time},
};

block! {
    /// Rejects all requests with 503, before credentials are verified and limits count.
    MaintenanceBlock {
        /// `Retry-After` of the response, in whole seconds. Default 60s.
        "retryAfter" retry_after: Time,
        /// Plain text of the response. Default: the JSON body of other rejected requests.
        "body" body: String,
    }
}

/// `maintenance`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Maintenance {
    /// In whole seconds. Default 60 s: time for a restart.
    pub retry_after: Duration,
    /// Plain text; empty for the JSON body.
    pub body: Arc<str>,
}

/// Validates the block.
pub(crate) fn accept(block: &MaintenanceBlock, report: &mut Report) -> Maintenance {
    let help = "write for example 60s";
    let written = whole_seconds("retryAfter", &block.retry_after, help, report);
    Maintenance {
        retry_after: written.unwrap_or(Duration::from_secs(60)),
        body: block.body.as_ref().map_or("", |body| &body.value).into(),
    }
}

/// Renders the accepted value.
pub(crate) fn show(maintenance: &Maintenance) -> Object {
    Object::new()
        .with("retryAfter", time(maintenance.retry_after))
        .with("body", text(&maintenance.body))
}
