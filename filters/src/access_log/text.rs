//! One line for people: the usual first, then `name=value`, everything from a request quoted.

use super::{
    MAX_HOST, MAX_METHOD, MAX_NAME, MAX_PATH, MAX_REQUEST_ID, Record, escape::push_quoted,
    push_address, push_millis, push_number, time::push_rfc3339,
};

/// Writes one line of text behind `out`. What was never known is `-`.
pub fn write_text(record: &Record<'_>, out: &mut Vec<u8>) {
    push_rfc3339(out, record.time);
    out.push(b' ');
    push_number(out, record.status);
    out.push(b' ');
    push_or_dash(out, record.method, MAX_METHOD);
    out.push(b' ');
    push_or_dash(out, record.host, MAX_HOST);
    out.push(b' ');
    push_or_dash(out, record.path_without_query(), MAX_PATH);
    out.push(b' ');
    out.extend_from_slice(record.protocol().as_bytes());
    out.push(b' ');
    push_millis(out, record.duration);
    out.extend_from_slice(b"ms in=");
    push_number(out, record.bytes_in);
    out.extend_from_slice(b" out=");
    push_number(out, record.bytes_out);
    out.extend_from_slice(b" client=");
    push_address(out, record.client_address);
    for (name, text, max) in [
        (" listener=", Some(record.listener), MAX_NAME),
        (" route=", record.route, MAX_NAME),
        (" upstream=", record.upstream, MAX_NAME),
        (" endpoint=", record.endpoint, MAX_NAME),
    ] {
        out.extend_from_slice(name.as_bytes());
        push_or_dash(out, text, max);
    }
    out.extend_from_slice(b" attempts=");
    push_number(out, record.attempts);
    for (name, text) in [
        (" flag=", record.flag),
        (" reason=", record.reason),
        (" detail=", record.detail.unwrap_or_default()),
        (" wouldDeny=", record.would_deny),
        (" rule=", record.rule.unwrap_or_default()),
    ] {
        if !text.is_empty() {
            out.extend_from_slice(name.as_bytes());
            push_word(out, text, MAX_NAME);
        }
    }
    out.extend_from_slice(b" id=");
    push_word(out, record.request_id, MAX_REQUEST_ID);
    out.push(b'\n');
}

fn push_or_dash(out: &mut Vec<u8>, text: Option<&str>, max: usize) {
    match text {
        Some(text) => push_word(out, text, max),
        None => out.push(b'-'),
    }
}

/// Bare when it can be nothing but one word, else quoted and escaped.
fn push_word(out: &mut Vec<u8>, text: &str, max: usize) {
    let bare = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.' | b'_' | b'/' | b':' | b'[' | b']')
    };
    if text.len() <= max && !text.is_empty() && text != "-" && text.bytes().all(bare) {
        out.extend_from_slice(text.as_bytes());
    } else {
        push_quoted(out, text, max);
    }
}
