//! One flat JSON object, the default form.

use super::{
    MAX_HOST, MAX_METHOD, MAX_NAME, MAX_PATH, MAX_REQUEST_ID, Record, escape::push_quoted,
    push_address, push_millis, push_number, time::push_rfc3339,
};

/// Writes one line of JSON behind `out`. What was never known is `null`; no flag and no reason are empty; `detail`, `wouldDeny` and
/// `rule` stand there only when there is something to tell.
pub fn write_json(record: &Record<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"time":""#);
    push_rfc3339(out, record.time);
    out.extend_from_slice(br#"","requestId":"#);
    push_quoted(out, record.request_id, MAX_REQUEST_ID);
    out.extend_from_slice(br#","listener":"#);
    push_quoted(out, record.listener, MAX_NAME);
    out.extend_from_slice(br#","route":"#);
    push_optional(out, record.route, MAX_NAME);
    out.extend_from_slice(br#","clientAddress":""#);
    push_address(out, record.client_address);
    out.extend_from_slice(br#"","method":"#);
    push_optional(out, record.method, MAX_METHOD);
    out.extend_from_slice(br#","host":"#);
    push_optional(out, record.host, MAX_HOST);
    out.extend_from_slice(br#","path":"#);
    push_optional(out, record.path_without_query(), MAX_PATH);
    out.extend_from_slice(br#","protocol":""#);
    out.extend_from_slice(record.protocol().as_bytes());
    out.extend_from_slice(br#"","status":"#);
    push_number(out, record.status);
    out.extend_from_slice(br#","flag":"#);
    push_quoted(out, record.flag, MAX_NAME);
    out.extend_from_slice(br#","reason":"#);
    push_quoted(out, record.reason, MAX_NAME);
    if let Some(detail) = record.detail {
        out.extend_from_slice(br#","detail":"#);
        push_quoted(out, detail, MAX_NAME);
    }
    if !record.would_deny.is_empty() {
        out.extend_from_slice(br#","wouldDeny":"#);
        push_quoted(out, record.would_deny, MAX_NAME);
    }
    if let Some(rule) = record.rule {
        out.extend_from_slice(br#","rule":"#);
        push_quoted(out, rule, MAX_NAME);
    }
    out.extend_from_slice(br#","upstream":"#);
    push_optional(out, record.upstream, MAX_NAME);
    out.extend_from_slice(br#","endpoint":"#);
    push_optional(out, record.endpoint, MAX_NAME);
    out.extend_from_slice(br#","attempts":"#);
    push_number(out, record.attempts);
    out.extend_from_slice(br#","bytesIn":"#);
    push_number(out, record.bytes_in);
    out.extend_from_slice(br#","bytesOut":"#);
    push_number(out, record.bytes_out);
    out.extend_from_slice(br#","durationMs":"#);
    push_millis(out, record.duration);
    out.extend_from_slice(b"}\n");
}

fn push_optional(out: &mut Vec<u8>, text: Option<&str>, max: usize) {
    match text {
        Some(text) => push_quoted(out, text, max),
        None => out.extend_from_slice(b"null"),
    }
}
