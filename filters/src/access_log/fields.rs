//! The fields of a line, once for all formats: name, name in the Elastic Common Schema, value, and
//! meaning.
//!
//! The order is that of the JSON format. `docs/access-log.md` is generated from this list.

use std::{
    net::IpAddr,
    time::{Duration, SystemTime},
};

use super::{MAX_HOST, MAX_METHOD, MAX_NAME, MAX_PATH, MAX_REQUEST_ID, Record};

/// One field.
pub(super) struct Field {
    #[cfg_attr(
        not(test),
        allow(dead_code, reason = "for docs/access-log.md, which a test writes")
    )]
    pub(super) name: &'static str,
    /// The text before its value in JSON, after another field.
    pub(super) json: &'static str,
    /// The same in text.
    pub(super) text: &'static str,
    /// Its name in the Elastic Common Schema.
    pub(super) ecs: &'static str,
    pub(super) shown: Shown,
    #[cfg_attr(
        not(test),
        allow(dead_code, reason = "for docs/access-log.md, which a test writes")
    )]
    pub(super) meaning: &'static str,
}

/// Where and when a field is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// Always; in text without its name, before the others.
    First,
    /// Always; in text with its name.
    Named,
    /// Only if it has a value.
    IfAny,
}

/// The value of a field.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    /// Text from outside, or none, and the most bytes of it that are written.
    Text(Option<&'a str>, usize),
    /// A constant of the proxy.
    Word(&'static str),
    Number(u64),
    Took(Duration),
    Time(SystemTime),
    Address(IpAddr),
}

/// How a format writes each field.
pub(super) trait Form<'a> {
    fn field(&mut self, field: &'static Field, value: Value<'a>);
}

macro_rules! field {
    ($name:literal $ecs:literal $shown:ident $meaning:literal) => {
        Field {
            name: $name,
            json: concat!(",\"", $name, "\":"),
            text: concat!(" ", $name, "="),
            ecs: $ecs,
            shown: Shown::$shown,
            meaning: $meaning,
        }
    };
}

macro_rules! fields {
    ($record:ident: $($name:literal $ecs:literal $shown:ident $value:expr, $meaning:literal;)*) => {
        /// Every field, in order.
        pub(super) const ALL: &[Field] = &[$(field!($name $ecs $shown $meaning),)*];

        /// Passes each field of a line to the format, in order. Everything is inlined, so a line
        /// costs as much as hand-written code.
        #[inline(always)]
        pub(super) fn each<'a>($record: &'a Record<'_>, form: &mut impl Form<'a>) {
            $(form.field(const { &field!($name $ecs $shown $meaning) }, $value);)*
        }
    };
}

fields! { record:
    "time" "@timestamp" First Value::Time(record.time),
        "When the request head was complete, in UTC.";
    "requestId" "http.request.id" Named Value::Text(Some(record.request_id), MAX_REQUEST_ID),
        "The id that the app gets as `x-request-id`, and the client in responses of the proxy itself.";
    "listener" "outrigger.listener" Named Value::Text(Some(record.listener), MAX_NAME),
        "The name of the listener.";
    "route" "outrigger.route" Named Value::Text(record.route, MAX_NAME),
        "The name of the route; null if no route was chosen.";
    "clientAddress" "client.address" Named Value::Address(record.client_address),
        "The address of the client, after `clientAddress.trustedCIDRs`.";
    "method" "http.request.method" First Value::Text(record.method, MAX_METHOD),
        "As received. Null for a head that could not be parsed.";
    "host" "url.domain" First Value::Text(record.host, MAX_HOST),
        "In lower case, without a trailing dot and without the default port of the scheme. Null for a head that could not be parsed.";
    "path" "url.path" First Value::Text(record.path_without_query(), MAX_PATH),
        "As received, without the query string. Null for a head that could not be parsed.";
    "protocol" "http.version" First Value::Word(record.protocol()),
        "The HTTP version that the client speaks.";
    "status" "http.response.status_code" First Value::Number(record.status.into()),
        "The status sent. 499: the client went away before there was one. 0: there was no response but RST_STREAM or GOAWAY (HTTP/2), or the connection was closed.";
    "flag" "outrigger.flag" Named Value::Text(Some(record.flag), MAX_NAME),
        "What kind of failure it was, by [reasons.md](reasons.md); empty for a response of the upstream.";
    "reason" "event.reason" Named Value::Text(Some(record.reason), MAX_NAME),
        "Why exactly, by [reasons.md](reasons.md); empty for a response of the upstream.";
    "detail" "outrigger.detail" IfAny Value::Text(record.detail, MAX_NAME),
        "The numbers behind the flags `UH` and `UO`, such as `3 endpoints: 2 ejected, 1 unhealthy`; with `UPE` what was wrong with the response, such as `the response header content-length is present twice` (names, never values).";
    "wouldDeny" "outrigger.would_deny" IfAny Value::Text(Some(record.would_deny), MAX_NAME),
        "The reason that a rule in `mode: report` would have rejected the request for.";
    "rule" "outrigger.rule" IfAny Value::Text(record.rule, MAX_NAME),
        "The rule of `authorize` or the rate limit that rejected the request, or would have.";
    "upstream" "outrigger.upstream" Named Value::Text(record.upstream, MAX_NAME),
        "The name of the upstream that the request was sent to; null if none was chosen.";
    "endpoint" "outrigger.endpoint" Named Value::Text(record.endpoint, MAX_NAME),
        "The endpoint of the last attempt; null if there was none.";
    "attempts" "outrigger.attempts" Named Value::Number(record.attempts.into()),
        "How many times the request was sent.";
    "bytesIn" "http.request.body.bytes" Named Value::Number(record.bytes_in),
        "Bytes of the request body.";
    "bytesOut" "http.response.body.bytes" Named Value::Number(record.bytes_out),
        "Bytes of the response body.";
    "durationMs" "event.duration" First Value::Took(record.duration),
        "From the request head to the last byte of the response, in milliseconds; in ECS in nanoseconds.";
}
