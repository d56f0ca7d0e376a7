//! Telemetry, workers, status and admin, reload and lifecycle.

use serde_json::json;

use crate::{
    block::{
        Either, Flag, Read, Reader, Share, Time, Word, block, inline_schema, json,
        node::{Node, Value},
        problem::Place,
    },
    model::AccessLogFormat,
    part::words::Off,
    schema::words::Output,
};

block! {
    /// Access log.
    TelemetryBlock {
        /// The access log, or `off`.
        "accessLog" access_log: Either<Word<Off>, AccessLogBlock>,
    }
    later ["metrics", "tracing"]
}

block! {
    /// The access log.
    AccessLogBlock {
        /// Where it goes. Only value: stdout.
        "output" output: Word<Output>,
        /// One line's form: `json`, `ecs` (Elastic Common Schema) or `text`. Default json.
        "format" format: Word<AccessLogFormat>,
        /// How many of 100 requests are logged, 0 to 100; 0 switches it off. Default 100.
        "samplePercent" sample_percent: Share,
    }
    later ["redactHeaders"]
}

block! {
    /// Where a server of our own listens.
    ServerBlock {
        /// Address and port, such as `[::]:9902`; port 0 is any free port.
        "address" address: String,
    }
    required ["address"]
}

block! {
    /// When the file is read again.
    ReloadBlock {
        /// Whether the file's directory is watched. Default true.
        "watch" watch: Flag,
        /// Fixed window from the first event to the reload. Default 500ms.
        "debounce" debounce: Time,
        /// How often a content hash is compared; 0s switches it off. Default 10s.
        "poll" poll: Time,
    }
    later ["probation"]
}

block! {
    /// How long draining and shutting down may take.
    LifecycleBlock {
        /// Between the start of a drain and the first connection that is asked to end. Default 5s.
        "shutdownDelay" shutdown_delay: Time,
        /// For requests in flight after that, and for peers of WebSockets to answer the close frame. Default 20s.
        "drainTimeout" drain_timeout: Time,
        /// For the access log to reach stdout at exit. Default 1s.
        "logFlushTimeout" log_flush_timeout: Time,
    }
}

/// `auto`, or a number of worker threads.
#[derive(Debug, Clone, Copy)]
pub(crate) enum WorkersValue {
    Auto,
    Fixed(u16),
}

/// `off`, or a server.
#[derive(Debug, Clone)]
pub(crate) enum ServerOrOff {
    Off,
    On(ServerBlock),
}

impl Read for WorkersValue {
    fn read(node: &Node, place: &Place, reader: &mut Reader<'_>) -> Option<Self> {
        const EXPECTED: &str = "auto or a number from 1 to 64";
        if matches!(&node.value, Value::Text(text) if text == "auto") {
            return Some(Self::Auto);
        }
        let text = reader.typed(node, place, EXPECTED, "write auto, or a number without quotes")?;
        let number = text.trim().parse().ok().filter(|number| (1..=64).contains(number));
        let value = if text.trim() == "auto" { Some(Self::Auto) } else { number.map(Self::Fixed) };
        if value.is_none() {
            let message = format!("{} is not {EXPECTED}", text.trim());
            reader.invalid(place, "out-of-range", message, format!("write {EXPECTED}"));
        }
        value
    }
}

impl Read for ServerOrOff {
    fn read(node: &Node, place: &Place, reader: &mut Reader<'_>) -> Option<Self> {
        const HELP: &str = "write { address: \"IP:PORT\" }, or off";
        match &node.value {
            Value::Map(_) => ServerBlock::read(node, place, reader).map(Self::On),
            Value::Text(text) => {
                let (text, _) = reader.substituted(text, place)?;
                if text == "off" {
                    return Some(Self::Off);
                }
                reader.mismatch(node, place, "a map with an address, or off", HELP);
                None
            }
            _ => {
                reader.mismatch(node, place, "a map with an address, or off", HELP);
                None
            }
        }
    }
}

inline_schema!([] WorkersValue, |_generator| {
    json::or_variable(json!({ "anyOf": [{ "const": "auto" }, { "type": "integer", "minimum": 1, "maximum": 64 }] }))
});
inline_schema!([] ServerOrOff, |generator| {
    json::object(json!({
        "anyOf": [generator.subschema_for::<ServerBlock>(), json::or_variable(json!({ "const": "off" }))],
    }))
});
