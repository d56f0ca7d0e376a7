//! `workers`: number of threads that serve requests.

use serde_json::{Value as Json, json};

use crate::block::{
    At, Read, Reader, inline_schema, json,
    node::{Node, Value},
    problem::Place,
};

/// `auto`, or a number of worker threads.
#[derive(Debug, Clone, Copy)]
pub(crate) enum WorkersValue {
    Auto,
    Fixed(u16),
}

impl Read for WorkersValue {
    fn read(node: &Node, place: &Place, reader: &mut Reader<'_>) -> Option<Self> {
        const EXPECTED: &str = "auto or a number from 1 to 64";
        if matches!(&node.value, Value::Text(text) if text == "auto") {
            return Some(Self::Auto);
        }
        let text = reader.typed(
            node,
            place,
            EXPECTED,
            "write auto, or a number without quotes",
        )?;
        let number = text
            .trim()
            .parse()
            .ok()
            .filter(|number| (1..=64).contains(number));
        let value = if text.trim() == "auto" {
            Some(Self::Auto)
        } else {
            number.map(Self::Fixed)
        };
        if value.is_none() {
            let message = format!("{} is not {EXPECTED}", text.trim());
            reader.invalid(place, "out-of-range", message, format!("write {EXPECTED}"));
        }
        value
    }
}

inline_schema!([] WorkersValue, |_generator| {
    json::or_variable(json!({ "anyOf": [{ "const": "auto" }, { "type": "integer", "minimum": 1, "maximum": 64 }] }))
});

/// Number of threads that serve requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workers {
    /// The CPUs this process may use (affinity and cgroup quota), at most 2.
    Auto,
    /// Exactly this many, 1-64.
    Fixed(u16),
}

/// Validates the block.
pub(crate) fn accept(written: Option<&At<WorkersValue>>) -> Workers {
    match written.map(|workers| workers.value) {
        Some(WorkersValue::Fixed(number)) => Workers::Fixed(number),
        Some(WorkersValue::Auto) | None => Workers::Auto,
    }
}

/// Renders the accepted value.
pub(crate) fn show(workers: Workers) -> Json {
    match workers {
        Workers::Auto => "auto".into(),
        Workers::Fixed(number) => number.into(),
    }
}
