//! How schema types read themselves from nodes: all problems are reported, none stops the reader.

use std::collections::HashMap;

use crate::block::{
    environment::{Environment, SubstitutionError, substitute},
    node::{Key, Node, Value},
    problem::{Place, Report, closest},
};

/// A value and its position.
#[derive(Debug, Clone)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

/// The state that reading needs besides the node.
pub(crate) struct Reader<'a> {
    pub(crate) report: Report,
    pub(crate) environment: &'a dyn Environment,
}

/// A type that reads itself from a node.
pub(crate) trait Read: Sized {
    /// The keys of a value that must be a block, so that messages do not suggest a scalar.
    const KEYS: Option<&'static Keys> = None;

    /// Reads the value, or reports a problem and returns `None`.
    fn read(node: &Node, place: &Place, reader: &mut Reader<'_>) -> Option<Self>;
}

/// The keys of a block: the one definition behind the reader and the JSON Schema.
#[derive(Debug)]
pub(crate) struct Keys {
    /// The accepted keys.
    pub(crate) all: &'static [&'static str],
    /// Required keys.
    pub(crate) required: &'static [&'static str],
    /// Keys of which exactly one is required.
    pub(crate) one_of: &'static [&'static str],
    /// Keys of the vocabulary that this version does not support yet.
    pub(crate) later: &'static [&'static str],
}

/// The entries of one block while it is being read.
pub(crate) struct Fields<'n> {
    entries: &'n [(Key, Node)],
    place: Place,
}

impl<'n> Fields<'n> {
    /// Opens a map and reports unknown, duplicate and missing keys.
    pub(crate) fn open(
        node: &'n Node,
        place: &Place,
        keys: &Keys,
        reader: &mut Reader<'_>,
    ) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            reader.mismatch(node, place, "a map (keys and values)", &example(keys));
            return None;
        };
        report_duplicates(entries, place, &mut reader.report);
        let fields = Self {
            entries,
            place: place.clone(),
        };
        fields.report_unknown(keys, &mut reader.report);
        fields.report_missing(keys, &mut reader.report);
        Some(fields)
    }

    /// Reads one key, if present.
    pub(crate) fn take<T: Read>(&self, name: &str, reader: &mut Reader<'_>) -> Option<At<T>> {
        let (key, node) = self.entries.iter().find(|(key, _)| key.name == name)?;
        let span = if node.span.is_empty() {
            key.span
        } else {
            node.span
        };
        let place = self.place.key(name, span);
        if matches!(node.value, Value::Null) {
            let message = format!("`{name}` has no value");
            reader.report.error(
                &place,
                "no-value",
                message,
                "give it a value or remove the key",
            );
            return None;
        }
        T::read(node, &place, reader).map(|value| At { value, place })
    }

    fn unknown<'k>(&self, keys: &'k Keys) -> impl Iterator<Item = &'n Key> + use<'n, 'k> {
        self.entries
            .iter()
            .map(|(key, _)| key)
            .filter(|key| !keys.all.contains(&key.name.as_str()))
    }

    fn report_unknown(&self, keys: &Keys, report: &mut Report) {
        for key in self.unknown(keys) {
            let name = key.name.as_str();
            let help = if keys.later.contains(&name) {
                format!(
                    "`{name}` is reserved for a future version and not supported yet; remove it"
                )
            } else if let Some(meant) = closest(name, keys.all.iter().copied()) {
                format!("did you mean `{meant}`?")
            } else {
                format!("allowed keys: {}", keys.all.join(", "))
            };
            let place = self.place.key(name, key.span);
            report.error(&place, "unknown-key", format!("unknown key `{name}`"), help);
        }
    }

    fn report_missing(&self, keys: &Keys, report: &mut Report) {
        // A misspelled key is not reported again as missing.
        let misspelt: Vec<&str> = self
            .unknown(keys)
            .filter_map(|key| closest(&key.name, keys.all.iter().copied()))
            .collect();
        let present = |name: &str| self.entries.iter().any(|(key, _)| key.name == name);
        for name in keys.required {
            if !present(name) && !misspelt.contains(name) {
                let message = format!("`{name}` is missing");
                report.error(
                    &self.start(),
                    "missing-key",
                    message,
                    format!("add `{name}: …`"),
                );
            }
        }
        let choice = keys
            .one_of
            .iter()
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", ");
        let written: Vec<_> = keys
            .one_of
            .iter()
            .copied()
            .filter(|name| present(name))
            .collect();
        match written[..] {
            [] if keys.one_of.is_empty()
                || keys.one_of.iter().any(|name| misspelt.contains(name)) => {}
            [] => {
                let message = format!("one of {choice} is missing");
                report.error(
                    &self.start(),
                    "missing-key",
                    message,
                    format!("write exactly one of {choice}"),
                );
            }
            [_] => {}
            [.., last] => {
                let message = format!("`{}` cannot be used together", written.join("` and `"));
                let key = self
                    .entries
                    .iter()
                    .find(|(key, _)| key.name == last)
                    .map(|(key, _)| key.span);
                let place = Place {
                    span: key.unwrap_or(self.place.span),
                    ..self.place.clone()
                };
                report.error(
                    &place,
                    "conflicting-keys",
                    message,
                    "keep exactly one of them",
                );
            }
        }
    }

    /// The position of the block, marked at its first key only: a span of the whole block would
    /// underline everything.
    fn start(&self) -> Place {
        let mut place = self.place.clone();
        if let Some((key, _)) = self.entries.first() {
            place.span = key.span;
        }
        place
    }
}

