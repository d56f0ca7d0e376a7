//! `urlRewrite`, and the forwarded target: always in origin form, always with the canonical path.
//!
//! The query is never changed. The common case (an origin-form target that is canonical already,
//! and no rewrite) costs a comparison.

mod step;

use bytes::Bytes;
use http::{
    HeaderMap, Uri, header,
    uri::{Parts, PathAndQuery},
};
use outrigger_config::model::{PathRewrite, UrlRewrite};

use crate::{path::push_replaced, reason::Reason};

pub use step::RewriteStep;

/// The target to forward, `None` if it is the received one. `prefix_len` is the length of the
/// prefix that matched, without a trailing slash (0 for `/`).
///
/// # Errors
/// [`Reason::RequestTarget`] if the new target is longer than a URI may be (64 KiB).
pub fn target(
    rewrite: &UrlRewrite,
    prefix_len: Option<usize>,
    canonical_path: &str,
    received: &Uri,
) -> Result<Option<Uri>, Reason> {
    if let Some(change) = rewrite
        .path
        .as_ref()
        .filter(|_| canonical_path.starts_with('/'))
    {
        let mut text = String::with_capacity(capacity(change, canonical_path, received));
        push_replaced(&mut text, change, prefix_len, canonical_path);
        return with_query(text, received).map(Some);
    }
    if canonical_path != received.path() {
        let mut text = String::with_capacity(canonical_path.len() + query_len(received));
        text.push_str(canonical_path);
        return with_query(text, received).map(Some);
    }
    if received.scheme().is_some() || received.authority().is_some() {
        return origin_form(received.path_and_query().cloned()).map(Some);
    }
    Ok(None)
}

/// Writes the Host to forward.
pub fn host(rewrite: &UrlRewrite, headers: &mut HeaderMap) {
    if let Some(hostname) = &rewrite.hostname {
        headers.insert(header::HOST, hostname.clone());
    }
}

fn capacity(change: &PathRewrite, path: &str, received: &Uri) -> usize {
    let (PathRewrite::ReplacePrefixMatch(new) | PathRewrite::ReplaceFull(new)) = change;
    new.len() + path.len() + 1 + query_len(received)
}

fn query_len(uri: &Uri) -> usize {
    uri.query().map_or(0, |query| query.len() + 1)
}

fn with_query(mut text: String, received: &Uri) -> Result<Uri, Reason> {
    if let Some(query) = received.query() {
        text.push('?');
        text.push_str(query);
    }
    let target =
        PathAndQuery::from_maybe_shared(Bytes::from(text)).map_err(|_| Reason::RequestTarget)?;
    origin_form(Some(target))
}

fn origin_form(target: Option<PathAndQuery>) -> Result<Uri, Reason> {
    let mut parts = Parts::default();
    parts.path_and_query = target;
    Uri::from_parts(parts).map_err(|_| Reason::RequestTarget)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn prefix(replacement: &str) -> UrlRewrite {
        path(PathRewrite::ReplacePrefixMatch(replacement.into()))
    }

    fn path(change: PathRewrite) -> UrlRewrite {
        let mut rewrite = UrlRewrite::default();
        rewrite.path = Some(change);
        rewrite
    }

    fn sent(
        rewrite: &UrlRewrite,
        prefix_len: Option<usize>,
        canonical: &str,
        received: &str,
    ) -> Option<String> {
        target(rewrite, prefix_len, canonical, &received.parse().unwrap())
            .unwrap()
            .map(|uri| uri.to_string())
    }

    #[test]
    fn a_matched_prefix_is_replaced_and_the_query_stays_as_it_was() {
        assert_eq!(
            sent(&prefix("/xyz"), Some(4), "/foo/bar", "/foo/b%61r?q=%2e#f"),
            Some("/xyz/bar?q=%2e".into())
        );
        assert_eq!(sent(&prefix(""), Some(4), "/foo", "/foo"), Some("/".into()));
    }

    #[test]
    fn the_whole_path_is_replaced_and_the_query_stays() {
        let rewrite = path(PathRewrite::ReplaceFull("/x".into()));
        assert_eq!(
            sent(&rewrite, None, "/a/b", "/a/b?c=d&e"),
            Some("/x?c=d&e".into())
        );
        assert_eq!(sent(&rewrite, Some(2), "/a/b", "/a/b"), Some("/x".into()));
        assert_eq!(
            sent(
                &path(PathRewrite::ReplaceFull("".into())),
                None,
                "/a",
                "/a?"
            ),
            Some("/?".into())
        );
    }

    #[test]
    fn without_a_rewrite_only_what_is_not_canonical_origin_form_changes() {
        let none = UrlRewrite::default();
        assert_eq!(sent(&none, Some(0), "/a", "/a?b"), None);
        assert_eq!(
            sent(&none, Some(0), "/a/b", "//a/%62?x=%62"),
            Some("/a/b?x=%62".into())
        );
        assert_eq!(
            sent(&none, None, "/a", "http://h:80/a?b"),
            Some("/a?b".into())
        );
        assert_eq!(sent(&none, None, "/", "https://h"), Some("/".into()));
        assert_eq!(sent(&none, None, "*", "*"), None);
        assert_eq!(sent(&prefix("/x"), None, "*", "*"), None);
    }

    #[test]
    fn a_target_that_grows_too_long_is_refused() {
        let long = format!("/?{}", "a".repeat(65_000));
        let rewrite = path(PathRewrite::ReplaceFull(
            format!("/{}", "b".repeat(1_000)).into(),
        ));
        assert_eq!(
            target(&rewrite, None, "/", &long.parse().unwrap()),
            Err(Reason::RequestTarget)
        );
    }

    #[test]
    fn a_prefix_length_that_does_not_fit_the_path_does_no_harm() {
        assert_eq!(sent(&prefix("/x"), Some(99), "/a", "/a"), Some("/x".into()));
        assert_eq!(sent(&prefix("/x"), None, "/a", "/a"), Some("/x".into()));
    }

    #[test]
    fn the_host_is_replaced_only_when_one_is_named() {
        let mut headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("a"))]);
        host(&UrlRewrite::default(), &mut headers);
        assert_eq!(headers[header::HOST], "a");
        let mut rewrite = UrlRewrite::default();
        rewrite.hostname = Some(HeaderValue::from_static("b"));
        host(&rewrite, &mut headers);
        assert_eq!(
            headers.get_all(header::HOST).iter().collect::<Vec<_>>(),
            ["b"]
        );
    }
}
