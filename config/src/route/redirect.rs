//! `requestRedirect` of a route: a redirect in place of an upstream.

use std::sync::Arc;

use http::StatusCode;

use crate::{
    block::{
        At, Int, Word, block,
        field::{narrow, number, status_code},
        problem::Report,
        show::{Object, text},
        word_of,
    },
    part::{hostname, scheme::Scheme},
    route::rewrite::{self, PathRewrite, PathRewriteBlock},
};

block! {
    /// A redirect; omitted parts are copied from the request.
    RedirectBlock {
        /// `http` or `https`.
        "scheme" scheme: Word<Scheme>,
        /// The host.
        "hostname" hostname: String,
        /// The port. Default: the default port of `scheme` if set, else the port of the request.
        "port" port: Int<1, 65535>,
        /// Changes to the path.
        "path" path: PathRewriteBlock,
        /// 301, 302, 303, 307 or 308. Default 302.
        "statusCode" status_code: Int<301, 308>,
    }
}

/// `requestRedirect`: omitted parts are copied from the request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Redirect {
    /// `http` or `https`.
    pub scheme: Option<Arc<str>>,
    /// The host.
    pub hostname: Option<Arc<str>>,
    /// The port; `None` with a scheme: the default port of the scheme, `None` without: the port of
    /// the request.
    pub port: Option<u16>,
    /// Changes to the path.
    pub path: Option<PathRewrite>,
    /// 301, 302, 303, 307 or 308. Default 302.
    pub status: StatusCode,
}

impl Redirect {
    /// A redirect to the URL of the request, until a field changes it.
    pub fn new(status: StatusCode) -> Self {
        Self {
            scheme: None,
            hostname: None,
            port: None,
            path: None,
            status,
        }
    }
}

/// Temporary, so that clients do not cache a wrong redirect.
const REDIRECT_STATUS: u64 = 302;

/// Validates the block.
pub(crate) fn accept(
    redirect: &At<RedirectBlock>,
    prefixes: bool,
    report: &mut Report,
) -> Redirect {
    let block = &redirect.value;
    if block.scheme.is_none()
        && block.hostname.is_none()
        && block.port.is_none()
        && block.path.is_none()
    {
        let message = "the redirect leads to the same URL";
        let help = "add `scheme`, `hostname`, `port` or `path`";
        report.missing(
            &redirect.place,
            &["scheme", "hostname", "port", "path"],
            message,
            help,
        );
    }
    let status = number(&block.status_code, REDIRECT_STATUS);
    if let Some(code) = block
        .status_code
        .as_ref()
        .filter(|_| ![301, 302, 303, 307, 308].contains(&status))
    {
        let message = format!("{status} is not a redirect status");
        report.error(
            &code.place,
            "bad-value",
            message,
            "allowed: 301, 302, 303, 307, 308",
        );
    }
    let scheme = block
        .scheme
        .as_ref()
        .map(|scheme| word_of(scheme.value.0).into());
    Redirect {
        scheme,
        hostname: block
            .hostname
            .as_ref()
            .and_then(|name| hostname::exact(name, report))
            .map(Into::into),
        port: block.port.as_ref().map(|port| narrow(port.value.0)),
        path: block
            .path
            .as_ref()
            .map(|path| rewrite::accept_path(path, prefixes, report)),
        status: status_code(status),
    }
}

/// Renders the accepted value.
pub(crate) fn show(redirect: &Redirect) -> Object {
    Object::new()
        .maybe("scheme", redirect.scheme.as_deref())
        .maybe("hostname", redirect.hostname.as_deref().map(text))
        .maybe("port", redirect.port)
        .maybe("path", redirect.path.as_ref().map(rewrite::show_path))
        .with("statusCode", redirect.status.as_u16())
}
