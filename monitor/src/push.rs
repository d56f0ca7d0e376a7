//! Sends pages of metrics to a collector, by OTLP over HTTP.
//!
//! A page that was not taken is not sent again: the next one has newer values of the same counters.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::SystemTime,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Uri, header};
use outrigger_config::model::OtlpPush;
use outrigger_transport::{
    client::{Client, Settings},
    credentials::Credentials,
    dns::Resolver,
    tls::client::Handshaker,
};

use crate::{
    exposition::{Page, Syntax},
    otlp::{self, Times},
};

/// A collector answers with a few bytes.
const MOST_BYTES: usize = 64 * 1024;

/// One collector.
pub struct Pusher {
    /// The client, or why there is none: then each push fails with that.
    client: Result<Client, String>,
    path: Arc<str>,
    resource: Vec<(&'static str, String)>,
    start: SystemTime,
    results: [AtomicU64; 2],
}

impl Pusher {
    /// Sends nothing yet. `resource` says what the metrics are about.
    pub fn new(
        push: &OtlpPush,
        resource: Vec<(&'static str, String)>,
        resolver: &Arc<Resolver>,
    ) -> Self {
        Self {
            client: client(push, resolver),
            path: Arc::clone(&push.path),
            resource,
            start: SystemTime::now(),
            results: Default::default(),
        }
    }

    /// Sends a page in the text format, and counts the result.
    ///
    /// # Errors
    /// The collector did not take it, or not all of it.
    pub async fn push(&self, page: &str) -> Result<(), String> {
        let result = self.send(page).await;
        self.results[usize::from(result.is_err())].fetch_add(1, Relaxed);
        result
    }

    /// How many pages were taken, and how many were not.
    pub fn results(&self) -> [u64; 2] {
        [0, 1].map(|index: usize| self.results[index].load(Relaxed))
    }

    async fn send(&self, page: &str) -> Result<(), String> {
        let client = self.client.as_ref().map_err(String::clone)?;
        let page = Page::read(page, Syntax::Text).map_err(|error| error.to_string())?;
        let times = Times {
            start: self.start,
            now: SystemTime::now(),
        };
        let body = Bytes::from(otlp::encode(&page, times, &self.resource));
        let kind = HeaderValue::from_static("application/x-protobuf");
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, kind)]);
        let response = client.post(&self.path, headers, body).await;
        let response = response.map_err(|error| error.to_string())?;
        if !response.status.is_success() {
            return Err(format!(
                "the collector answered {}",
                response.status.as_u16()
            ));
        }
        match otlp::rejected(&response.body) {
            Some((count, why)) => Err(format!("the collector rejected {count} data points: {why}")),
            None => Ok(()),
        }
    }
}

fn client(push: &OtlpPush, resolver: &Arc<Resolver>) -> Result<Client, String> {
    let tls = push.tls.as_deref().map(Handshaker::build).transpose();
    let tls = tls.map_err(|error| error.to_string())?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let base: Uri = format!("{scheme}://{}", push.endpoint.authority)
        .parse()
        .map_err(|_| "the URL cannot be used".to_owned())?;
    let settings = Settings {
        base,
        tls,
        credentials: push.bearer_token.clone().map(Credentials::Bearer),
        timeout: push.timeout,
        max_body: MOST_BYTES,
        redirects: 0,
        keep_alive: true,
    };
    Client::new(settings, Arc::clone(resolver)).map_err(|error| error.to_string())
}
