//! Host names.

use std::sync::Arc;

use serde_json::Value;

use crate::block::{
    At,
    problem::{Place, Report},
    show::text,
};

/// A host name without port and trailing dot, lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Hostname {
    /// `api.example.com`.
    Exact(Arc<str>),
    /// `*.example.com`: one or more labels in front; the suffix is kept with its dot, `.example.com`.
    Wildcard(Arc<str>),
}

/// Parses an item of `hostnames`. A trailing dot means the same name (RFC 1034 section 3.1), and is
/// removed.
pub(crate) fn pattern(text: &At<String>, report: &mut Report) -> Option<Hostname> {
    let lower = text.value.to_ascii_lowercase();
    let (name, wildcard) = match lower.strip_prefix("*.") {
        Some(suffix) => (without_dot(suffix), true),
        None => (without_dot(&lower), false),
    };
    if !checked(name, &text.value, &text.place, report) {
        return None;
    }
    Some(if wildcard {
        Hostname::Wildcard(format!(".{name}").into())
    } else {
        Hostname::Exact(name.into())
    })
}

/// Parses one plain host name, to lower case and without a trailing dot.
pub(crate) fn exact(text: &At<String>, report: &mut Report) -> Option<String> {
    let lower = text.value.to_ascii_lowercase();
    let name = without_dot(&lower);
    checked(name, &text.value, &text.place, report).then(|| name.to_owned())
}

fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// Whether a text is a DNS name; `_` is accepted because real names use it.
pub(crate) fn is_dns_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    name.len() <= 253 && name.split('.').all(label)
}

fn checked(name: &str, written: &str, place: &Place, report: &mut Report) -> bool {
    let good = is_dns_name(name);
    if !good {
        report.error(
            place,
            "bad-hostname",
            format!("{written:?} is not a valid host name"),
            help(name, written),
        );
    }
    good
}

fn help(name: &str, written: &str) -> String {
    if written == "*" {
        return "remove `hostnames` to match every host".to_owned();
    }
    if let Some((_, rest)) = name.split_once("://") {
        return format!(
            "write the host only: {}",
            rest.split(['/', ':']).next().unwrap_or_default()
        );
    }
    if name.contains('*') {
        return "`*.` is allowed once, at the start: *.example.com".to_owned();
    }
    if !name.is_ascii() {
        return "write its ASCII form, which begins with xn--".to_owned();
    }
    if name.ends_with('.') && is_dns_name(name.trim_end_matches('.')) {
        return format!("remove the trailing dots: {}", name.trim_end_matches('.'));
    }
    match name.split_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => {
            format!("remove the port, which is ignored when hosts are compared: {host}")
        }
        _ => "write a name such as api.example.com or *.example.com".to_owned(),
    }
}

/// Renders it.
pub(crate) fn show(hostname: &Hostname) -> Value {
    match hostname {
        Hostname::Exact(name) => text(name),
        Hostname::Wildcard(suffix) => text(&format!("*{suffix}")),
    }
}
