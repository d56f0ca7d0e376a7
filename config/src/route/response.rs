//! `directResponse` of a route: a fixed response in place of an upstream.

use std::sync::Arc;

use http::StatusCode;

use crate::block::{
    Int, block,
    field::status_code,
    problem::Report,
    show::{Object, text},
};

block! {
    /// A fixed response.
    DirectResponseBlock {
        /// Status code, 200 to 599.
        "status" status: Int<200, 599>,
        /// Text of the body. Default empty.
        "body" body: String,
    }
    required ["status"]
}

/// `directResponse`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DirectResponse {
    /// 200-599.
    pub status: StatusCode,
    /// Sent as `text/plain; charset=utf-8`; may be empty.
    pub body: Arc<str>,
}

impl DirectResponse {
    /// A fixed response.
    pub fn new(status: StatusCode, body: Arc<str>) -> Self {
        Self { status, body }
    }
}

/// Validates the block.
pub(crate) fn accept(block: &DirectResponseBlock, report: &mut Report) -> DirectResponse {
    let status = block.status.as_ref().map_or(200, |status| status.value.0);
    if let Some(body) = block
        .body
        .as_ref()
        .filter(|body| !body.value.is_empty() && [204, 205, 304].contains(&status))
    {
        let message = format!("a response with status {status} has no body");
        report.error(
            &body.place,
            "conflicting-keys",
            message,
            "remove `body` or change `status`",
        );
    }
    DirectResponse {
        status: status_code(status),
        body: block.body.as_ref().map_or("", |body| &body.value).into(),
    }
}

/// Renders the accepted value.
pub(crate) fn show(response: &DirectResponse) -> Object {
    Object::new()
        .with("status", response.status.as_u16())
        .with("body", text(&response.body))
}
