//! `urlRewrite` of a route, and changes to a path.

use std::sync::Arc;

use http::HeaderValue;

use crate::{
    block::{
        At, block,
        problem::Report,
        show::{Object, text},
    },
    part::{headers, hostname, path},
};

block! {
    /// Changes to the path or host sent to the upstream.
    UrlRewriteBlock {
        /// The Host sent to the upstream.
        "hostname" hostname: String,
        /// Changes to the path.
        "path" path: PathRewriteBlock,
    }
}

block! {
    /// Changes to a path; the query is left untouched.
    PathRewriteBlock {
        /// Replacement of the matched prefix; all matches of the route must be prefixes.
        "replacePrefixMatch" replace_prefix_match: String,
        /// Replacement of the whole path.
        "replaceFull" replace_full: String,
    }
    one_of ["replacePrefixMatch", "replaceFull"]
}

/// `urlRewrite`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct UrlRewrite {
    /// The Host sent to the upstream.
    pub hostname: Option<HeaderValue>,
    /// Changes to the path.
    pub path: Option<PathRewrite>,
}

/// Changes to a path; the query is left untouched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathRewrite {
    /// Replaces the matched prefix; the route's matches are all prefixes.
    ReplacePrefixMatch(Arc<str>),
    /// Replaces the whole path.
    ReplaceFull(Arc<str>),
}

/// Validates the block.
pub(crate) fn accept(
    block: Option<&At<UrlRewriteBlock>>,
    prefixes: bool,
    report: &mut Report,
) -> UrlRewrite {
    let Some(At {
        value: block,
        place,
    }) = block
    else {
        return UrlRewrite::default();
    };
    if block.hostname.is_none() && block.path.is_none() {
        let help = "add `hostname` or `path`, or remove it";
        report.missing(
            place,
            &["hostname", "path"],
            "`urlRewrite` has no effect",
            help,
        );
    }
    UrlRewrite {
        hostname: block
            .hostname
            .as_ref()
            .map(|text| host_header(text, report)),
        path: block
            .path
            .as_ref()
            .map(|path| accept_path(path, prefixes, report)),
    }
}

/// A Host header: a name, with an optional port.
fn host_header(text: &At<String>, report: &mut Report) -> HeaderValue {
    let (host, port) = match text.value.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text.value.as_str(), None),
    };
    let name = At {
        value: host.to_owned(),
        place: text.place.clone(),
    };
    if port.is_some_and(|port| port.parse::<u16>().is_err()) {
        let message = format!("{:?} is not a valid host", text.value);
        report.error(
            &text.place,
            "bad-hostname",
            message,
            "write a name, with an optional port",
        );
    } else {
        hostname::exact(&name, report);
    }
    headers::value(text, report)
}

/// Checks changes to a path.
pub(crate) fn accept_path(
    block: &At<PathRewriteBlock>,
    prefixes: bool,
    report: &mut Report,
) -> PathRewrite {
    if let Some(full) = &block.value.replace_full {
        path::sent(full, report);
        return PathRewrite::ReplaceFull(full.value.as_str().into());
    }
    let Some(prefix) = &block.value.replace_prefix_match else {
        return PathRewrite::ReplaceFull("/".into());
    };
    path::sent(prefix, report);
    if !prefixes {
        let message = "`replacePrefixMatch` requires that every match of the route is a prefix";
        let help = "change the matches to prefixes, or use `replaceFull`";
        report.error(&prefix.place, "no-prefix", message, help);
    }
    PathRewrite::ReplacePrefixMatch(path::trimmed(&prefix.value).into())
}

/// Renders the accepted value; `None` when it changes nothing.
pub(crate) fn show(rewrite: &UrlRewrite) -> Option<Object> {
    let object = Object::new()
        .maybe("hostname", rewrite.hostname.as_ref().map(headers::show))
        .maybe("path", rewrite.path.as_ref().map(show_path));
    (rewrite != &UrlRewrite::default()).then_some(object)
}

/// Shows changes to a path.
pub(crate) fn show_path(rewrite: &PathRewrite) -> Object {
    match rewrite {
        PathRewrite::ReplacePrefixMatch(path) => {
            Object::new().with("replacePrefixMatch", text(path))
        }
        PathRewrite::ReplaceFull(path) => Object::new().with("replaceFull", text(path)),
    }
}
