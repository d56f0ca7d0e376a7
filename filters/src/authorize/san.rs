//! Matches the names of certificates against patterns, segment by segment, over the whole name.
//!
//! A pattern with `:` or `/` is for URIs: segments between slashes, compared byte by byte (RFC 3986
//! section 6.2.1: a SPIFFE ID has one form). Any other pattern is for DNS names: labels, compared
//! without regard to case. `*` matches exactly one segment that is not empty, `**` any number of
//! segments, including none; a star within a segment is an ordinary character. So
//! `spiffe://prod/ns/*/sa/api` matches no deeper path, and `spiffe://prod/**` no other trust
//! domain. `**` alone matches every name.

use std::sync::Arc;

use outrigger_config::model::SanPattern;

use crate::identity::Identity;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SanRule {
    kind: Kind,
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Any,
    Uri,
    Dns,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(Arc<str>),
    One,
    AnyNumber,
}

impl SanRule {
    pub(super) fn new(pattern: &SanPattern) -> Self {
        let text = pattern.as_str();
        let kind = match text {
            "**" => Kind::Any,
            _ if text.contains([':', '/']) => Kind::Uri,
            _ => Kind::Dns,
        };
        let segments = text.split(kind.separator()).map(|segment| match segment {
            "*" => Segment::One,
            "**" => Segment::AnyNumber,
            literal => Segment::Literal(literal.into()),
        });
        Self {
            kind,
            segments: segments.collect(),
        }
    }

    /// Whether one of the client's names is of this kind and matches.
    pub(super) fn takes(&self, client: &Identity) -> bool {
        match self.kind {
            Kind::Any => client.subject_alt_names().next().is_some(),
            Kind::Uri => client.uris.iter().any(|name| self.matches(name)),
            Kind::Dns => client.dns_names.iter().any(|name| self.matches(name)),
        }
    }

    /// Only the last `**` is ever retried, so the time is bounded by the product of the lengths.
    fn matches(&self, name: &str) -> bool {
        let mut rest = Some(name); // `None` behind the last segment
        let mut at = 0;
        let mut retry = None;
        loop {
            match (self.segments.get(at), rest) {
                (Some(Segment::AnyNumber), _) => {
                    at += 1;
                    retry = Some((at, rest));
                    continue;
                }
                (Some(pattern), Some(text)) => {
                    let (segment, after) = self.kind.split(text);
                    if self.kind.takes(pattern, segment) {
                        (at, rest) = (at + 1, after);
                        continue;
                    }
                }
                (None, None) => return true,
                (None, Some(_)) => {}
                (Some(_), None) => return false, // a retry would only leave less of the name
            }
            // Retry: the last `**` takes one more segment.
            let Some((back, Some(text))) = retry else {
                return false;
            };
            (at, rest) = (back, self.kind.split(text).1);
            retry = Some((at, rest));
        }
    }
}

impl Kind {
    fn separator(self) -> char {
        if self == Self::Dns { '.' } else { '/' }
    }

    fn split(self, text: &str) -> (&str, Option<&str>) {
        text.split_once(self.separator())
            .map_or((text, None), |(first, rest)| (first, Some(rest)))
    }

