//! Validates a request head before anything else reads it: one Host, one framing, one target.
//!
//! The codecs reject most of `docs/security.md` 2 and 4 themselves. What they accept is rejected
//! here: everything about Host (RFC 9112 section 3.2), repeated or listed Transfer-Encoding,
//! Content-Length beside Transfer-Encoding, CONNECT, target forms that the method does not permit,
//! non-ASCII bytes in the target (`http::Uri` accepts UTF-8), space at the ends of an HTTP/2 value,
//! `:authority` that contradicts `host`, repeated Authorization. What they already reject is
//! checked again where that costs nothing, so that the chain is safe with another codec too.
//!
//! Not visible here: the codec removes a repeated equal Content-Length (RFC 9110 section 8.6); the
//! HTTP/2 codec drops `:scheme` when there is no `:authority`.
//!
//! Decisions where the RFC permits several:
//! - HTTP/1.0 without Host is accepted and has no authority, so that only routes without hostnames
//!   match.
//! - HTTP/2 with `host` and no `:authority` is accepted (RFC 9113 section 8.3.1, gateways from
//!   HTTP/1 send it); without both it is rejected. `host` and `:authority` agree if their canonical
//!   forms do.
//! - An absolute-form target decides, and Host must merely be valid (RFC 9112 section 3.2.2).
//! - A Host that no DNS name or address can be is rejected, as is an empty port (`crate::host`).

use http::{HeaderName, HeaderValue, Method, Uri, Version, header, request::Parts, uri::Scheme};
use outrigger_config::model::{self, ListenerLimits};

use crate::{
    error::Error,
    host::{canonical, is_authority},
    reason::{Effect, Reason},
};

/// The most fields into which a client may split its Cookie over HTTP/2. Browsers keep about 180
/// cookies for a domain, and some of them as many again for an embedded page.
pub const MAX_CRUMBS: usize = 500;

/// Marks a request head that is so large that its codec did not keep all fields.
#[derive(Debug, Clone, Copy)]
pub struct Truncated;

/// The authority of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authority<'a> {
    /// Host and port: `:authority` or those of an absolute-form target, else Host.
    pub text: &'a str,
    /// The Host field, if it has the same text.
    pub host: Option<&'a HeaderValue>,
}

/// Checks a whole head and returns the authority of the request; `None` only for HTTP/1.0 without
/// Host. Sizes are checked first: what is too large is not checked any further.
///
/// One pass over the fields does everything; `see` is called for each of them in the same pass.
///
/// # Errors
/// [`Error::Connect`], [`Error::TargetTooLong`], [`Error::HeadersTooLarge`], or
/// [`Error::Malformed`] with the first reason why the head is malformed or ambiguous.
pub fn check<'a>(
    head: &'a Parts,
    limits: &ListenerLimits,
    see: impl FnMut(&HeaderName, &HeaderValue),
) -> Result<Option<Authority<'a>>, Error> {
    if head.extensions.get::<Truncated>().is_some() {
        return Err(Error::HeadersTooLarge);
    }
    if head.method == Method::CONNECT {
        return Err(Error::Connect);
    }
    if target_bytes(&head.uri) > limits.target_bytes {
        return Err(Error::TargetTooLong);
    }
    if has_too_many_fields(head, limits.headers) {
        return Err(Error::HeadersTooLarge);
    }
    let fields = Fields::read(head, see);
    if fields.bytes > limits.header_bytes {
        return Err(Error::HeadersTooLarge);
    }
    if fields
        .content_length
        .zip(limits.body_bytes)
        .is_some_and(|(declared, limit)| declared > limit)
    {
        return Err(Error::BodyTooLarge);
    }
    let text = authority(head, &fields).map_err(Error::Malformed)?;
    Ok(text.map(|text| Authority {
        text,
        host: fields.host.filter(|host| *host == text),
    }))
}

