//! `cors` of a route and of `defaults`: cross-origin access to responses.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, Method, StatusCode};
use serde_json::Value;

use crate::{
    block::{
        At, Flag, Time, block,
        field::{flag, whole_seconds},
        name,
        problem::Report,
        show::{Object, list, text, time},
    },
    part::{
        headers, method,
        url::{EndpointAddress, address, split_port},
    },
};

block! {
    /// Cross-origin access to responses (CORS). The proxy responds to preflights.
    CorsBlock {
        /// Origins such as `https://shop.example.com`, `https://*.example.com` (one or more labels) or `*`; at least one.
        "allowOrigins" allow_origins: Vec<At<String>>,
        /// Whether requests with cookies or Authorization are allowed; never with the origin `*`.
        /// Default false.
        "allowCredentials" allow_credentials: Flag,
        /// Methods in the preflight response. Default: the requested method.
        "allowMethods" allow_methods: Vec<At<String>>,
        /// Headers in the preflight response. Default: the requested headers.
        "allowHeaders" allow_headers: Vec<At<String>>,
        /// Response headers that a page may read in addition to the safelisted ones. Default none.
        "exposeHeaders" expose_headers: Vec<At<String>>,
        /// How long a browser may cache the preflight response, in whole seconds. Default: the
        /// browser's default.
        "maxAge" max_age: Time,
    }
}

/// `cors` of a route (WHATWG Fetch, "CORS protocol").
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cors {
    /// The allowed origins; at least one.
    pub allow_origins: Vec<OriginMatch>,
    /// Methods in the preflight response; empty: the requested method.
    pub allow_methods: Vec<Method>,
    /// Headers in the preflight response; empty: the requested headers.
    pub allow_headers: Vec<HeaderName>,
    /// Response headers that a page may read in addition to the safelisted ones.
    pub expose_headers: Vec<HeaderName>,
    /// Whether requests with cookies or Authorization are allowed. Default false.
    pub allow_credentials: bool,
    /// How long the preflight response may be cached; `None` for the browser's default.
    pub max_age: Option<Duration>,
}

impl Cors {
    /// These origins with all defaults; the other fields are public.
    pub fn new(allow_origins: Vec<OriginMatch>) -> Self {
        Self {
            allow_origins,
            allow_methods: Vec::new(),
            allow_headers: Vec::new(),
            expose_headers: Vec::new(),
            allow_credentials: false,
            max_age: None,
        }
    }

    /// The status of a preflight response.
    pub const PREFLIGHT_STATUS: StatusCode = StatusCode::NO_CONTENT;
}

/// An origin: `https://shop.example.com`, lower case, without the default port of the scheme.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum OriginMatch {
    /// Every origin; never with credentials.
    Any,
    /// Exactly this one.
    Exact(Arc<str>),
    /// `https://*.example.com`: one or more labels in place of the star.
    Wildcard {
        /// `https://`.
        scheme: Arc<str>,
        /// `.example.com`, with the port when it has one.
        suffix: Arc<str>,
    },
}

/// Validates `cors` of a route; omitted keys come from `defaults`.
pub(crate) fn accept(
    route: Option<&At<CorsBlock>>,
    defaults: Option<&At<CorsBlock>>,
    report: &mut Report,
) -> Option<Cors> {
    let block = route.or(defaults)?;
    let blocks = || [route, defaults].into_iter().flatten();
    let origins = blocks().find_map(|block| block.value.allow_origins.as_ref());
    let credentials = blocks().find_map(|block| block.value.allow_credentials.as_ref());
    if origins.is_none() {
        let help = "add `allowOrigins: [https://shop.example.com]`";
        report.missing(
            &block.place,
            &["allowOrigins"],
            "`cors` allows no origin",
            help,
        );
    }
    let mut cors = Cors::new(origins.map_or_else(Vec::new, |written| allowed(written, report)));
    cors.allow_credentials = flag(&credentials.cloned(), false);
    if let Some(any) =
        origins.filter(|_| cors.allow_credentials && cors.allow_origins.contains(&OriginMatch::Any))
    {
        let message = "`*` is not allowed with credentials: any page could act as the user";
        report.error(
            &any.place,
            "open-credentials",
            message,
            "list the origins, or remove `allowCredentials`",
        );
    }
    cors.allow_methods = allow_methods(
        blocks().find_map(|block| block.value.allow_methods.as_ref()),
        report,
    );
    cors.allow_headers = header_names(
        blocks().find_map(|block| block.value.allow_headers.as_ref()),
        "remove the key: by default the requested headers are allowed",
        report,
    );
    cors.expose_headers = header_names(
        blocks().find_map(|block| block.value.expose_headers.as_ref()),
        "list the headers",
        report,
    );
    cors.max_age = whole_seconds(
        "maxAge",
        &blocks().find_map(|block| block.value.max_age.clone()),
        "write for example 10m, or 0s to disable caching",
        report,
    );
    Some(cors)
}