/// Reports duplicate keys of a map, with both positions.
pub(crate) fn report_duplicates(entries: &[(Key, Node)], place: &Place, report: &mut Report) {
    let mut first: HashMap<&str, &Key> = HashMap::with_capacity(entries.len());
    for (key, _) in entries {
        let Some(first) = first.get(key.name.as_str()) else {
            first.insert(&key.name, key);
            continue;
        };
        let spot = report.spot(&place.key(&first.name, first.span));
        let message = format!("duplicate key `{}`; the first one is at {spot}", key.name);
        report.error(
            &place.key(&key.name, key.span),
            "duplicate-key",
            message,
            "remove one of the two",
        );
    }
}

/// A required key of this kind of block.
fn first_key(keys: &Keys) -> Option<&'static str> {
    keys.required
        .first()
        .or_else(|| keys.one_of.first())
        .copied()
}

fn example(keys: &Keys) -> String {
    match first_key(keys) {
        Some(key) => format!("write `{key}: …` inside it"),
        None => format!("write `key: value`; the keys are {}", keys.all.join(", ")),
    }
}

// === impl Reader ===

impl Reader<'_> {
    /// Reports a value of the wrong type.
    pub(crate) fn mismatch(&mut self, node: &Node, place: &Place, expected: &str, help: &str) {
        let message = format!("expected {expected}, found {}", self.found(node));
        self.report.error(place, "wrong-type", message, help);
    }

    /// Reports an invalid value of the right type.
    pub(crate) fn invalid(
        &mut self,
        place: &Place,
        code: &'static str,
        message: String,
        help: String,
    ) {
        self.report.error(place, code, message, help);
    }

    /// A string with its variables expanded, and whether it had any; `None` when a problem was
    /// reported.
    pub(crate) fn substituted(&mut self, text: &str, place: &Place) -> Option<(String, bool)> {
        match substitute(text, self.environment) {
            Ok(None) => Some((text.to_owned(), false)),
            Ok(Some(text)) => Some((text, true)),
            Err(SubstitutionError::Unset(name)) => {
                let message = format!("the environment variable `{name}` is not set");
                let help = format!("set it, or give a default: ${{env:{name}:-default}}");
                self.report.error(place, "unset-variable", message, help);
                None
            }
            Err(SubstitutionError::TooDeep) => {
                let message = "too many nested defaults";
                self.report.error(
                    place,
                    "bad-variable",
                    message,
                    "at most 8 levels are allowed",
                );
                None
            }
            Err(SubstitutionError::Malformed(text)) => {
                let message = format!("`{text}` is not a valid variable");
                let help =
                    "write ${env:NAME} or ${env:NAME:-default}; for a literal `${` write `$${`";
                self.report.error(place, "bad-variable", message, help);
                None
            }
        }
    }

    /// The text of a scalar that is not a string: a bare value, or a string with a variable. `None`
    /// for anything else, or when a problem was reported.
    pub(crate) fn typed(
        &mut self,
        node: &Node,
        place: &Place,
        expected: &str,
        help: &str,
    ) -> Option<String> {
        match &node.value {
            Value::Integer(_) | Value::Float | Value::Bool(_) => {
                Some(self.report.source().slice(node.span).to_owned())
            }
            Value::Text(text) => match self.substituted(text, place)? {
                (text, true) => Some(text),
                (_, false) => {
                    self.mismatch(node, place, expected, help);
                    None
                }
            },
            _ => {
                self.mismatch(node, place, expected, help);
                None
            }
        }
    }

    fn found(&self, node: &Node) -> String {
        match &node.value {
            Value::Text(text) if text.len() <= 40 => format!("the string {text:?}"),
            Value::Integer(_) | Value::Float => {
                format!("the number {}", self.report.source().slice(node.span))
            }
            _ => node.kind().to_owned(),
        }
    }
}

// === impl Read for general types ===

impl Read for String {
    fn read(node: &Node, place: &Place, reader: &mut Reader<'_>) -> Option<Self> {
        match &node.value {
            Value::Text(text) => reader.substituted(text, place).map(|(text, _)| text),
            Value::Integer(_) | Value::Float | Value::Bool(_) => {
                let help = format!(
                    "write it in quotes: \"{}\"",
                    reader.report.source().slice(node.span)
                );
                reader.mismatch(node, place, "a string", &help);
                None
            }
            _ => {
                reader.mismatch(node, place, "a string", "write a single value here");
                None
            }
        }
    }
}

impl<T: Read> Read for Vec<At<T>> {
    fn read(node: &Node, place: &Place, reader: &mut Reader<'_>) -> Option<Self> {
        let Value::List(items) = &node.value else {
            let text = reader.report.source().slice(node.span);
            let scalar = !matches!(node.value, Value::Map(_));
            let one_line = scalar && !text.contains('\n') && text.len() <= 40;
            let help = match T::KEYS {
                Some(keys) => {
                    format!(
                        "begin each item with `- `, such as `- {}: …`",
                        first_key(keys).unwrap_or("key")
                    )
                }
                None if one_line => format!("write [{text}]"),
                None => "begin each item with `- `".to_owned(),
            };
            reader.mismatch(node, place, "a list", &help);
            return None;
        };
        let mut list = Self::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let span = if item.span.is_empty() {
                place.span
            } else {
                item.span
            };
            let place = place.index(index, span);
            if matches!(item.value, Value::Null) {
                reader.report.error(
                    &place,
                    "no-value",
                    "an item of this list has no value",
                    "remove the item",
                );
            } else if let Some(value) = T::read(item, &place, reader) {
                list.push(At { value, place });
            }
        }
        Some(list)
    }
}
