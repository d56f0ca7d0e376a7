//! Elastic Common Schema 8: its own names where it has one, `outrigger.*` where it has not.
//!
//! `event.duration` is in nanoseconds, as the schema asks. What was never known is left out, since the schema types
//! its fields and `null` says nothing there.

use super::{
    MAX_HOST, MAX_METHOD, MAX_NAME, MAX_PATH, MAX_REQUEST_ID, Record, escape::push_quoted,
    push_address, push_number, time::push_rfc3339,
};

/// Writes one line of ECS JSON behind `out`.
pub fn write_ecs(record: &Record<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"@timestamp":""#);
    push_rfc3339(out, record.time);
    out.extend_from_slice(br#"","ecs":{"version":"8.11.0"},"event":{"dataset":"outrigger.access","kind":"event","category":["web"],"outcome":""#);
    out.extend_from_slice(outcome(record.status).as_bytes());
    out.extend_from_slice(br#"","duration":"#);
    push_number(
        out,
        u64::try_from(record.duration.as_nanos()).unwrap_or(u64::MAX),
    );
    push_field(
        out,
        br#","reason":"#,
        Some(record.reason).filter(|reason| !reason.is_empty()),
        MAX_NAME,
    );
    out.extend_from_slice(br#"},"http":{"version":""#);
    out.extend_from_slice(
        record
            .protocol()
            .trim_start_matches("HTTP")
            .trim_start_matches('/')
            .as_bytes(),
    );
    out.extend_from_slice(br#"","request":{"id":"#);
    push_quoted(out, record.request_id, MAX_REQUEST_ID);
    push_field(out, br#","method":"#, record.method, MAX_METHOD);
    out.extend_from_slice(br#","body":{"bytes":"#);
    push_number(out, record.bytes_in);
    out.extend_from_slice(br#"}},"response":{"status_code":"#);
    push_number(out, record.status);
    out.extend_from_slice(br#","body":{"bytes":"#);
    push_number(out, record.bytes_out);
    out.extend_from_slice(br#"}}},"client":{"address":""#);
    push_address(out, record.client_address);
    out.extend_from_slice(br#"","ip":""#);
    push_address(out, record.client_address);
    out.extend_from_slice(br#""},"url":{"#);
    push_field(out, br#""path":"#, record.path_without_query(), MAX_PATH);
    let comma: &[u8] = if record.path.is_some() { b"," } else { b"" };
    if let Some(host) = record.host {
        out.extend_from_slice(comma);
        push_field(out, br#""domain":"#, Some(without_port(host)), MAX_HOST);
    }
    out.extend_from_slice(br#"},"outrigger":{"listener":"#);
    push_quoted(out, record.listener, MAX_NAME);
    push_field(out, br#","route":"#, record.route, MAX_NAME);
    push_field(
        out,
        br#","flag":"#,
        Some(record.flag).filter(|flag| !flag.is_empty()),
        MAX_NAME,
    );
    push_field(out, br#","detail":"#, record.detail, MAX_NAME);
    let would_deny = Some(record.would_deny).filter(|reason| !reason.is_empty());
    push_field(out, br#","would_deny":"#, would_deny, MAX_NAME);
    push_field(out, br#","rule":"#, record.rule, MAX_NAME);
    push_field(out, br#","upstream":"#, record.upstream, MAX_NAME);
    push_field(out, br#","endpoint":"#, record.endpoint, MAX_NAME);
    out.extend_from_slice(br#","attempts":"#);
    push_number(out, record.attempts);
    out.extend_from_slice(b"}}\n");
}

fn push_field(out: &mut Vec<u8>, name: &[u8], text: Option<&str>, max: usize) {
    if let Some(text) = text {
        out.extend_from_slice(name);
        push_quoted(out, text, max);
    }
}

fn outcome(status: u16) -> &'static str {
    match status {
        1..400 => "success",
        _ => "failure",
    }
}

/// The schema wants the host alone; text that is no `host:port` stays whole.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.is_empty() =>
        {
            name
        }
        _ => host,
    }
}