fn allowed(written: &At<Vec<At<String>>>, report: &mut Report) -> Vec<OriginMatch> {
    if written.value.is_empty() {
        let help = "add an origin, such as https://shop.example.com";
        report.error(
            &written.place,
            "empty-list",
            "the list of origins is empty",
            help,
        );
    }
    let mut origins: Vec<OriginMatch> = Vec::new();
    for item in &written.value {
        let origin = match origin(&item.value) {
            Ok(origin) => origin,
            Err(help) => {
                report.error(
                    &item.place,
                    "bad-origin",
                    format!("{:?} is not a valid origin", item.value),
                    help,
                );
                continue;
            }
        };
        if origins.contains(&origin) {
            let message = format!("the origin {:?} is listed twice", item.value);
            report.error(
                &item.place,
                "duplicate-reference",
                message,
                "remove one of them",
            );
        }
        origins.push(origin);
    }
    if let [_, _, ..] = origins[..]
        && origins.contains(&OriginMatch::Any)
    {
        let message = "`*` includes all origins, so the others have no effect";
        report.error(
            &written.place,
            "conflicting-keys",
            message,
            "keep `*`, or the others",
        );
    }
    origins
}

/// Parses an origin as a browser writes it (WHATWG URL, "origin"), or returns how to write it.
fn origin(text: &str) -> Result<OriginMatch, String> {
    const FORM: &str = "write scheme and host, with an optional port: https://shop.example.com";
    if text == "*" {
        return Ok(OriginMatch::Any);
    }
    let lower = text.to_ascii_lowercase();
    if lower == "null" {
        return Err("sandboxed pages of every site send null; use a real origin".to_owned());
    }
    let (scheme, rest) =
        lower
            .split_once("://")
            .ok_or_else(|| match lower.contains(['/', '*', ':']) {
                true => FORM.to_owned(),
                false => format!("write https://{lower}"),
            })?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.chars().all(plain) {
        return Err(FORM.to_owned());
    }
    let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let wildcard = authority.strip_prefix("*.");
    let (host, port) = split_port(wildcard.unwrap_or(authority)).map_err(|_| FORM.to_owned())?;
    if host.contains('*') {
        return Err(
            "`*.` is allowed once, at the start of the host: https://*.example.com".to_owned(),
        );
    }
    let found = address(host, port.unwrap_or(0)).map_err(|_| FORM.to_owned())?;
    if wildcard.is_some() && matches!(found, EndpointAddress::Socket(_)) {
        return Err("a wildcard cannot be used with an IP address".to_owned());
    }
    let own = match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    };
    let port = port
        .filter(|port| Some(*port) != own)
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    if !tail.is_empty() {
        let star = if wildcard.is_some() { "*." } else { "" };
        return Err(format!("remove the path: {scheme}://{star}{host}{port}"));
    }
    Ok(match wildcard {
        Some(_) => OriginMatch::Wildcard {
            scheme: format!("{scheme}://").into(),
            suffix: format!(".{host}{port}").into(),
        },
        None => OriginMatch::Exact(format!("{scheme}://{host}{port}").into()),
    })
}