fn target_bytes(uri: &Uri) -> usize {
    let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
    let authority = uri
        .authority()
        .map_or(0, |authority| authority.as_str().len());
    let scheme = uri
        .scheme_str()
        .map_or(0, |scheme| scheme.len() + "://".len());
    path + authority + scheme
}

/// Whether there are more fields than `limit`. A repeated field counts each time, but the Cookie
/// fields of HTTP/2 count as one (RFC 9113 section 8.2.3) and have a limit of their own.
fn has_too_many_fields(head: &Parts, limit: usize) -> bool {
    let fields = head.headers.len(); // of values, not of names
    if fields <= limit.min(MAX_CRUMBS) {
        return false;
    }
    if head.version < Version::HTTP_2 {
        return true;
    }
    let crumbs = head.headers.get_all(header::COOKIE).iter().count();
    // `:authority` is no field, but the codec adds it as Host.
    let host =
        usize::from(head.uri.authority().is_some() && head.headers.contains_key(header::HOST));
    crumbs > MAX_CRUMBS || fields - host - crumbs.saturating_sub(1) > limit
}

/// Whether the target's form fits the method, and all of its bytes are visible ASCII.
fn check_target(head: &Parts) -> Result<(), Reason> {
    let target = head.uri.path_and_query().map_or("", |path| path.as_str());
    let form_fits = match target.as_bytes() {
        [b'/', ..] => true,
        b"*" => head.method == Method::OPTIONS && head.uri.query().is_none(),
        // Authority form, an empty URI, `http://host?query`.
        _ => false,
    };
    if !form_fits && head.version >= Version::HTTP_2 {
        return Err(Reason::RequestPseudoHeader); // RFC 9113 section 8.3.1
    }
    let scheme_fits = match head.uri.scheme() {
        // An authority without a scheme is the form that only CONNECT permits.
        None => head.uri.authority().is_none(),
        Some(scheme) => *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS,
    };
    if form_fits && scheme_fits && is_visible_ascii(target.as_bytes()) {
        Ok(())
    } else {
        Err(Reason::RequestTarget)
    }
}

/// No early exit, so that the compiler can vectorize the loop.
fn is_visible_ascii(bytes: &[u8]) -> bool {
    bytes.iter().fold(0, |bad, byte| {
        bad | u8::from(byte.wrapping_sub(0x21) > 0x7e - 0x21)
    }) == 0
}

/// The result of one pass over the header fields.
#[derive(Default)]
struct Fields<'a> {
    /// The size as written in HTTP/1.1.
    bytes: usize,
    host: Option<&'a HeaderValue>,
    authorization: bool,
    transfer_encoding: bool,
    content_length: Option<u64>,
    /// The most severe problem.
    malformed: Option<Reason>,
}

impl<'a> Fields<'a> {
    fn read(head: &'a Parts, mut see: impl FnMut(&HeaderName, &HeaderValue)) -> Self {
        let http2 = head.version >= Version::HTTP_2;
        let mut fields = Self::default();
        for (name, value) in &head.headers {
            see(name, value);
            fields.bytes += name.as_str().len() + value.len() + ": \r\n".len();
            if let Err(malformed) = fields.field(name, value, http2) {
                fields.malformed = worst([fields.malformed, Some(malformed)]);
            }
        }
        if fields.transfer_encoding
            && (head.version < Version::HTTP_11 || fields.content_length.is_some())
        {
            fields.malformed = worst([fields.malformed, Some(Reason::RequestTransferEncoding)]);
        }
        fields
    }

