//! `replacePrefixMatch` and `replaceFull`, after `HTTPPathModifier` of the Gateway API.
//!
//! A prefix is replaced by whole elements: a trailing slash of the prefix never counts, one of the replacement only
//! when nothing follows. Rewrite and redirect both use this.

use outrigger_config::model::PathRewrite;

/// Writes the changed path behind `text`; it always begins with `/`. `prefix_len` is the length of the matched prefix
/// without a trailing slash, 0 for `/`.
pub(crate) fn push_replaced(
    text: &mut String,
    change: &PathRewrite,
    prefix_len: Option<usize>,
    path: &str,
) {
    let start = text.len();
    match change {
        PathRewrite::ReplaceFull(full) => text.push_str(full),
        PathRewrite::ReplacePrefixMatch(replacement) => {
            let rest = prefix_len.and_then(|len| path.get(len..)).unwrap_or("");
            if rest.is_empty() {
                text.push_str(replacement);
            } else {
                text.push_str(replacement.strip_suffix('/').unwrap_or(replacement));
                if !rest.starts_with('/') {
                    text.push('/');
                }
                text.push_str(rest);
            }
        }
    }
    if !text[start..].starts_with('/') {
        text.insert(start, '/');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the Gateway API reference, and what it leaves open.
    #[test]
    fn a_matched_prefix_is_replaced_by_whole_elements() {
        for (request, matched, replacement, expected) in [
            ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
            ("/foo/bar", "/foo", "/xyz/", "/xyz/bar"),
            ("/foo/bar", "/foo/", "/xyz", "/xyz/bar"),
            ("/foo/bar", "/foo/", "/xyz/", "/xyz/bar"),
            ("/foo", "/foo", "/xyz", "/xyz"),
            ("/foo/", "/foo", "/xyz", "/xyz/"),
            ("/foo/bar", "/foo", "", "/bar"),
            ("/foo/", "/foo", "", "/"),
            ("/foo", "/foo", "", "/"),
            ("/foo/", "/foo", "/", "/"),
            ("/foo", "/foo", "/", "/"),
            ("/foo", "/foo", "/xyz/", "/xyz/"),
            ("/", "/", "/xyz", "/xyz/"),
            ("/bar", "/", "/xyz", "/xyz/bar"),
            ("/bar", "/", "/", "/bar"),
            ("/bar/", "/", "", "/bar/"),
        ] {
            let mut text = String::from("before");
            let change = PathRewrite::ReplacePrefixMatch(replacement.into());
            push_replaced(
                &mut text,
                &change,
                Some(matched.trim_end_matches('/').len()),
                request,
            );
            assert_eq!(
                text,
                format!("before{expected}"),
                "{request} {matched} {replacement}"
            );
        }
    }
}
