//! Header fields that the proxy owns: those from a client are removed before anything trusts them.
//!
//! Owned are `x-request-id`, `x-forwarded-*`, `x-real-ip`, `forwarded` and `x-outrigger-*`. Values
//! that may be kept from a trusted peer are returned in [`Taken`]. A name with `_` is rejected by
//! default. A name that equals an owned or a framing field once `_` is replaced by `-` is always
//! removed: CGI and WSGI map both to the same variable (CVE-2025-64484).
//!
//! X-Forwarded-For is read from the head before this step (all its lines count), see `client_address`.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use outrigger_config::model::UnderscoreHeaders;

use crate::{context::id::RequestId, reason::Reason};

/// `x-request-id`.
pub static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// `x-forwarded-for`.
pub static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// `x-forwarded-proto`.
pub static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// `x-forwarded-host`.
pub static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// `x-forwarded-client-cert`.
pub static X_FORWARDED_CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");

/// `x-outrigger-attempt-count`.
pub static X_OUTRIGGER_ATTEMPT_COUNT: HeaderName =
    HeaderName::from_static("x-outrigger-attempt-count");

/// Values that a client sent under names that a trusted peer may set; a repeated field counts as
/// absent.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// `x-request-id`.
    pub request_id: Option<HeaderValue>,
    /// `x-forwarded-proto`.
    pub forwarded_proto: Option<HeaderValue>,
    /// `x-forwarded-host`.
    pub forwarded_host: Option<HeaderValue>,
}

/// Headers that the proxy adds to a request. They are kept beside the header map until the request
/// is sent, and are written after it: growing the map by four fields costs more than everything
/// else that happens to them.
#[derive(Debug, Clone)]
pub struct Own {
    /// `x-request-id`.
    pub request_id: RequestId,
    /// The `x-forwarded-*` fields; `None` on outbound listeners.
    pub forwarded: Option<Forwarded>,
    /// The number of the attempt, where a route configures several.
    pub attempt: Option<u32>,
}

/// The `x-forwarded-*` fields.
#[derive(Debug, Clone)]
pub struct Forwarded {
    /// `x-forwarded-for`.
    pub address: HeaderValue,
    /// `x-forwarded-proto`.
    pub proto: HeaderValue,
    /// `x-forwarded-host`; none for HTTP/1.0 without Host.
    pub host: Option<HeaderValue>,
    /// `x-forwarded-client-cert`, where it is configured and the certificate was verified.
    pub client_cert: Option<HeaderValue>,
}

impl Own {
    /// Calls `show` for each field, in the order they are written.
    pub fn each(&self, mut show: impl FnMut(&'static HeaderName, &[u8])) {
        show(&X_REQUEST_ID, self.request_id.as_bytes());
        if let Some(forwarded) = &self.forwarded {
            forwarded.each(|name, value| show(name, value.as_bytes()));
        }
        if let Some(attempt) = self.attempt {
            show(
                &X_OUTRIGGER_ATTEMPT_COUNT,
                itoa::Buffer::new().format(attempt).as_bytes(),
            );
        }
    }

    /// The value of one of these fields.
    pub fn get(&self, name: &HeaderName) -> Option<&[u8]> {
        if *name == X_REQUEST_ID {
            return Some(self.request_id.as_bytes());
        }
        let forwarded = self.forwarded.as_ref()?;
        let value = match name {
            name if *name == X_FORWARDED_FOR => Some(&forwarded.address),
            name if *name == X_FORWARDED_PROTO => Some(&forwarded.proto),
            name if *name == X_FORWARDED_HOST => forwarded.host.as_ref(),
            name if *name == X_FORWARDED_CLIENT_CERT => forwarded.client_cert.as_ref(),
            _ => None,
        };
        value.map(HeaderValue::as_bytes)
    }

    /// Inserts the fields into the map, for a filter that may change them and for HTTP/2.
    pub fn insert(&self, headers: &mut HeaderMap) {
        let mut id = self.request_id.to_value();
        // Every id is unique: in HPACK's table each would evict a field that repeats.
        id.set_sensitive(true);
        headers.insert(&X_REQUEST_ID, id);
        if let Some(forwarded) = &self.forwarded {
            forwarded.each(|name, value| drop(headers.insert(name, value.clone())));
        }
    }
}

impl Forwarded {
    fn each(&self, mut show: impl FnMut(&'static HeaderName, &HeaderValue)) {
        show(&X_FORWARDED_FOR, &self.address);
        show(&X_FORWARDED_PROTO, &self.proto);
        if let Some(host) = &self.host {
            show(&X_FORWARDED_HOST, host);
        }
        if let Some(cert) = &self.client_cert {
            show(&X_FORWARDED_CLIENT_CERT, cert);
        }
    }
}

/// Whether the proxy owns this lower-case name.
pub fn owns(name: &str) -> bool {
    match name.as_bytes().first() {
        Some(b'x') => name.strip_prefix("x-").is_some_and(|rest| {
            matches!(rest, "request-id" | "real-ip")
                || rest.starts_with("forwarded-")
                || rest.starts_with("outrigger-")
        }),
        Some(b'f') => name == "forwarded",
        _ => false,
    }
}

/// The result of a pass over the names of a head.
#[derive(Debug, Default)]
pub struct Found {
    owned: bool,
    underscored: bool,
}

impl Found {
    /// Checks one name.
    pub fn see(&mut self, name: &HeaderName) {
        if !is_common(name) {
            let name = name.as_str();
            self.owned |= owns(name);
            self.underscored |= has_underscore(name);
        }
    }

