//! `Cookie` of HTTP/2, which may arrive in several fields.

use http::{HeaderMap, HeaderValue, header};

/// The values of all fields as one: HTTP/1.1 has one Cookie (RFC 9113 section 8.2.3). `None` without any.
pub fn joined(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut crumbs = headers.get_all(header::COOKIE).iter();
    let first = crumbs.next()?;
    let Some(second) = crumbs.next() else {
        return Some(first.clone());
    };
    let mut joined = first.as_bytes().to_vec();
    for crumb in std::iter::once(second).chain(crumbs) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(crumb.as_bytes());
    }
    HeaderValue::from_bytes(&joined).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crumbs_become_one_cookie() {
        for (crumbs, expected) in [
            (&[][..], None),
            (&["a=1"], Some("a=1")),
            (&["a=1", "b=2", "c=3"], Some("a=1; b=2; c=3")),
        ] {
            let mut headers = HeaderMap::new();
            for crumb in crumbs {
                headers.append(header::COOKIE, HeaderValue::from_static(crumb));
            }
            assert_eq!(
                joined(&headers)
                    .as_ref()
                    .map(|value| value.to_str().unwrap()),
                expected
            );
        }
    }
}
