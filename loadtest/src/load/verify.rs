//! Verifies every response as it arrives: status, length, checksum. Memory is constant for any body
//! size.

use std::sync::OnceLock;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use sha2::{Digest, Sha256};

use super::failure::{Failure, FailureKind};
use super::plan::{Expect, Plan};
use crate::content::{self, CHECKSUM_TRAILER};

/// The expectations for all responses of a run.
#[derive(Debug)]
pub(super) struct Verifier {
    expect: Expect,
    /// Responses to HEAD describe a body that is not sent (RFC 9110 §9.3.2).
    bodiless: bool,
    first: OnceLock<Seen>,
    /// The message that must come back (gRPC).
    message: Option<Seen>,
}

/// Length and checksum of one body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    length: u64,
    crc: u32,
}

/// A response that is being read.
pub(super) struct Inspection<'a> {
    verifier: &'a Verifier,
    status: StatusCode,
    announced: Option<u32>,
    length: u64,
    crc: crc32fast::Hasher,
    sha256: Option<Sha256>,
    grpc: Grpc,
}

/// The gRPC status of a response.
#[derive(Debug, Clone, Copy, Default)]
struct Grpc {
    is_typed: bool,
    status: Option<u32>,
}

impl Verifier {
    pub(super) fn new(plan: &Plan) -> Self {
        let mut expect = plan.expect.clone();
        if expect.statuses.is_empty() {
            expect.statuses.push(StatusCode::OK);
        }
        let bodiless = plan.method == Method::HEAD && !plan.grpc;
        let message = plan.message().map(|message| Seen {
            length: message.len() as u64,
            crc: crc32fast::hash(&message),
        });
        Self {
            expect,
            bodiless,
            first: OnceLock::new(),
            message,
        }
    }

    /// Whether responses describe a body that is not sent.
    pub(super) fn is_bodiless(&self) -> bool {
        self.bodiless
    }

    /// Starts with the head of a response: its status, and the checksum of its body.
    pub(super) fn inspect(&self, status: StatusCode, announced: Option<u32>) -> Inspection<'_> {
        Inspection {
            verifier: self,
            status,
            announced,
            length: 0,
            crc: crc32fast::Hasher::new(),
            sha256: self.expect.sha256.map(|_| Sha256::new()),
            grpc: Grpc::default(),
        }
    }
}

impl Inspection<'_> {
    /// Reads the gRPC fields of a head; a call that fails at once has its status there.
    pub(super) fn grpc(&mut self, headers: &HeaderMap) {
        if self.verifier.message.is_some() {
            let kind = headers
                .get(CONTENT_TYPE)
                .map_or(&b""[..], HeaderValue::as_bytes);
            self.grpc = Grpc {
                is_typed: kind.starts_with(b"application/grpc"),
                status: grpc_status(headers),
            };
        }
    }

    /// Adds the next bytes of the body.
    pub(super) fn data(&mut self, data: &[u8]) {
        self.length += data.len() as u64;
        self.crc.update(data);
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(data);
        }
    }

    /// Reads the checksum in the trailers; that of the head has priority.
    pub(super) fn trailer(&mut self, announced: Option<u32>) {
        self.announced = self.announced.or(announced);
    }

    /// Reads the trailers, for the body and for a gRPC call.
    pub(super) fn trailers(&mut self, trailers: &HeaderMap) {
        self.trailer(announced(trailers, CHECKSUM_TRAILER));
        self.grpc.status = self.grpc.status.or_else(|| grpc_status(trailers));
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The verdict on a complete body.
    pub(super) fn verdict(self) -> Result<(), Failure> {
        let expect = &self.verifier.expect;
        let seen = Seen {
            length: self.length,
            crc: self.crc.finalize(),
        };
        if !expect.statuses.contains(&self.status) {
            let detail = format!(
                "status {} with a body of {} bytes",
                self.status, seen.length
            );
            return Err(Failure::new(
                FailureKind::Status(self.status.as_u16()),
                detail,
            ));
        }
        if let Some(sent) = self.verifier.message {
            self.grpc.check()?;
            check_length(seen.length, sent.length)?;
            check_checksum(seen.crc, sent.crc, "that of the message that was sent")?;
        }
        if let Some(wanted) = expect.length {
            check_length(seen.length, wanted)?;
        }
        if let Some(wanted) = self.announced.filter(|_| !self.verifier.bodiless) {
            check_checksum(seen.crc, wanted, "the one announced")?;
        }
        if let (Some(wanted), Some(sha256)) = (expect.sha256, self.sha256) {
            check_sha256(sha256.finalize().into(), wanted)?;
        }
        if expect.same {
            let first = self.verifier.first.get_or_init(|| seen);
            check_length(seen.length, first.length)?;
            check_checksum(seen.crc, first.crc, "that of the first answer")?;
        }
        Ok(())
    }
}