    fn takes(self, pattern: &Segment, segment: &str) -> bool {
        match pattern {
            Segment::Literal(text) if self == Self::Dns => text.eq_ignore_ascii_case(segment),
            Segment::Literal(text) => **text == *segment,
            Segment::One => !segment.is_empty(),
            Segment::AnyNumber => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(pattern: &str, name: &str) -> bool {
        SanRule::new(&SanPattern::new(pattern)).matches(name)
    }

    #[test]
    fn a_pattern_takes_whole_names_segment_by_segment() {
        for (pattern, name, expected) in [
            (
                "spiffe://prod/ns/ops/sa/api",
                "spiffe://prod/ns/ops/sa/api",
                true,
            ),
            (
                "spiffe://prod/ns/ops/sa/api",
                "spiffe://prod/ns/ops/sa/api2",
                false,
            ),
            (
                "spiffe://prod/ns/ops/sa/api",
                "xspiffe://prod/ns/ops/sa/api",
                false,
            ),
            (
                "spiffe://prod/ns/ops/sa/api",
                "spiffe://prod/ns/ops/sa/API",
                false,
            ),
            (
                "spiffe://prod/ns/ops/sa/*",
                "spiffe://prod/ns/ops/sa/api",
                true,
            ),
            (
                "spiffe://prod/ns/ops/sa/*",
                "spiffe://prod/ns/ops/sa/",
                false,
            ),
            (
                "spiffe://prod/ns/ops/sa/*",
                "spiffe://prod/ns/ops/sa",
                false,
            ),
            (
                "spiffe://prod/ns/ops/sa/*",
                "spiffe://prod/ns/ops/sa/a/b",
                false,
            ),
            ("spiffe://prod/ns/*/sa/*", "spiffe://prod/ns/x/sa/y", true),
            (
                "spiffe://prod/ns/*/sa/*",
                "spiffe://prod/ns/x/y/sa/z",
                false,
            ),
            ("spiffe://*/ns/a", "spiffe://prod/ns/a", true),
            ("spiffe://*/ns/a", "spiffe://prod/evil/ns/a", false),
            ("spiffe://prod/**", "spiffe://prod/ns/ops/sa/api", true),
            ("spiffe://prod/**", "spiffe://prod", true),
            ("spiffe://prod/**", "spiffe://prod.evil/ns", false),
            (
                "spiffe://prod/**",
                "spiffe://staging/spiffe://prod/x",
                false,
            ),
            ("spiffe://prod/**/sa/api", "spiffe://prod/sa/api", true),
            (
                "spiffe://prod/**/sa/api",
                "spiffe://prod/ns/a/b/sa/api",
                true,
            ),
            (
                "spiffe://prod/**/sa/api",
                "spiffe://prod/sa/api/sa/api",
                true,
            ),
            ("spiffe://prod/**/sa/api", "spiffe://prod/sa/api/x", false),
            ("spiffe://prod/**/a/**/b", "spiffe://prod/x/a/y/a/z/b", true),
            ("spiffe://prod/**/a/**/b", "spiffe://prod/x/b/y/a", false),
            ("spiffe://prod/**/*", "spiffe://prod/a/b", true),
            ("spiffe://prod/**/*", "spiffe://prod", false),
            ("spiffe://prod/*/**", "spiffe://prod", false),
            ("spiffe://prod/*/**", "spiffe://prod/a", true),
            ("spiffe://prod/**/**", "spiffe://prod", true),
            ("spiffe://prod/ops-*", "spiffe://prod/ops-a", false),
            ("spiffe://prod/ops-*", "spiffe://prod/ops-*", true),
            ("urn:example:a", "urn:example:a", true),
            ("urn:example:*", "urn:example:a", false),
            ("api.example.com", "api.example.com", true),
            ("api.example.com", "API.Example.com", true),
            ("*.example.com", "api.example.com", true),
            ("*.example.com", "a.b.example.com", false),
            ("*.example.com", "example.com", false),
            ("*.example.com", ".example.com", false),
            ("**.example.com", "a.b.example.com", true),
            ("**.example.com", "example.com", true),
            ("**.example.com", "example.com.evil", false),
            ("**.example.com", "evilexample.com", false),
            ("*", "localhost", true),
            ("*", "a.b", false),
        ] {
            assert_eq!(takes(pattern, name), expected, "{pattern} against {name}");
        }
    }

    #[test]
    fn a_pattern_for_uris_takes_no_dns_name_and_the_other_way_round() {
        let client = Identity {
            uris: vec!["spiffe://prod/a".into()],
            dns_names: vec!["prod.example".into()],
            ..Identity::default()
        };
        let takes = |pattern: &str| SanRule::new(&SanPattern::new(pattern)).takes(&client);
        assert!(takes("spiffe://prod/*") && takes("*.example") && takes("**"));
        assert!(!takes("*") && !takes("**/prod.example") && !takes("spiffe:.**"));
        assert!(
            !SanRule::new(&SanPattern::new("**")).takes(&Identity::default()),
            "there is no name"
        );
    }

    /// As a regular expression of nested repetitions this would never end.
    #[test]
    fn a_hostile_name_costs_no_more_than_its_length() {
        let pattern = format!("spiffe://{}b", "**/a/".repeat(200));
        let name = format!("spiffe://{}c", "a/".repeat(20_000));
        assert!(!takes(&pattern, &name));
    }
}
