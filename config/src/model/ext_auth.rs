//! The service that is asked whether a request may go on.

use std::{sync::Arc, time::Duration};

use http::HeaderName;

use crate::{
    model::ClientTls,
    part::{url::EndpointSpec, words::OnError},
};

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
    /// Headers of the request that are sent to it, beside `authorization`.
    pub request_headers: Vec<HeaderName>,
    /// Headers of a 2xx answer that are handed on: `set-cookie` to the client, the others to the app.
    pub response_headers: Vec<HeaderName>,
    /// Whether it sees the query string.
    pub include_query: bool,
    /// Whether it sees the client's address.
    pub include_client_address: bool,
}

impl ExtAuth {
    /// Host of what is asked.
    pub fn host(&self) -> &str {
        self.tls.as_ref().and_then(|tls| tls.hostname.as_deref()).unwrap_or(&self.endpoint.authority)
    }
}