    fn field(
        &mut self,
        name: &HeaderName,
        value: &'a HeaderValue,
        http2: bool,
    ) -> Result<(), Reason> {
        if http2 {
            check_http2(name, value)?;
        }
        match *name {
            header::HOST => once(
                self.host.replace(value).is_some(),
                true,
                Reason::RequestHost,
            ),
            header::AUTHORIZATION => once(
                std::mem::replace(&mut self.authorization, true),
                true,
                Reason::RequestAuthorization,
            ),
            header::TRANSFER_ENCODING => {
                let chunked = value.as_bytes().eq_ignore_ascii_case(b"chunked");
                let seen = std::mem::replace(&mut self.transfer_encoding, true);
                once(seen, chunked, Reason::RequestTransferEncoding)
            }
            header::CONTENT_LENGTH => {
                let length = length(value.as_bytes());
                let seen = self.content_length.replace(length.unwrap_or(0)).is_some();
                once(seen, length.is_some(), Reason::RequestContentLength)
            }
            _ => Ok(()),
        }
    }
}

/// The first problem that makes an HTTP/2 request malformed for RFC 9113, which must reset its stream; else the first.
fn worst<const N: usize>(found: [Option<Reason>; N]) -> Option<Reason> {
    let mut all = found.into_iter().flatten();
    let first = all.next()?;
    let resets = |one: &Reason| one.effect() == Effect::Reset;
    if resets(&first) {
        Some(first)
    } else {
        Some(all.find(resets).unwrap_or(first))
    }
}

/// Checks a field that may occur once, with a valid value.
fn once(seen: bool, good: bool, refusal: Reason) -> Result<(), Reason> {
    if seen || !good { Err(refusal) } else { Ok(()) }
}

/// RFC 9113 sections 8.2.1 and 8.2.2. The codec rejects the connection-specific names itself, but not the space.
fn check_http2(name: &HeaderName, value: &HeaderValue) -> Result<(), Reason> {
    let value = value.as_bytes();
    let padded = matches!(value, [b' ' | b'\t', ..] | [.., b' ' | b'\t']);
    let refused = match *name {
        header::CONNECTION | header::TRANSFER_ENCODING | header::UPGRADE => true,
        header::TE => !value.eq_ignore_ascii_case(b"trailers"),
        _ => matches!(name.as_str(), "keep-alive" | "proxy-connection"),
    };
    if padded || refused {
        Err(Reason::RequestHeader)
    } else {
        Ok(())
    }
}

/// One plain decimal number that fits 64 bits: no sign, list, hex or space (RFC 9110 section 8.6).
fn length(value: &[u8]) -> Option<u64> {
    let digits = value.iter().try_fold(0_u64, |length, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        length.checked_mul(10)?.checked_add(digit)
    });
    digits.filter(|_| !value.is_empty())
}

fn authority<'a>(head: &'a Parts, fields: &Fields<'a>) -> Result<Option<&'a str>, Reason> {
    let named = named(head, fields);
    match worst([check_target(head).err(), fields.malformed, named.err()]) {
        Some(malformed) => Err(malformed),
        None => named,
    }
}

/// The authority on which `:authority`, an absolute-form target and Host agree.
fn named<'a>(head: &'a Parts, fields: &Fields<'a>) -> Result<Option<&'a str>, Reason> {
    let host = match fields.host {
        Some(value) => {
            let host = value.to_str().map_err(|_| Reason::RequestHost)?;
            Some(host)
                .filter(|host| is_authority(host))
                .ok_or(Reason::RequestHost)?
                .into()
        }
        None => None,
    };
    match head.uri.authority() {
        Some(authority) if head.version >= Version::HTTP_2 && authority.as_str().contains('@') => {
            Err(Reason::RequestPseudoHeader) // RFC 9113 section 8.3.1
        }
        Some(authority) if !is_authority(authority.as_str()) => Err(Reason::RequestHost),
        Some(authority) => match host {
            Some(host)
                if head.version >= Version::HTTP_2
                    && !is_same(host, authority.as_str(), head.uri.scheme()) =>
            {
                Err(Reason::RequestAuthorityMismatch)
            }
            None if head.version == Version::HTTP_11 => Err(Reason::RequestHost),
            _ => Ok(Some(authority.as_str())),
        },
        None if host.is_none() && head.version >= Version::HTTP_11 => Err(Reason::RequestHost),
        None => Ok(host),
    }
}

