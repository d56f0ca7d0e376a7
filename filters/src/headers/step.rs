//! The step around [`super::apply`], for requests on their way to an upstream.

use outrigger_config::model::HeaderChanges;

use crate::{
    service::Request,
    step::{Step, Verdict},
};

/// Changes the headers of requests.
#[derive(Debug)]
pub struct RequestHeadersStep(HeaderChanges);

impl RequestHeadersStep {
    /// `requestHeaders` of a route.
    pub fn new(changes: &HeaderChanges) -> Self {
        Self(changes.clone())
    }
}

impl Step for RequestHeadersStep {
    fn on_request(&self, request: &mut Request) -> Verdict {
        request.context.insert_own(&mut request.head.headers); // insert them first: a route may change these as well
        super::apply(&self.0, &mut request.head.headers);
        Verdict::Pass
    }
}