impl Grpc {
    fn check(self) -> Result<(), Failure> {
        match self.status {
            _ if !self.is_typed => Err(Failure::new(
                FailureKind::Protocol,
                "the response is not application/grpc",
            )),
            None => Err(Failure::new(
                FailureKind::Protocol,
                "a response without grpc-status",
            )),
            Some(0) => Ok(()),
            Some(status) => Err(Failure::new(
                FailureKind::GrpcStatus(status),
                "the call failed",
            )),
        }
    }
}

fn grpc_status(headers: &HeaderMap) -> Option<u32> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

/// A value that does not parse is not our checksum: other origins may use the same name.
pub(super) fn announced(headers: &HeaderMap, name: &str) -> Option<u32> {
    content::parse_hex(headers.get(name)?.as_bytes())
}

fn check_length(got: u64, wanted: u64) -> Result<(), Failure> {
    if got == wanted {
        return Ok(());
    }
    Err(Failure::new(
        FailureKind::Length,
        format!("body of {got} bytes, expected {wanted}"),
    ))
}

fn check_checksum(got: u32, wanted: u32, whose: &str) -> Result<(), Failure> {
    if got == wanted {
        return Ok(());
    }
    let detail = format!(
        "CRC-32 {} is not {whose}, {}",
        content::hex(got),
        content::hex(wanted)
    );
    Err(Failure::new(FailureKind::Checksum, detail))
}

fn check_sha256(got: [u8; 32], wanted: [u8; 32]) -> Result<(), Failure> {
    if got == wanted {
        return Ok(());
    }
    let hex: String = got.iter().map(|byte| format!("{byte:02x}")).collect();
    Err(Failure::new(
        FailureKind::Checksum,
        format!("SHA-256 {hex} is not the expected one"),
    ))
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;
    use crate::content::CHECKSUM_HEADER;

    fn verdicts(expect: Expect, answers: &[(u16, &str, Option<&str>)]) -> Vec<Option<FailureKind>> {
        let verifier = Verifier::new(&Plan {
            expect,
            ..Plan::new("http://unused/")
        });
        let judge = |&(status, body, announced): &(u16, &str, Option<&str>)| {
            let status = StatusCode::from_u16(status).unwrap();
            let headers: HeaderMap = announced
                .map(|value| {
                    (
                        HeaderName::from_static(CHECKSUM_HEADER),
                        value.parse().unwrap(),
                    )
                })
                .into_iter()
                .collect();
            let mut inspection =
                verifier.inspect(status, super::announced(&headers, CHECKSUM_HEADER));
            inspection.data(body.as_bytes());
            inspection.verdict().err().map(|failure| failure.kind)
        };
        answers.iter().map(judge).collect()
    }

    #[test]
    fn each_expectation_has_its_own_verdict() {
        let (length, checksum) = (Some(FailureKind::Length), Some(FailureKind::Checksum));
        // CRC-32 check value: "123456789" gives cbf43926.
        let nine = "123456789";
        let default = Expect::default();
        assert_eq!(
            verdicts(
                default,
                &[
                    (200, nine, None),
                    (200, nine, Some("cbf43926")),
                    (200, nine, Some("cbf43927")),
                    (200, nine, Some("someone else's")),
                    (503, nine, None),
                ]
            ),
            [None, None, checksum, None, Some(FailureKind::Status(503))]
        );
        let by_length = Expect {
            length: Some(9),
            ..Expect::default()
        };
        assert_eq!(
            verdicts(by_length, &[(200, nine, None), (200, "", None)]),
            [None, length]
        );
        let same = Expect {
            same: true,
            ..Expect::default()
        };
        assert_eq!(
            verdicts(
                same,
                &[
                    (200, "one", None),
                    (200, "one", None),
                    (200, "two", None),
                    (200, "three", None)
                ]
            ),
            [None, None, checksum, length]
        );
        let by_digest = Expect {
            sha256: Some(Sha256::digest(nine).into()),
            ..Expect::default()
        };
        assert_eq!(
            verdicts(by_digest, &[(200, nine, None), (200, "987654321", None)]),
            [None, checksum]
        );
        let redirects = vec![StatusCode::MOVED_PERMANENTLY, StatusCode::FOUND];
        let by_status = Expect {
            statuses: redirects,
            ..Expect::default()
        };
        assert_eq!(
            verdicts(by_status, &[(302, "", None), (200, "", None)]),
            [None, Some(FailureKind::Status(200))]
        );
    }

    #[test]
    fn a_trailer_is_held_against_the_body_too() {
        let verifier = Verifier::new(&Plan::new("http://unused/"));
        let mut inspection = verifier.inspect(StatusCode::OK, None);
        inspection.data(b"123456780");
        inspection.trailers(&HeaderMap::from_iter([(
            HeaderName::from_static(CHECKSUM_TRAILER),
            "cbf43926".parse().unwrap(),
        )]));
        assert_eq!(
            inspection.verdict().unwrap_err().kind,
            FailureKind::Checksum
        );
    }
}
