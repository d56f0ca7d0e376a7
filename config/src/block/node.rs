//! A YAML document as a tree in which every key and value has its source position.
//!
//! serde stops at the first error, and loses spans in untagged and flattened types. So the whole
//! document is parsed into this tree first; the schema types read themselves from it and can report
//! all problems at once. Duplicate keys stay in the tree, so that a message can name both
//! positions.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{
    Error, Spanned,
    options::{DuplicateKeyPolicy, MergeKeyPolicy},
};

use crate::block::{Span, source_text::char_start};

/// Maximum nesting; the deepest key of the vocabulary is at level 9.
const MAX_DEPTH: usize = 64;
/// Maximum nodes in a document: ten thousand routes with 25 values each. A document of the maximum
/// size with more nodes is not a realistic configuration, and each node costs a few hundred bytes
/// while it is parsed.
const MAX_NODES: usize = 250_000;
/// Maximum nodes that aliases may add.
const MAX_ALIASED_NODES: usize = 50_000;

/// A value and its position.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) value: Value,
}

/// The value as written.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Integer(i128),
    Float,
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key and its position.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) span: Span,
    pub(crate) name: String,
}

impl Node {
    /// The kind of value, for "expected …, found …".
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Integer(_) | Value::Float => "a number",
            Value::Text(_) => "a string",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

/// Parses a document.
///
/// # Errors
/// A syntax error, or an exceeded limit.
pub(crate) fn parse(text: &str) -> Result<Node, Box<Error>> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            max_nodes: MAX_NODES,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_ALIASED_NODES,
        },
        emit_comments: false,
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::Merge,
        // `off` is a keyword of the vocabulary, and `no` may be a user's name.
        strict_booleans: true,
        with_snippet: false,
    };
    let raw: Spanned<Raw> = serde_saphyr::from_str_with_options(text, options).map_err(Box::new)?;
    Ok(place(raw, text))
}

/// The tree as the parser returns it, before its locations are converted to byte ranges.
enum Raw {
    Scalar(Value),
    List(Vec<Spanned<Self>>),
    Map(Vec<(Spanned<String>, Spanned<Self>)>),
}

fn place(raw: Spanned<Raw>, text: &str) -> Node {
    // For an alias the position of the anchored text is used, because that is the text to change.
    let span = byte_span(raw.defined, text);
    let value = match raw.value {
        Raw::Scalar(value) => value,
        Raw::List(items) => Value::List(items.into_iter().map(|item| place(item, text)).collect()),
        Raw::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(key, value)| {
                    (
                        Key {
                            span: byte_span(key.defined, text),
                            name: key.value,
                        },
                        place(value, text),
                    )
                })
                .collect(),
        ),
    };
    Node { span, value }
}

pub(crate) fn byte_span(location: serde_saphyr::Location, text: &str) -> Span {
    let span = location.span();
    let start = span
        .byte_offset()
        .and_then(|start| usize::try_from(start).ok())
        .unwrap_or_default();
    let length = span
        .byte_len()
        .and_then(|length| usize::try_from(length).ok())
        .unwrap_or_default();
    let start = char_start(text, start);
    let end = char_start(text, start.saturating_add(length));
    // A block ends where the next one begins; only the text is marked, not trailing space.
    let end = start + text[start..end].trim_end().len();
    Span { start, end }
}

struct RawVisitor;

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Integer(value.into())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Integer(value.into())))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Integer(value)))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Float))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Text(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dump(node: &Node, text: &str, out: &mut Vec<String>) {
        match &node.value {
            Value::Map(entries) => {
                for (key, value) in entries {
                    out.push(format!("key {}", &text[key.span.start..key.span.end]));
                    dump(value, text, out);
                }
            }
            Value::List(items) => items.iter().for_each(|item| dump(item, text, out)),
            _ => out.push(format!(
                "{} {}",
                node.kind(),
                &text[node.span.start..node.span.end]
            )),
        }
    }

    #[test]
    fn every_key_and_scalar_knows_its_text() {
        let text =
            "a: 1\nb:\n  - \"ä x\"\n  - {c: off, d: 1.5, d: 'q'}\ne: &k true\nf: *k\n8080: ~\n";
        let mut out = Vec::new();
        dump(&parse(text).unwrap(), text, &mut out);
        let expected = "key a|a number 1|key b|a string \"ä x\"|key c|a string off|key d|a number 1.5|key d\
            |a string 'q'|key e|true or false true|key f|true or false true|key 8080|nothing ~";
        assert_eq!(out.join("|"), expected);
    }
}