fn allow_methods(written: Option<&At<Vec<At<String>>>>, report: &mut Report) -> Vec<Method> {
    let star = written.and_then(|written| written.value.iter().find(|item| item.value == "*"));
    if let Some(star) = star {
        let help = "remove the key: by default the requested method is allowed";
        report.error(&star.place, "bad-method", "`*` is not a valid method", help);
        return Vec::new();
    }
    method::list(written, report)
}

fn header_names(
    written: Option<&At<Vec<At<String>>>>,
    star_help: &str,
    report: &mut Report,
) -> Vec<HeaderName> {
    let Some(written) = written else {
        return Vec::new();
    };
    if written.value.is_empty() {
        report.error(
            &written.place,
            "empty-list",
            "the list is empty",
            "add a header, or remove the key",
        );
    }
    let mut names = Vec::new();
    for item in name::each_once(&written.value, report) {
        if item.value == "*" {
            report.error(
                &item.place,
                "bad-header-name",
                "`*` is not a valid header",
                star_help,
            );
        } else if let Some(name) = headers::parse_name(&item.value, &item.place, report) {
            names.push(name);
        }
    }
    names
}

/// Renders the accepted value.
pub(crate) fn show(cors: &Cors) -> Object {
    let origins: Vec<Value> = cors.allow_origins.iter().map(show_origin).collect();
    Object::new()
        .with("allowOrigins", origins)
        .with("allowCredentials", cors.allow_credentials)
        .maybe(
            "allowMethods",
            list(&cors.allow_methods, |method| method.as_str().into()),
        )
        .maybe(
            "allowHeaders",
            list(&cors.allow_headers, |name| name.as_str().into()),
        )
        .maybe(
            "exposeHeaders",
            list(&cors.expose_headers, |name| name.as_str().into()),
        )
        .maybe("maxAge", cors.max_age.map(time))
}

fn show_origin(origin: &OriginMatch) -> Value {
    match origin {
        OriginMatch::Any => "*".into(),
        OriginMatch::Exact(origin) => text(origin),
        OriginMatch::Wildcard { scheme, suffix } => text(&format!("{scheme}*{suffix}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_read_as_browsers_write_them() {
        let exact = |text: &str| Ok(OriginMatch::Exact(text.into()));
        let wildcard = |scheme: &str, suffix: &str| {
            Ok(OriginMatch::Wildcard {
                scheme: scheme.into(),
                suffix: suffix.into(),
            })
        };
        for (text, expected) in [
            ("*", Ok(OriginMatch::Any)),
            (
                "https://shop.example.com",
                exact("https://shop.example.com"),
            ),
            (
                "HTTPS://Shop.Example.com:443",
                exact("https://shop.example.com"),
            ),
            ("http://localhost:3000", exact("http://localhost:3000")),
            ("http://127.0.0.1:80", exact("http://127.0.0.1")),
            ("https://[::1]:8443", exact("https://[::1]:8443")),
            ("capacitor://localhost", exact("capacitor://localhost")),
            (
                "https://*.example.com",
                wildcard("https://", ".example.com"),
            ),
            (
                "https://*.example.com:8443",
                wildcard("https://", ".example.com:8443"),
            ),
        ] {
            assert_eq!(origin(text), expected, "{text}");
        }
        for (text, help) in [
            ("shop.example.com", "write https://shop.example.com"),
            (
                "https://shop.example.com/",
                "remove the path: https://shop.example.com",
            ),
            (
                "https://*.a.example/x",
                "remove the path: https://*.a.example",
            ),
            (
                "https://*",
                "`*.` is allowed once, at the start of the host: https://*.example.com",
            ),
            (
                "https://a.*.example.com",
                "`*.` is allowed once, at the start of the host: https://*.example.com",
            ),
            (
                "https://*.10.0.0.1",
                "a wildcard cannot be used with an IP address",
            ),
            (
                "null",
                "sandboxed pages of every site send null; use a real origin",
            ),
        ] {
            assert_eq!(origin(text), Err(help.to_owned()), "{text}");
        }
        for text in [
            "",
            "https://",
            "https://user@a.example",
            "https://a b",
            "://a",
            "https://a:0",
            "a:80",
        ] {
            assert!(origin(text).is_err(), "{text}");
        }
    }
}
