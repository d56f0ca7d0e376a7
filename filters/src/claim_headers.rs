//! `claimHeaders`: header fields in which the app reads verified claims. Fields with such a name
//! from a client are removed on every route, also on those without authentication: an app that
//! trusts these fields cannot know which route a request took.
//!
//! Names that differ only in `_` and `-` count as equal, because CGI and WSGI map them to the same
//! variable (CVE-2025-64484).

use http::{HeaderMap, HeaderName};
use outrigger_config::model::JwtProvider;

/// The names of the fields of all providers.
#[derive(Debug, Clone, Default)]
pub struct ClaimHeaders(Vec<HeaderName>);

impl ClaimHeaders {
    /// The names of these providers.
    pub fn new(providers: &[JwtProvider]) -> Self {
        let all = providers
            .iter()
            .flat_map(|provider| &provider.claim_headers);
        let mut names: Vec<HeaderName> = all.map(|header| header.name.clone()).collect();
        names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        names.dedup();
        Self(names)
    }

    /// The same with `others`, names that also belong to the proxy.
    #[must_use]
    pub fn and<'a>(mut self, others: impl Iterator<Item = &'a HeaderName>) -> Self {
        self.0.extend(others.cloned());
        self
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this lower-case name is one of them, or differs from one only in `_` and `-`.
    pub fn owns(&self, name: &str) -> bool {
        self.0.iter().any(|own| reads_like(own.as_str(), name))
    }

    /// Removes every field with such a name.
    pub fn strip(&self, headers: &mut HeaderMap) {
        if self.is_empty() || !headers.keys().any(|name| self.owns(name.as_str())) {
            return;
        }
        let found: Vec<HeaderName> = headers
            .keys()
            .filter(|name| self.owns(name.as_str()))
            .cloned()
            .collect();
        for name in found {
            headers.remove(name);
        }
    }
}

/// Whether two names differ only in `_` and `-`.
pub(crate) fn reads_like(own: &str, name: &str) -> bool {
    let dashed = |byte: u8| if byte == b'_' { b'-' } else { byte };
    own.len() == name.len() && own.bytes().map(dashed).eq(name.bytes().map(dashed))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    /// `docs/security.md` 6.
    #[test]
    fn every_spelling_of_a_claim_header_is_taken_away_and_nothing_else() {
        let names = ["x-user-id", "x_tenant"].map(HeaderName::from_static);
        let own = ClaimHeaders(names.to_vec());
        let mut headers = HeaderMap::new();
        for name in [
            "x-user-id",
            "x-user_id",
            "x_user_id",
            "x-tenant",
            "x_tenant",
            "x-user-ids",
            "x-user",
            "host",
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static("1"));
            headers.append(HeaderName::from_static(name), HeaderValue::from_static("2"));
        }
        own.strip(&mut headers);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["host", "x-user", "x-user-ids"]);
    }
}
