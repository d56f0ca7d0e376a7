//! Which pages of other origins may use a route.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, Method, StatusCode};

/// `cors` of a route (WHATWG Fetch, "CORS protocol").
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cors {
    /// The origins that may read answers; at least one.
    pub allow_origins: Vec<OriginMatch>,
    /// Methods that a preflight is told; empty: the one that it asks for.
    pub allow_methods: Vec<Method>,
    /// Headers that a preflight is told; empty: those that it asks for.
    pub allow_headers: Vec<HeaderName>,
    /// Headers of an answer that a page may read beside the safe ones.
    pub expose_headers: Vec<HeaderName>,
    /// Whether cookies and Authorization may come along. Default false.
    pub allow_credentials: bool,
    /// How long a preflight's answer may be kept; `None` leaves that to the browser.
    pub max_age: Option<Duration>,
}

impl Cors {
    /// These origins and nothing else; the fields are public for the rest.
    pub fn new(allow_origins: Vec<OriginMatch>) -> Self {
        Self {
            allow_origins,
            allow_methods: Vec::new(),
            allow_headers: Vec::new(),
            expose_headers: Vec::new(),
            allow_credentials: false,
            max_age: None,
        }
    }

    /// The status of a preflight's answer.
    pub const PREFLIGHT_STATUS: StatusCode = StatusCode::NO_CONTENT;
}

/// An origin: `https://shop.example.com`, lower case, the scheme's own port left out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum OriginMatch {
    /// Every origin; never with credentials.
    Any,
    /// Exactly this one.
    Exact(Arc<str>),
    /// `https://*.example.com`: one or more labels in place of the star.
    Wildcard {
        /// `https://`.
        scheme: Arc<str>,
        /// `.example.com`, with the port when it has one.
        suffix: Arc<str>,
    },
}
