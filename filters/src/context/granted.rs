//! Headers from an `extAuth` service, kept until the request or response is written.

use http::{HeaderName, HeaderValue};

/// The headers of an `extAuth` response that allows a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Granted {
    /// Fields of the request that the app gets.
    pub for_app: Vec<(HeaderName, HeaderValue)>,
    /// `set-cookie` of the response that the client gets.
    pub cookies: Vec<HeaderValue>,
}
