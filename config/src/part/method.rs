//! Methods.

use http::Method;

use crate::block::{At, name, problem::Report};

/// Parses a list of methods that may be absent but not empty.
pub(crate) fn list(written: Option<&At<Vec<At<String>>>>, report: &mut Report) -> Vec<Method> {
    let Some(written) = written else {
        return Vec::new();
    };
    if written.value.is_empty() {
        let help = "add a method, or remove the key for all methods";
        report.error(
            &written.place,
            "empty-list",
            "the list of methods is empty",
            help,
        );
    }
    let methods = name::each_once(&written.value, report);
    methods
        .into_iter()
        .filter_map(|method| named(method, report))
        .collect()
}

/// Parses one method.
pub(crate) fn named(text: &At<String>, report: &mut Report) -> Option<Method> {
    let method = Method::from_bytes(text.value.as_bytes()).ok();
    let upper = text.value.to_ascii_uppercase();
    let known = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
    ];
    if method.is_none() || (text.value != upper && known.contains(&upper.as_str())) {
        let message = format!("{:?} is not a valid method", text.value);
        let help = if known.contains(&upper.as_str()) {
            format!("write {upper}")
        } else {
            "write for example GET".to_owned()
        };
        report.error(&text.place, "bad-method", message, help);
    }
    method
}
