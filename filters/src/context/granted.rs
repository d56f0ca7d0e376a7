//! What a service of `extAuth` hands on, until it is wanted.

use http::{HeaderName, HeaderValue};

/// What a response that allows a request hands on.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Granted {
    /// Fields of the request that the app gets.
    pub for_app: Vec<(HeaderName, HeaderValue)>,
    /// `set-cookie` of the response that the client gets.
    pub cookies: Vec<HeaderValue>,
}
