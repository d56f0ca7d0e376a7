//! The lines of the access log: one for each request, written into the caller's buffer.
//!
//! Nothing from a request can end a line, forge a second one or control a terminal: every byte that
//! is not visible ASCII is escaped, in all three formats. No field contains a header except the
//! request id, and the query string is removed (`docs/security.md` 20). A line has at most
//! [`MAX_LINE`] bytes: each field has its own limit, and longer values are cut with `...`.
//!
//! `fields.rs` defines each field once for all formats and `docs/access-log.md`. No serde and no
//! allocation on this path.

mod ecs;
mod escape;
mod fields;
mod json;
mod sample;
mod text;
mod time;

use std::{net::IpAddr, time::Duration, time::SystemTime};

use http::Version;
use outrigger_config::model::AccessLogFormat;

pub use ecs::write_ecs;
pub use json::write_json;
pub use sample::Sampler;
pub use text::write_text;

/// The longest line including its line end, in bytes.
pub const MAX_LINE: usize = 8 * 1024;

/// The limits of the fields in bytes as written; together with names, numbers and punctuation they
/// fit into [`MAX_LINE`] in every format, which a test checks.
const MAX_PATH: usize = 4 * 1024;
const MAX_HOST: usize = 512;
const MAX_METHOD: usize = 64;
const MAX_NAME: usize = 300;
const MAX_REQUEST_ID: usize = 300;

/// The content of one line. `None` means unknown, as the route of a request that matches none.
#[derive(Debug, Clone)]
pub struct Record<'a> {
    /// When the request's head was complete.
    pub time: SystemTime,
    /// The request id.
    pub request_id: &'a str,
    /// The listener's name.
    pub listener: &'a str,
    /// The route's name.
    pub route: Option<&'a str>,
    /// The client's address.
    pub client_address: IpAddr,
    /// The method; `None` for a request that could not be parsed.
    pub method: Option<&'a str>,
    /// Host, as the client sent it.
    pub host: Option<&'a str>,
    /// The path; the query string from `?` on is not written.
    pub path: Option<&'a str>,
    /// The HTTP version of the client.
    pub protocol: Version,
    /// The status of the response; 0 if an HTTP/2 stream was reset, or its connection closed, instead.
    pub status: u16,
    /// The response flag; empty for none.
    pub flag: &'a str,
    /// The reason of the flag; empty for none.
    pub reason: &'a str,
    /// Details of the reason; written only if there are any.
    pub detail: Option<&'a str>,
    /// The reason of a rejection that `mode: report` did not enforce; empty for none, and then not written.
    pub would_deny: &'a str,
    /// The rule that rejected the request, or would have; written only if there is one.
    pub rule: Option<&'a str>,
    /// The upstream's name.
    pub upstream: Option<&'a str>,
    /// The endpoint of the last attempt.
    pub endpoint: Option<&'a str>,
    /// The number of attempts.
    pub attempts: u32,
    /// Bytes of the request body.
    pub bytes_in: u64,
    /// Bytes of the response body.
    pub bytes_out: u64,
    /// From the head to the last byte of the response.
    pub duration: Duration,
}

impl Record<'_> {
    fn path_without_query(&self) -> Option<&str> {
        self.path
            .map(|path| path.split_once('?').map_or(path, |(path, _)| path))
    }

    fn protocol(&self) -> &'static str {
        match self.protocol {
            Version::HTTP_09 => "HTTP/0.9",
            Version::HTTP_10 => "HTTP/1.0",
            Version::HTTP_11 => "HTTP/1.1",
            Version::HTTP_2 => "HTTP/2",
            Version::HTTP_3 => "HTTP/3",
            _ => "HTTP",
        }
    }
}

/// Appends one line in the configured format to `out`.
pub fn write(format: AccessLogFormat, record: &Record<'_>, out: &mut Vec<u8>) {
    match format {
        AccessLogFormat::Json => write_json(record, out),
        AccessLogFormat::Ecs => write_ecs(record, out),
        AccessLogFormat::Text => write_text(record, out),
    }
}

fn push_number(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Milliseconds with three decimals.
fn push_millis(out: &mut Vec<u8>, duration: Duration) {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    push_number(out, micros / 1_000);
    let rest = micros % 1_000;
    out.push(b'.');
    out.extend([rest / 100, rest / 10 % 10, rest % 10].map(|digit| b'0' + digit as u8));
}

fn push_address(out: &mut Vec<u8>, address: IpAddr) {
    use std::io::Write;
    // Writing into a Vec cannot fail.
    let _ = write!(out, "{}", address.to_canonical());
}

#[cfg(test)]
mod tests;