/// Whether two authorities are equal after normalization by the scheme (RFC 9113 section 8.3.1).
fn is_same(host: &str, authority: &str, scheme: Option<&Scheme>) -> bool {
    let scheme = match scheme {
        Some(scheme) if *scheme == Scheme::HTTPS => model::Scheme::Https,
        _ => model::Scheme::Http,
    };
    host == authority || canonical(host, scheme) == canonical(authority, scheme)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const V10: Version = Version::HTTP_10;
    const V11: Version = Version::HTTP_11;
    const V2: Version = Version::HTTP_2;

    fn head(method: &str, target: &str, version: Version, fields: &[(&str, &[u8])]) -> Parts {
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .version(version);
        for (name, value) in fields {
            request = request.header(*name, HeaderValue::from_bytes(value).unwrap());
        }
        request.body(()).unwrap().into_parts().0
    }

    fn check(head: &Parts) -> Result<Option<&str>, Reason> {
        let mut seen = 0;
        let checked = super::check(head, &ListenerLimits::default(), |_, _| seen += 1);
        assert_eq!(seen, head.headers.len(), "every field is shown");
        checked
            .map(|authority| authority.map(|authority| authority.text))
            .map_err(|error| match error {
                Error::Malformed(malformed) => malformed,
                other => panic!("{other}"),
            })
    }

    /// Checks a GET with these fields and a Host of its own where the version wants one.
    fn check_fields(version: Version, fields: &[(&str, &[u8])]) -> Result<(), Reason> {
        let mut all: Vec<(&str, &[u8])> = vec![("host", b"a.example")];
        all.extend_from_slice(fields);
        let target = if version == V2 {
            "https://a.example/"
        } else {
            "/"
        };
        check(&head("GET", target, version, &all)).map(drop)
    }

    #[test]
    fn an_ordinary_request_passes_and_names_its_authority() {
        for host in [
            "a",
            "a.example",
            "A.Example:8080",
            "127.0.0.1:80",
            "[::1]",
            "[2001:db8::1]:443",
            "x_y.example",
            "a:1",
        ] {
            for (version, target) in [(V10, "/"), (V11, "/"), (V11, "/a?b=c#"), (V2, "/x")] {
                let head = head("GET", target, version, &[("host", host.as_bytes())]);
                assert_eq!(check(&head), Ok(Some(host)), "{version:?}");
            }
        }
    }

    /// `docs/security.md` 2.
    #[test]
    fn a_host_that_is_missing_repeated_listed_or_carries_more_than_host_and_port_is_refused() {
        for host in [
            "",
            " ",
            "a b",
            "a,b",
            "a, a",
            "user@a",
            "u:p@a",
            "a/",
            "a/b",
            "a?b",
            "a#b",
            "a\\b",
            "a:",
            "a:x",
            "a:-1",
            "a:+1",
            "a:0",
            "a:65536",
            "a:123456",
            "a:80:80",
            "::1",
            "[::1",
            "::1]",
            "[::1]x",
            "[::1]:",
            "[::1]:x",
            "[fe80::1%eth0]",
            "[v1.a]",
            "[]",
            "a%2eb",
            "http://a",
            "a'b",
            "a;b",
            "*",
        ] {
            let head = head("GET", "/", V11, &[("host", host.as_bytes())]);
            assert_eq!(check(&head), Err(Reason::RequestHost), "{host}");
        }
        for fields in [
            &[][..],
            &[("host", &b"a"[..]), ("host", b"a")],
            &[("host", b"a\xc3\xa9")],
        ] {
            assert_eq!(
                check(&head("GET", "/", V11, fields)),
                Err(Reason::RequestHost),
                "{fields:?}"
            );
        }
    }

    #[test]
    fn http_1_0_may_leave_host_out_but_not_send_a_bad_one() {
        assert_eq!(check(&head("GET", "/", V10, &[])), Ok(None));
        assert_eq!(
            check(&head("GET", "/", V10, &[("host", b"a@b")])),
            Err(Reason::RequestHost)
        );
    }

    /// `docs/security.md` 5.
    #[test]
    fn an_absolute_form_target_decides_over_host() {
        let head_of = |target, host: &[u8]| head("GET", target, V11, &[("host", host)]);
        assert_eq!(
            check(&head_of("http://b.example:81/x", b"a")),
            Ok(Some("b.example:81"))
        );
        assert_eq!(
            check(&head_of("http://b.example", b"a")),
            Ok(Some("b.example"))
        );
        assert_eq!(
            check(&head_of("http://b.example/", b"a,b")),
            Err(Reason::RequestHost)
        );
        assert_eq!(
            check(&head_of("http://u@b.example/", b"a")),
            Err(Reason::RequestHost)
        );
        assert_eq!(
            check(&head_of("ftp://b.example/", b"a")),
            Err(Reason::RequestTarget)
        );
        assert_eq!(
            check(&head_of("http://b.example?x", b"a")),
            Err(Reason::RequestTarget)
        );
        assert_eq!(
            check(&head("GET", "http://b/", V11, &[])),
            Err(Reason::RequestHost)
        );
    }

    /// `docs/security.md` 2 and 3.
    #[test]
    fn a_target_form_that_the_method_does_not_take_is_refused() {
        let host: &[(&str, &[u8])] = &[("host", b"a")];
        assert_eq!(check(&head("OPTIONS", "*", V11, host)), Ok(Some("a")));
        assert_eq!(
            check(&head("GET", "*", V11, host)),
            Err(Reason::RequestTarget)
        );
        assert_eq!(
            check(&head("GET", "a.example:80", V11, host)),
            Err(Reason::RequestTarget)
        );
        assert_eq!(
            check(&head("GET", "/é", V11, host)),
            Err(Reason::RequestTarget)
        );
        assert_eq!(
            check(&head("GET", "/?é", V11, host)),
            Err(Reason::RequestTarget)
        );
        let mut empty = head("GET", "/", V11, host);
        empty.uri = Uri::default();
        assert_eq!(check(&empty), Ok(Some("a")), "an empty Uri reads as /");
    }

    /// `docs/security.md` 1 and 2.
    #[test]
    fn any_transfer_encoding_but_one_chunked_is_refused() {
        assert_eq!(
            check_fields(V11, &[("transfer-encoding", b"Chunked")]),
            Ok(())
        );
        for fields in [
            &[
                ("transfer-encoding", &b"chunked"[..]),
                ("transfer-encoding", b"chunked"),
            ][..],
            &[("transfer-encoding", b"chunked, chunked")],
            &[("transfer-encoding", b"gzip, chunked")],
            &[("transfer-encoding", b"identity")],
            &[("transfer-encoding", b"xchunked")],
            &[("transfer-encoding", b"")],
            &[("transfer-encoding", b"chunked"), ("content-length", b"1")],
            &[("content-length", b"1"), ("transfer-encoding", b"chunked")],
        ] {
            assert_eq!(
                check_fields(V11, fields),
                Err(Reason::RequestTransferEncoding),
                "{fields:?}"
            );
        }
        assert_eq!(
            check_fields(V10, &[("transfer-encoding", b"chunked")]),
            Err(Reason::RequestTransferEncoding)
        );
        assert_eq!(
            check_fields(V2, &[("transfer-encoding", b"chunked")]),
            Err(Reason::RequestHeader)
        );
    }

    /// `docs/security.md` 2.
    #[test]
    fn a_content_length_is_one_plain_number() {
        for value in [&b"0"[..], b"5", b"007", b"18446744073709551615"] {
            assert_eq!(check_fields(V11, &[("content-length", value)]), Ok(()));
        }
        for value in [
            &b""[..],
            b"+5",
            b"-1",
            b"0x5",
            b"5,5",
            b"5 5",
            b"1e3",
            b"18446744073709551616",
            b"5\xc3",
        ] {
            assert_eq!(
                check_fields(V11, &[("content-length", value)]),
                Err(Reason::RequestContentLength),
                "{value:?}"
            );
        }
        let twice: &[(&str, &[u8])] = &[("content-length", b"5"), ("content-length", b"5")];
        assert_eq!(check_fields(V2, twice), Err(Reason::RequestContentLength));
    }

    /// `docs/security.md` 10.
    #[test]
    fn two_authorization_headers_are_refused() {
        assert_eq!(check_fields(V11, &[("authorization", b"a")]), Ok(()));
        let twice: &[(&str, &[u8])] = &[("authorization", b"a"), ("authorization", b"a")];
        assert_eq!(check_fields(V11, twice), Err(Reason::RequestAuthorization));
    }

    /// `docs/security.md` 4.
    #[test]
    fn http_2_takes_no_connection_headers_and_no_space_at_the_ends_of_a_value() {
        assert_eq!(
            check_fields(V2, &[("te", b"trailers"), ("x", b"a b")]),
            Ok(())
        );
        for (name, value) in [
            ("connection", &b"close"[..]),
            ("keep-alive", b"1"),
            ("proxy-connection", b"close"),
            ("upgrade", b"websocket"),
            ("te", b"gzip"),
            ("te", b"trailers, gzip"),
            ("x", b" a"),
            ("x", b"a "),
            ("x", b"\ta"),
            ("x", b"a\t"),
            ("x", b" "),
        ] {
            assert_eq!(
                check_fields(V2, &[(name, value)]),
                Err(Reason::RequestHeader),
                "{name}: {value:?}"
            );
        }
        assert_eq!(
            check_fields(V11, &[("connection", b"close"), ("te", b"gzip")]),
            Ok(())
        );
    }

    /// `docs/security.md` 4.
    #[test]
    fn in_http_2_authority_and_host_agree_and_one_of_them_is_there() {
        let head_of = |target, host: Option<&'static str>| {
            let fields: Vec<(&str, &[u8])> = host
                .map(|host| ("host", host.as_bytes()))
                .into_iter()
                .collect();
            check(&head("GET", target, V2, &fields)).map(|authority| authority.map(str::to_owned))
        };
        assert_eq!(
            head_of("https://a.example/", None),
            Ok(Some("a.example".into()))
        );
        assert_eq!(
            head_of("https://a.example/", Some("A.EXAMPLE")),
            Ok(Some("a.example".into()))
        );
        assert_eq!(
            head_of("https://a.example/", Some("b.example")),
            Err(Reason::RequestAuthorityMismatch)
        );
        assert_eq!(
            head_of("https://a.example/", Some("A.example.:443")),
            Ok(Some("a.example".into()))
        );
        assert_eq!(
            head_of("https://a.example/", Some("a.example:80")),
            Err(Reason::RequestAuthorityMismatch)
        );
        assert_eq!(
            head_of("/", Some("a.example")),
            Ok(Some("a.example".into()))
        );
        assert_eq!(head_of("/", None), Err(Reason::RequestHost));
        assert_eq!(
            head_of("https://u@a.example/", None),
            Err(Reason::RequestPseudoHeader)
        );
        assert_eq!(
            head_of("ftp://a.example/", None),
            Err(Reason::RequestTarget)
        );
        assert_eq!(
            head_of("ftp://a.example/", Some("b.example")),
            Err(Reason::RequestAuthorityMismatch)
        );
        assert_eq!(
            head_of("https://a.example/\u{e9}", Some("b.example")),
            Err(Reason::RequestAuthorityMismatch)
        );
    }

    /// `docs/security.md`, "Limits".
    #[test]
    fn over_http_2_cookie_crumbs_are_one_field_and_have_a_bound_of_their_own() {
        let verdict = |version, crumbs: usize, others: usize, limit: usize| {
            let mut fields: Vec<(&str, &[u8])> = vec![("cookie", b"a=b"); crumbs];
            fields.resize(crumbs + others, ("x", b"y"));
            let target = if version == V2 {
                "https://a.example/"
            } else {
                "/"
            };
            let mut limits = ListenerLimits::default();
            limits.headers = limit;
            let head = head("GET", target, version, &fields);
            let result = super::check(&head, &limits, |_, _| {}).map(drop);
            !matches!(result, Err(Error::HeadersTooLarge))
        };
        for (version, crumbs, others, limit, passes) in [
            (V2, 0, 100, 100, true),
            (V2, 0, 101, 100, false),
            (V2, 1, 99, 100, true),
            (V2, 1, 100, 100, false),
            (V2, 90, 15, 100, true),
            (V2, 500, 99, 100, true),
            (V2, 500, 100, 100, false),
            (V2, 501, 0, 100, false),
            (V2, 501, 0, 1000, false),
            (V2, 400, 600, 1000, true),
            (V2, 500, 0, 1, true),
            (V11, 90, 10, 100, true),
            (V11, 90, 15, 100, false),
        ] {
            let what = format!("{version:?}, {crumbs} crumbs, {others} others, at most {limit}");
            assert_eq!(verdict(version, crumbs, others, limit), passes, "{what}");
        }
    }

    /// `docs/security.md` 4: what must reset a stream is not answered because a rule of ours rejects the request as well.
    #[test]
    fn what_rfc_9113_calls_malformed_decides_before_a_rule_of_ours() {
        let padded: (&str, &[u8]) = ("x", b" a");
        let twice = [("authorization", &b"a"[..]), ("authorization", b"b")];
        assert_eq!(
            check_fields(V2, &[twice[0], twice[1], padded]),
            Err(Reason::RequestHeader)
        );
        assert_eq!(
            check_fields(V2, &[padded, twice[0], twice[1]]),
            Err(Reason::RequestHeader)
        );
        let bad_target = |fields: &[(&str, &[u8])]| {
            check(&head("GET", "https://a/\u{e9}", V2, fields)).map(drop)
        };
        assert_eq!(bad_target(&[padded]), Err(Reason::RequestHeader));
        assert_eq!(bad_target(&twice), Err(Reason::RequestTarget));
        let star = head("GET", "*", V2, &[("host", b"a"), twice[0], twice[1]]);
        assert_eq!(check(&star), Err(Reason::RequestPseudoHeader));
    }

    /// `docs/security.md` 3 and "Limits".
    #[test]
    fn sizes_are_held_and_connect_is_not_served() {
        let mut limits = ListenerLimits::default();
        (limits.headers, limits.header_bytes, limits.target_bytes) = (2, 24, 10);
        limits.body_bytes = Some(7);
        let verdict = |method, target, fields: &[(&str, &[u8])]| {
            let head = head(method, target, V11, fields);
            super::check(&head, &limits, |_, _| {})
                .map(drop)
                .map_err(|error| error.reason().as_str())
        };
        assert_eq!(
            verdict("GET", "/12345678?", &[("host", b"1"), ("a", b"2")]),
            Ok(())
        );
        assert_eq!(
            verdict("POST", "/", &[("host", b"1"), ("content-length", b"7")]),
            Err("limit.headers")
        );
        assert_eq!(verdict("GET", "/123456789?", &[]), Err("limit.target"));
        assert_eq!(verdict("GET", "http://a/12", &[]), Err("limit.target"));
        assert_eq!(
            verdict("GET", "/", &[("a", b"1"), ("a", b"2"), ("a", b"3")]),
            Err("limit.headers")
        );
        assert_eq!(
            verdict("GET", "/", &[("cookie", b"123456789012345")]),
            Err("limit.headers")
        );
        assert_eq!(verdict("CONNECT", "a:80", &[]), Err("request.connect"));
    }
}
