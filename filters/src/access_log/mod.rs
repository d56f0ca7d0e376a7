//! The access log's lines: one for each request, written into a buffer that the caller keeps.
//!
//! Nothing from a request can end a line, forge a second one or steer a terminal: every byte that is not visible
//! ASCII leaves as an escape, in all three forms. No field holds a header but the request id, and the query string
//! is cut off (`docs/security.md` 20). A line is at most [`MAX_LINE`] bytes: each field has its own bound, and what is longer
//! is cut with `...`.
//!
//! [`fields`] names each field once for all formats, and `docs/access-log.md`. No serde and no allocation on this path.

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

/// The longest line, its line end included, in bytes.
pub const MAX_LINE: usize = 8 * 1024;

/// Bounds of the fields in bytes as written; together with names, numbers and punctuation they stay under
/// [`MAX_LINE`] in every form (a test holds them to it).
const MAX_PATH: usize = 4 * 1024;
const MAX_HOST: usize = 512;
const MAX_METHOD: usize = 64;
const MAX_NAME: usize = 300;
const MAX_REQUEST_ID: usize = 300;

/// What one line tells. `None` is what was never known, as in a request that no route took.
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
    /// The method; `None` for a request that was never read.
    pub method: Option<&'a str>,
    /// Host, as it was sent.
    pub host: Option<&'a str>,
    /// The path; from `?` on nothing is written.
    pub path: Option<&'a str>,
    /// The version the client spoke.
    pub protocol: Version,
    /// The status sent; 0 when an HTTP/2 stream was reset, or its connection ended, instead.
    pub status: u16,
    /// The response flag; empty for none.
    pub flag: &'a str,
    /// The exact reason behind the flag; empty for none.
    pub reason: &'a str,
    /// The numbers behind the reason; written only when there are any.
    pub detail: Option<&'a str>,
    /// The reason for which `mode: report` would have refused it; empty for none, and then not written.
    pub would_deny: &'a str,
    /// The rule that refused it, or would have; written only when there is one.
    pub rule: Option<&'a str>,
    /// The upstream's name.
    pub upstream: Option<&'a str>,
    /// The endpoint of the last try.
    pub endpoint: Option<&'a str>,
    /// Tries.
    pub attempts: u32,
    /// Bytes of the request body.
    pub bytes_in: u64,
    /// Bytes of the response body.
    pub bytes_out: u64,
    /// From the head to the last byte of the answer.
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

/// Writes one line in the configured form behind `out`.
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
