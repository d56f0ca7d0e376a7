//! The hash key of a selection.

use std::sync::Arc;

use http::HeaderName;
use serde_json::Value;

use crate::{
    block::{
        Either, Word, block,
        problem::Report,
        show::{Object, text},
    },
    part::{
        headers::{self, is_token},
        words::ClientIp,
    },
};

block! {
    /// The hash key.
    HashOnBlock {
        /// The values of this request header.
        "header" header: String,
        /// The value of this cookie.
        "cookie" cookie: String,
    }
    one_of ["header", "cookie"]
}

/// The hash key of `consistentHash`. A request without it gets any endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashOn {
    /// The values of a header.
    Header(HeaderName),
    /// The value of a cookie.
    Cookie(Arc<str>),
    /// The client address.
    ClientIp,
}

/// Validates a hash key. `None` when a problem was reported.
pub(crate) fn accept(
    written: &Either<Word<ClientIp>, HashOnBlock>,
    report: &mut Report,
) -> Option<HashOn> {
    let block = match written {
        Either::Short(_) => return Some(HashOn::ClientIp),
        Either::Map(block) => block,
    };
    if let Some(cookie) = &block.cookie {
        if !is_token(&cookie.value) {
            let message = format!("{:?} is not a valid cookie name", cookie.value);
            report.error(
                &cookie.place,
                "bad-value",
                message,
                "use letters, digits, `-` and `_`",
            );
        }
        return Some(HashOn::Cookie(cookie.value.as_str().into()));
    }
    let written = block.header.as_ref()?;
    let name = headers::parse_name(&written.value, &written.place, report)?;
    let help = match name.as_str() {
        "cookie" => Some("write `cookie: NAME` with the name of one cookie"),
        "host" => Some("use another header"),
        _ => headers::why_not_for_the_app(&name),
    };
    if let Some(help) = help {
        let message = format!("`{name}` cannot be hashed");
        report.error(&written.place, "forbidden-header", message, help);
    }
    Some(HashOn::Header(name))
}

/// Shows it.
pub(crate) fn show(on: &HashOn) -> Value {
    match on {
        HashOn::Header(name) => Object::new().with("header", name.as_str()).into(),
        HashOn::Cookie(name) => Object::new().with("cookie", text(name)).into(),
        HashOn::ClientIp => "clientIP".into(),
    }
}
