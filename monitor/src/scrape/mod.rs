//! The app's own page of metrics, fetched when a page is asked for.
//!
//! Only text is asked for: never protobuf, whatever the scraper accepts, and never compressed. A page that comes compressed all
//! the same is decompressed. `Content-Type` decides between the two formats; a blank, missing or wrong one means text, since many
//! apps send one. What the page is shows when it is read.

mod content;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::{HeaderMap, HeaderValue, Uri, header};
use outrigger_transport::{
    client::{Client, Error, InvalidBase, Settings},
    dns::Resolver,
};

use crate::exposition::{Page, Syntax};

/// A longer page is left out, compressed or not. It is kept whole while the page is made, in a container with 64 MiB.
pub const MOST_BYTES: usize = 8 << 20;

/// Why there is no page, as metrics name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Failure {
    /// No connection to the port.
    Connect,
    /// No whole page in time.
    Timeout,
    /// A status other than 200.
    Status,
    /// A page of more than [`MOST_BYTES`].
    TooLarge,
    /// Protobuf, or a compression that was not asked for and is not gzip.
    ContentType,
    /// Not a page of metrics, such as HTML, or a page that is cut.
    Invalid,
    /// The connection broke, or the response is not HTTP.
    Protocol,
    /// The port is one of the proxy, which would fetch its own page.
    Loop,
}

impl Failure {
    /// All of them, in the order of their numbers, each as metrics name it.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::Connect, "connect"),
        (Self::Timeout, "timeout"),
        (Self::Status, "status"),
        (Self::TooLarge, "too_large"),
        (Self::ContentType, "content_type"),
        (Self::Invalid, "invalid"),
        (Self::Protocol, "protocol"),
        (Self::Loop, "loop"),
    ];
}

/// A page as it was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Its text.
    pub text: String,
    /// How it is written.
    pub syntax: Syntax,
}

impl Fetched {
    /// Reads it.
    ///
    /// # Errors
    /// It is not a page of metrics.
    pub fn page(&self) -> Result<Page<'_>, Failure> {
        Page::read(&self.text, self.syntax).map_err(|_| Failure::Invalid)
    }
}

/// Fetches one app's page again and again, over a connection that is kept.
pub struct Scraper {
    client: Client,
    path: String,
    /// Results: a page, and each [`Failure`].
    results: [AtomicU64; Failure::ALL.len() + 1],
}

impl Scraper {
    /// Fetches nothing yet.
    ///
    /// # Errors
    /// The address cannot stand in a URL.
    pub fn new(address: SocketAddr, path: &str, timeout: Duration) -> Result<Self, InvalidBase> {
        let settings = Settings {
            base: format!("http://{address}")
                .parse()
                .unwrap_or_else(|_| Uri::default()),
            tls: None,
            credentials: None,
            timeout,
            max_body: MOST_BYTES,
            // Frameworks redirect `/metrics` to `/metrics/`.
            redirects: 1,
            keep_alive: true,
        };
        Ok(Self {
            client: Client::new(settings, Arc::<Resolver>::default())?,
            path: path.to_owned(),
            results: Default::default(),
        })
    }

    /// Fetches the page, in OpenMetrics where that is wanted and the app can. The caller counts the result: the page may yet turn
    /// out not to be one, or the time may be over.
    ///
    /// # Errors
    /// There is no page.
    pub async fn fetch(&self, open_metrics: bool) -> Result<Fetched, Failure> {
        let response = self.client.get(&self.path, wanted(open_metrics)).await;
        let response = response.map_err(|error| failure(&error))?;
        if response.status != http::StatusCode::OK {
            return Err(Failure::Status);
        }
        content::read(&response.headers, response.body)
    }

    /// Counts a result.
    pub fn count(&self, result: Result<(), Failure>) {
        let index = result.map_or_else(|failure| failure as usize + 1, |()| 0);
        self.results[index].fetch_add(1, Relaxed);
    }

    /// How often each result came, `ok` first.
    pub fn results(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let names = ["ok"].into_iter().chain(Failure::ALL.map(|(_, name)| name));
        names.zip(self.results.iter().map(|count| count.load(Relaxed)))
    }
}

fn failure(error: &Error) -> Failure {
    match error {
        Error::Connect { .. } => Failure::Connect,
        Error::Timeout(_) => Failure::Timeout,
        Error::Redirect { .. } => Failure::Status,
        Error::TooLarge { .. } => Failure::TooLarge,
        Error::Path { .. } | Error::Credentials(_) | Error::Tls { .. } | Error::Protocol { .. } => {
            Failure::Protocol
        }
    }
}

/// The headers of a request. Formats that were not named, protobuf among them, come last: some apps answer 406 otherwise.
fn wanted(open_metrics: bool) -> HeaderMap {
    let accept = match open_metrics {
        true => {
            "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
        }
        false => "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    };
    HeaderMap::from_iter([
        (header::ACCEPT, HeaderValue::from_static(accept)),
        (
            header::ACCEPT_ENCODING,
            HeaderValue::from_static("identity"),
        ),
    ])
}