    /// Whether there is any owned field.
    pub fn owned(&self) -> bool {
        self.owned
    }

    /// Removes every owned field, and handles names with `_`. From a trusted peer, `x-forwarded-*`
    /// fields that the proxy does not write itself (`-port`, `-prefix`) are kept.
    ///
    /// # Errors
    /// [`Reason::RequestUnderscoreHeader`] for a name with `_`, if such names are rejected.
    pub fn strip(
        &self,
        headers: &mut HeaderMap,
        underscores: UnderscoreHeaders,
        peer_trusted: bool,
    ) -> Result<Taken, Reason> {
        if self.underscored {
            strip_underscored(headers, underscores)?;
        }
        Ok(if self.owned {
            take(headers, peer_trusted)
        } else {
            Taken::default()
        })
    }
}

/// Fields of nearly every request, identified by one small number: neither owned nor with `_`, so
/// that the pass compares the text of the others only.
fn is_common(name: &HeaderName) -> bool {
    matches!(
        *name,
        header::HOST
            | header::USER_AGENT
            | header::ACCEPT
            | header::ACCEPT_ENCODING
            | header::ACCEPT_LANGUAGE
            | header::AUTHORIZATION
            | header::CACHE_CONTROL
            | header::CONNECTION
            | header::CONTENT_LENGTH
            | header::CONTENT_TYPE
            | header::COOKIE
            | header::IF_MODIFIED_SINCE
            | header::IF_NONE_MATCH
            | header::ORIGIN
            | header::PRAGMA
            | header::REFERER
            | header::TE
            | header::TRANSFER_ENCODING
            | header::UPGRADE_INSECURE_REQUESTS
    )
}

fn has_underscore(name: &str) -> bool {
    memchr::memchr(b'_', name.as_bytes()).is_some()
}

#[cold]
fn strip_underscored(
    headers: &mut HeaderMap,
    underscores: UnderscoreHeaders,
) -> Result<(), Reason> {
    match underscores {
        UnderscoreHeaders::Reject => return Err(Reason::RequestUnderscoreHeader),
        UnderscoreHeaders::Drop => remove_where(headers, has_underscore),
        UnderscoreHeaders::Keep => {
            remove_where(headers, |name| has_underscore(name) && is_look_alike(name))
        }
    }
    Ok(())
}

/// Whether a name with `_` equals an owned or a framing field once `_` is replaced by `-`.
fn is_look_alike(name: &str) -> bool {
    let dashed = name.replace('_', "-");
    owns(&dashed) || matches!(dashed.as_str(), "content-length" | "transfer-encoding")
}

fn take(headers: &mut HeaderMap, peer_trusted: bool) -> Taken {
    let taken = Taken {
        request_id: only(headers, &X_REQUEST_ID),
        forwarded_proto: only(headers, &X_FORWARDED_PROTO),
        forwarded_host: only(headers, &X_FORWARDED_HOST),
    };
    remove_where(headers, |name| {
        owns(name) && !(peer_trusted && is_hint(name))
    });
    taken
}

/// An `x-forwarded-*` field that the proxy does not write, but accepts only from trusted peers.
fn is_hint(name: &str) -> bool {
    name.strip_prefix("x-forwarded-")
        .is_some_and(|rest| !matches!(rest, "for" | "proto" | "host" | "client-cert"))
}

fn only(headers: &mut HeaderMap, name: &HeaderName) -> Option<HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let single = values.next().is_some() && values.next().is_none();
    headers.remove(name).filter(|_| single)
}

/// Removal moves the last entry into the gap, so the same index is checked again.
fn remove_where(headers: &mut HeaderMap, unwanted: impl Fn(&str) -> bool) {
    let mut at = 0;
    while let Some((offset, name)) = headers
        .keys()
        .skip(at)
        .enumerate()
        .find(|(_, name)| unwanted(name.as_str()))
    {
        at += offset;
        let name = name.clone();
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                value.parse().unwrap(),
            );
        }
        headers
    }

    fn strip(
        headers: &mut HeaderMap,
        underscores: UnderscoreHeaders,
        peer_trusted: bool,
    ) -> Result<Taken, Reason> {
        let mut found = Found::default();
        headers.keys().for_each(|name| found.see(name));
        found.strip(headers, underscores, peer_trusted)
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    /// `docs/security.md` 6 and 8.
    #[test]
    fn every_owned_header_is_taken_from_a_stranger_in_any_case_and_number() {
        let mut headers = map(&[
            ("X-Request-ID", "1"),
            ("x-forwarded-for", "1.1.1.1"),
            ("X-FORWARDED-FOR", "2.2.2.2"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-proto", "http"),
            ("X-Forwarded-Host", "evil"),
            ("x-forwarded-port", "1"),
            ("x-forwarded-prefix", "/"),
            ("x-forwarded-client-cert", "By=x"),
            ("x-real-ip", "1.1.1.1"),
            ("forwarded", "for=1.1.1.1"),
            ("x-outrigger-overloaded", "true"),
            ("x-outrigger-anything", "1"),
            ("x-forwardedfor", "not ours"),
            ("accept", "*/*"),
            ("x", "1"),
            ("x-", "1"),
        ]);
        let taken = strip(&mut headers, UnderscoreHeaders::Reject, false).unwrap();
        assert_eq!(names(&headers), ["accept", "x", "x-", "x-forwardedfor"]);
        assert_eq!(taken.request_id.unwrap(), "1");
        assert_eq!(taken.forwarded_proto, None, "it stood twice");
        assert_eq!(taken.forwarded_host.unwrap(), "evil");
    }

    #[test]
    fn a_trusted_peer_keeps_the_forwarded_hints_that_the_proxy_does_not_write() {
        let mut headers = map(&[
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-port", "443"),
            ("x-forwarded-client-cert", "By=x"),
            ("x-real-ip", "1.1.1.1"),
            ("x-outrigger-a", "1"),
        ]);
        strip(&mut headers, UnderscoreHeaders::Reject, true).unwrap();
        assert_eq!(names(&headers), ["x-forwarded-port"]);
    }

    /// `docs/security.md` 6, CVE-2025-64484.
    #[test]
    fn a_name_with_an_underscore_is_refused_dropped_or_kept_but_never_as_a_look_alike() {
        let fields = [
            ("x_request_id", "1"),
            ("x-request_id", "1"),
            ("x_forwarded-for", "1"),
            ("X_Forwarded_Proto", "1"),
            ("x-forwarded_port", "1"),
            ("x_real_ip", "1"),
            ("x_outrigger_a", "1"),
            ("x-outrigger_a", "1"),
            ("content_length", "1"),
            ("transfer_encoding", "1"),
            ("my_header", "1"),
            ("my-header", "1"),
        ];
        for (underscores, trusted) in [
            (UnderscoreHeaders::Keep, false),
            (UnderscoreHeaders::Keep, true),
        ] {
            let mut headers = map(&fields);
            assert_eq!(
                strip(&mut headers, underscores, trusted),
                Ok(Taken::default())
            );
            assert_eq!(names(&headers), ["my-header", "my_header"]);
        }
        let mut headers = map(&fields);
        assert_eq!(
            strip(&mut headers, UnderscoreHeaders::Drop, false),
            Ok(Taken::default())
        );
        assert_eq!(names(&headers), ["my-header"]);
        for (name, value) in &fields[..11] {
            let refused = strip(
                &mut map(&[("host", "a"), (name, value)]),
                UnderscoreHeaders::Reject,
                true,
            );
            assert_eq!(refused, Err(Reason::RequestUnderscoreHeader), "{name}");
        }
    }

    /// Claims are written beside what the proxy owns, under names that are not its own.
    #[test]
    fn no_claim_is_configured_under_an_owned_name() {
        let accepted = |name: &str| {
            let text = format!(
                "app: {{ port: 8080 }}\njwtProviders:\n  a: {{ issuer: \"https://a.example\", audiences: [b], \
                 claimHeaders: {{ {name}: sub }} }}\n"
            );
            outrigger_config::load_str("test.yaml", &text, &|_: &str| None).is_ok()
        };
        for name in [
            "x-request-id",
            "x-forwarded-for",
            "x-forwarded-client-cert",
            "X-Forwarded-User",
            "x-real-ip",
            "forwarded",
            "x-outrigger-user",
        ] {
            assert!(
                owns(&name.to_ascii_lowercase()) && !accepted(name),
                "{name}"
            );
        }
        for name in ["x-user-id", "x-forwardedfor", "x-requestid", "user"] {
            assert!(!owns(name) && accepted(name), "{name}");
        }
    }

    #[test]
    fn an_ordinary_head_is_left_alone() {
        let mut headers = map(&[
            ("host", "a"),
            ("cookie", "a_b=c"),
            ("x-trace", "1"),
            ("via", "x"),
            ("from", "y"),
        ]);
        let before = headers.clone();
        assert_eq!(
            strip(&mut headers, UnderscoreHeaders::Reject, false),
            Ok(Taken::default())
        );
        assert_eq!(headers, before);
    }
}
