//! Recognizes gRPC, and maps HTTP statuses to gRPC statuses.
//!
//! gRPC is `application/grpc`, alone or before `+` or `;`. grpc-web is not: its clients read HTTP
//! statuses.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header};

/// Whether this head belongs to a gRPC call.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(is_type)
}

/// Whether this content type is that of a gRPC call.
pub fn is_type(value: &HeaderValue) -> bool {
    const TYPE: &[u8] = b"application/grpc";
    let value = value.as_bytes();
    value
        .get(..TYPE.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(TYPE))
        && matches!(
            value[TYPE.len()..].trim_ascii_start(),
            [] | [b'+' | b';', ..]
        )
}

/// `grpc-timeout`: at most eight digits and a unit. `None` if it is absent or malformed, which the
/// app has to check.
pub fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

/// The `grpc-status` of the proxy's own response; 2 (UNKNOWN) for a status that is not in the
/// table.
pub fn status_of(status: StatusCode) -> u8 {
    match status.as_u16() {
        200 => 0,
        408 | 504 => 4,
        403 => 7,
        413 | 414 | 429 | 431 => 8,
        404 | 405 => 12,
        400 => 13,
        502 | 503 => 14,
        401 => 16,
        _ => 2,
    }
}

/// Whether a `grpc-status` means that the server failed, as the 5xx of HTTP do: UNKNOWN,
/// DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS. All others are caused by the
/// caller.
pub fn is_server_error(status: &HeaderValue) -> bool {
    matches!(
        status.as_bytes(),
        b"2" | b"4" | b"12" | b"13" | b"14" | b"15"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_is_the_content_type_alone_or_before_plus_or_semicolon() {
        for (value, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;charset=utf-8", true),
            ("application/grpc ; a=b", true),
            ("Application/GRPC+json", true),
            ("application/grpc-web", false),
            ("application/grpc-web+proto", false),
            ("application/grpcx", false),
            ("application/grp", false),
            ("application/json", false),
            ("", false),
        ] {
            let headers =
                HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(value))]);
            assert_eq!(is_grpc(&headers), expected, "{value}");
        }
        assert!(!is_grpc(&HeaderMap::new()));
    }

    #[test]
    fn a_timeout_is_digits_and_a_unit() {
        for (value, expected) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("99999999S", Some(Duration::from_secs(99_999_999))),
            ("250m", Some(Duration::from_millis(250))),
            ("7u", Some(Duration::from_micros(7))),
            ("0n", Some(Duration::ZERO)),
            ("", None),
            ("S", None),
            ("100000000S", None),
            ("1", None),
            ("1s", None),
            ("1 S", None),
            ("+1S", None),
            ("-1S", None),
            ("1.5S", None),
            ("1SS", None),
        ] {
            let headers =
                HeaderMap::from_iter([("grpc-timeout".parse().unwrap(), value.parse().unwrap())]);
            assert_eq!(timeout(&headers), expected, "{value:?}");
        }
        assert_eq!(timeout(&HeaderMap::new()), None);
    }

    #[test]
    fn every_status_of_the_proxy_has_its_grpc_status() {
        for (status, expected) in [
            (400, 13),
            (401, 16),
            (403, 7),
            (404, 12),
            (405, 12),
            (408, 4),
            (413, 8),
            (414, 8),
            (429, 8),
            (431, 8),
            (500, 2),
            (502, 14),
            (503, 14),
            (504, 4),
            (200, 0),
            (418, 2),
        ] {
            assert_eq!(
                status_of(StatusCode::from_u16(status).unwrap()),
                expected,
                "{status}"
            );
        }
    }
}
