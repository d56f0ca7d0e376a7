//! `maintenance` of a route: every request gets 503 with `Retry-After`.

use std::time::Duration;

use bytes::Bytes;
use http::{StatusCode, header};

use crate::{
    error::Error,
    reason::Reason::MaintenanceActive,
    service::{Request, text},
    step::{Step, Verdict},
};

/// Rejects every request of a route.
#[derive(Debug)]
pub struct MaintenanceStep {
    retry_after: Duration,
    text: Bytes,
}

impl MaintenanceStep {
    /// `retryAfter` and `body` of the block; without `body` the response is that of any rejected
    /// request.
    pub fn new(retry_after: Duration, body: &str) -> Self {
        let text = Bytes::copy_from_slice(body.as_bytes());
        Self { retry_after, text }
    }
}

impl Step for MaintenanceStep {
    fn on_request(&self, request: &mut Request) -> Verdict {
        let (reason, retry_after) = (MaintenanceActive, self.retry_after);
        // A gRPC response has no body for a text.
        if self.text.is_empty() || request.context.is_grpc.get() {
            return Verdict::Refuse(Error::TryLater {
                reason,
                retry_after,
            });
        }
        request.context.blame(reason);
        let mut response = text(StatusCode::SERVICE_UNAVAILABLE, self.text.clone());
        let seconds = retry_after.as_secs().into();
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
        Verdict::Answer(response)
    }
}
