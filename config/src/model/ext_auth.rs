//! The service that is asked whether a request may go on.

use std::{sync::Arc, time::Duration};

use super::{ClientTls, EndpointSpec};

/// `extAuth`: a service that is asked about every request of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExtAuth {
    /// Where it is.
    pub endpoint: EndpointSpec,
    /// TLS, where it is spoken.
    pub tls: Option<Arc<ClientTls>>,
    /// What is asked for there, in origin form.
    pub path: Arc<str>,
    /// From the start of the connect to the whole answer. Default 200 ms.
    pub timeout: Duration,
    /// What happens when it gives no answer. Default deny.
    pub on_error: OnError,
}

impl ExtAuth {
    /// Host of what is asked.
    pub fn host(&self) -> &str {
        self.tls.as_ref().and_then(|tls| tls.hostname.as_deref()).unwrap_or(&self.endpoint.authority)
    }
}

/// What happens when a service that decides gives no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnError {
    /// The request is refused.
    Deny,
    /// The request goes on.
    Allow,
}
