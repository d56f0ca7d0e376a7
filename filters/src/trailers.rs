//! Trailer fields: removes those that are not permitted in trailers (RFC 9110 section 6.5.1), and
//! forwards the rest.
//!
//! A server that merges trailers into the header fields would otherwise trust a second Host, a
//! second length, or a header that the proxy owns. Names with `_` are removed too, because CGI maps
//! them to the same variables; an application that needs one sends it as a header field.

use http::{HeaderMap, HeaderName, header};

/// Larger trailers of a request are rejected (`docs/security.md` 2), in bytes.
pub const MAX_BYTES: usize = 8 * 1024;

/// The size of all fields in bytes, as written in HTTP/1.1.
pub fn bytes(trailers: &HeaderMap) -> usize {
    trailers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len())
        .sum()
}

/// Removes forbidden trailers of a request. `owned` names the fields that only the proxy may write.
pub fn strip_request(trailers: &mut HeaderMap, owned: impl Fn(&str) -> bool) {
    remove_where(trailers, |name| {
        is_forbidden(name)
            || is_for_requests_head(name)
            || name.as_str().contains('_')
            || owned(name.as_str())
    });
}

/// Removes forbidden trailers of a response.
pub fn strip_response(trailers: &mut HeaderMap) {
    remove_where(trailers, is_forbidden);
}

fn remove_where(trailers: &mut HeaderMap, refused: impl Fn(&HeaderName) -> bool) {
    let names: Vec<HeaderName> = trailers
        .keys()
        .filter(|name| refused(name))
        .cloned()
        .collect();
    for name in names {
        trailers.remove(name);
    }
}

/// Framing, hop-by-hop and representation fields.
fn is_forbidden(name: &HeaderName) -> bool {
    matches!(
        *name,
        header::CONNECTION
            | header::CONTENT_ENCODING
            | header::CONTENT_LENGTH
            | header::CONTENT_RANGE
            | header::CONTENT_TYPE
            | header::HOST
            | header::PROXY_AUTHENTICATE
            | header::PROXY_AUTHORIZATION
            | header::SET_COOKIE
            | header::TE
            | header::TRAILER
            | header::TRANSFER_ENCODING
            | header::UPGRADE
    ) || matches!(
        name.as_str(),
        "keep-alive" | "proxy-connection" | "http2-settings"
    )
}

/// Fields that decide about a request before its body is read.
fn is_for_requests_head(name: &HeaderName) -> bool {
    matches!(
        *name,
        header::AUTHORIZATION
            | header::CACHE_CONTROL
            | header::COOKIE
            | header::EXPECT
            | header::IF_MATCH
            | header::IF_MODIFIED_SINCE
            | header::IF_NONE_MATCH
            | header::IF_RANGE
            | header::IF_UNMODIFIED_SINCE
            | header::MAX_FORWARDS
            | header::RANGE
    )
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn trailers(names: &[&'static str]) -> HeaderMap {
        let field =
            |name: &&'static str| (HeaderName::from_static(name), HeaderValue::from_static("1"));
        names.iter().map(field).collect()
    }

    fn left(trailers: &HeaderMap) -> Vec<&str> {
        trailers.keys().map(HeaderName::as_str).collect()
    }

    /// `docs/security.md` 4.
    #[test]
    fn what_frames_routes_authenticates_or_is_owned_is_taken_from_a_request() {
        let mut all = trailers(&[
            "x-sum",
            "host",
            "content-length",
            "authorization",
            "x-mine",
            "x_sum",
            "upgrade",
        ]);
        strip_request(&mut all, |name| name == "x-mine");
        assert_eq!(left(&all), ["x-sum"]);
    }

    #[test]
    fn a_response_keeps_the_status_of_a_grpc_call() {
        let mut all = trailers(&["grpc-status", "connection", "content-length", "x_sum"]);
        strip_response(&mut all);
        assert_eq!(left(&all), ["grpc-status", "x_sum"]);
        assert_eq!(bytes(&trailers(&["x-sum"])), "x-sum: 1\r\n".len());
    }
}
