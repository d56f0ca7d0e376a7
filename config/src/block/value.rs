//! Types of values: numbers, keywords, durations, sizes, percentages, maps.

use std::time::Duration;

use schemars::JsonSchema;
use serde_json::json;

use crate::block::{
    At, Read, Reader, json,
    node::{Node, Value},
    problem::{Place, closest},
    read::report_duplicates,
};

/// A whole number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Int<const MIN: u64, const MAX: u64>(pub(crate) u64);

/// `true` or `false`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flag(pub(crate) bool);

/// A duration in GEP-2257 form: `250ms`, `1h30m`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Time(pub(crate) Duration);

/// A number of bytes: `512B`, `64KiB`, `10MiB`, `1GiB`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size(pub(crate) u64);

/// A percentage, stored in parts per million.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share(pub(crate) u32);

/// A map with user-defined names, in file order.
#[derive(Debug, Clone)]
pub(crate) struct Entries<T>(pub(crate) Vec<(At<String>, At<T>)>);

/// A scalar as short form for the common case, or a map.
#[derive(Debug, Clone)]
pub(crate) enum Either<S, M> {
    /// A scalar.
    Short(S),
    /// A map.
    Map(M),
}

/// One value, or a list of values.
#[derive(Debug, Clone)]
pub(crate) enum OneOrMany<T> {
    /// A single value.
    One(T),
    /// A list, also of one item.
    Many(Vec<At<T>>),
}

/// An enumeration with keywords as values.
pub(crate) trait Words: Copy + 'static {
    /// The keywords.
    const WORDS: &'static [(&'static str, Self)];
}

/// One of a few keywords.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Word<T>(pub(crate) T);

/// The GEP-2257 pattern of a duration.
pub(crate) const TIME_PATTERN: &str = "([0-9]{1,5}(h|m|s|ms)){1,4}";
const SIZE_PATTERN: &str = "[0-9]{1,15}(B|KiB|MiB|GiB)";

/// Parses a GEP-2257 duration.
pub(crate) fn parse_time(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    for part in 0.. {
        if rest.is_empty() {
            return (part > 0).then_some(total);
        }
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits]
            .parse()
            .ok()
            .filter(|_| (1..=5).contains(&digits) && part < 4)?;
        rest = &rest[digits..];
        // `ms` first: `5ms` is not `5m` followed by `s`.
        let units = [("ms", 1), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
        let (unit, millis) = units.into_iter().find(|(unit, _)| rest.starts_with(unit))?;
        total += Duration::from_millis(number * millis);
        rest = &rest[unit.len()..];
    }
    None
}

/// Parses a number of bytes with its unit.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    let shift = match &text[digits..] {
        "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return None,
    };
    number.checked_mul(1 << shift)
}

/// Parses a plain number from 0 to 100 as parts per million.
pub(crate) fn parse_share(text: &str) -> Option<u32> {
    let share: f64 = text.parse().ok()?;
    // At most 1 000 000, and rounded: the cast is exact.
    (0.0..=100.0)
        .contains(&share)
        .then(|| (share * 10_000.0).round() as u32)
}

/// Declares the keywords of an enumeration.
macro_rules! words {
    ($($type:ident { $($word:literal => $value:ident),* $(,)? })*) => {
        $(impl $crate::block::Words for $type {
            const WORDS: &'static [(&'static str, Self)] = &[$(($word, Self::$value)),*];
        })*
    };
}
pub(crate) use words;

// === impl Word ===

/// The keyword of a value.
pub(crate) fn word_of<T: Words + PartialEq>(value: T) -> &'static str {
    T::WORDS
        .iter()
        .find(|(_, other)| *other == value)
        .map(|(word, _)| *word)
        .unwrap_or_default()
}

// === impl Read ===

impl<const MIN: u64, const MAX: u64> Read for Int<MIN, MAX> {
    fn read(node: &Node, place: &Place, reader: &mut Reader<'_>) -> Option<Self> {
        let help = match &node.value {
            Value::Text(text) if text.parse::<u64>().is_ok() => "remove the quotes".to_owned(),
            _ if MIN == MAX => format!("write {MIN}"),
            _ => format!("write a whole number from {MIN} to {MAX}"),
        };
        let written = match &node.value {
            Value::Integer(number) => number.to_string(),
            _ => reader.typed(node, place, "a whole number", &help)?,
        };
        let number = written
            .trim()
            .parse::<u64>()
            .ok()
            .filter(|number| (MIN..=MAX).contains(number));
        if number.is_none() {
            let message = match MIN == MAX {
                true => format!("{} is not supported", written.trim()),
                false => format!(
                    "{} is not a whole number from {MIN} to {MAX}",
                    written.trim()
                ),
            };
            reader.invalid(place, "out-of-range", message, help);
        }
        number.map(Self)
    }
}

impl Read for Flag {
    fn read(node: &Node, place: &Place, reader: &mut Reader<'_>) -> Option<Self> {
        const HELP: &str = "write true or false, without quotes";
        if let Value::Bool(flag) = node.value {
            return Some(Self(flag));
        }
        match reader.typed(node, place, "true or false", HELP)?.trim() {
            "true" => Some(Self(true)),
            "false" => Some(Self(false)),
            _ => {
                reader.mismatch(node, place, "true or false", HELP);
                None
            }
        }
    }
}

impl Read for Time {
    fn read(node: &Node, place: &Place, reader: &mut Reader<'_>) -> Option<Self> {
        let text = match &node.value {
            Value::Text(text) => reader.substituted(text, place)?.0,
            Value::Integer(_) | Value::Float => {
                let number = reader.report.source().slice(node.span).to_owned();
                let message = format!("{number} has no unit");
                let help = format!("write {number}s for seconds, or {number}ms for milliseconds");
                reader.invalid(place, "bad-duration", message, help);
                return None;
            }
            _ => {
                reader.mismatch(
                    node,
                    place,
                    "a duration",
                    "write for example 5s, 250ms or 1h30m",
                );
                return None;
            }
        };
        let time = parse_time(&text);
        if time.is_none() {
            let message = format!("{text:?} is not a duration");
            reader.invalid(place, "bad-duration", message, time_help(&text));
        }
        time.map(Self)
    }
}

fn time_help(text: &str) -> String {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return format!("write {text}s for seconds, or {text}ms for milliseconds");
    }
    "write whole numbers of at most 5 digits with h, m, s or ms, for example 5s, 250ms or 1h30m"
        .to_owned()
}

impl Read for Size {
    fn read(node: &Node, place: &Place, reader: &mut Reader<'_>) -> Option<Self> {
        let text = match &node.value {
            Value::Text(text) => reader.substituted(text, place)?.0,
            Value::Integer(_) | Value::Float => {
                let number = reader.report.source().slice(node.span).to_owned();
                let help = format!("write {number}B, or use KiB, MiB or GiB");
                reader.invalid(place, "bad-size", format!("{number} has no unit"), help);
                return None;
            }
            _ => {
                reader.mismatch(node, place, "a size", "write for example 64KiB or 10MiB");
                return None;
            }
        };
        let size = parse_size(&text);
        if size.is_none() {
            let message = format!("{text:?} is not a size");
            let help = "write a whole number with B, KiB, MiB or GiB, for example 64KiB".to_owned();
            reader.invalid(place, "bad-size", message, help);
        }
        size.map(Self)
    }
}

impl Read for Share {
    fn read(node: &Node, place: &Place, reader: &mut Reader<'_>) -> Option<Self> {
        const HELP: &str = "write a plain number from 0 to 100, without a percent sign";
        let text = reader.typed(node, place, "a number from 0 to 100", HELP)?;
        let share = parse_share(text.trim());
        if share.is_none() {
            let message = format!("{} is not a number from 0 to 100", text.trim());
            reader.invalid(place, "out-of-range", message, HELP.to_owned());
        }
        share.map(Self)
    }
}

impl<T: Words> Read for Word<T> {
    fn read(node: &Node, place: &Place, reader: &mut Reader<'_>) -> Option<Self> {
        let words = T::WORDS.iter().map(|(word, _)| *word);
        let choice = words.clone().collect::<Vec<_>>().join(", ");
        let Value::Text(text) = &node.value else {
            reader.mismatch(node, place, "a word", &format!("allowed: {choice}"));
            return None;
        };
        let (text, _) = reader.substituted(text, place)?;
        let found = T::WORDS
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, value)| Self(*value));
        if found.is_none() {
            let help = match closest(&text, words) {
                Some(meant) => format!("did you mean `{meant}`? Allowed: {choice}"),
                None => format!("allowed: {choice}"),
            };
            reader.invalid(
                place,
                "bad-value",
                format!("{text:?} is not an allowed value"),
                help,
            );
        }
        found
    }
}

impl<T: Read> Read for Entries<T> {
    fn read(node: &Node, place: &Place, reader: &mut Reader<'_>) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            reader.mismatch(
                node,
                place,
                "a map (names and values)",
                "write `name: value`",
            );
            return None;
        };
        report_duplicates(entries, place, &mut reader.report);
        let mut read = Vec::with_capacity(entries.len());
        for (key, node) in entries {
            let name = At {
                value: key.name.clone(),
                place: place.key(&key.name, key.span),
            };
            let span = if node.span.is_empty() {
                key.span
            } else {
                node.span
            };
            let place = place.key(&key.name, span);
            if matches!(node.value, Value::Null) {
                let message = format!("`{}` has no value", key.name);
                reader.report.error(
                    &place,
                    "no-value",
                    message,
                    "give it a value or remove the key",
                );
            } else if let Some(value) = T::read(node, &place, reader) {
                read.push((name, At { value, place }));
            }
        }
        Some(Self(read))
    }
}

impl<S: Read, M: Read> Read for Either<S, M> {
    fn read(node: &Node, place: &Place, reader: &mut Reader<'_>) -> Option<Self> {
        match node.value {
            Value::Map(_) => M::read(node, place, reader).map(Self::Map),
            Value::List(_) => {
                reader.mismatch(
                    node,
                    place,
                    "a single value or a map",
                    "write a single value without brackets",
                );
                None
            }
            _ => S::read(node, place, reader).map(Self::Short),
        }
    }
}

impl<T: Read> Read for OneOrMany<T> {
    fn read(node: &Node, place: &Place, reader: &mut Reader<'_>) -> Option<Self> {
        match node.value {
            Value::List(_) => Vec::read(node, place, reader).map(Self::Many),
            _ => T::read(node, place, reader).map(Self::One),
        }
    }
}

// === impl JsonSchema ===

/// Implements `JsonSchema` for a type that is inlined wherever it is used.
macro_rules! inline_schema {
    ([$($generics:tt)*] $type:ty, |$generator:ident| $schema:expr) => {
        impl<$($generics)*> schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema($generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $schema
            }
        }
    };
}
pub(crate) use inline_schema;

inline_schema!([const MIN: u64, const MAX: u64] Int<MIN, MAX>, |_generator| {
    json::or_variable(json!({ "type": "integer", "minimum": MIN, "maximum": MAX }))
});
inline_schema!([] Flag, |_generator| json::or_variable(json!({ "type": "boolean" })));
inline_schema!([] Time, |_generator| json::text(TIME_PATTERN));
inline_schema!([] Size, |_generator| json::text(SIZE_PATTERN));
inline_schema!([] Share, |_generator| {
    json::or_variable(json!({ "type": "number", "minimum": 0, "maximum": 100 }))
});
inline_schema!([T: Words] Word<T>, |_generator| {
    let words: Vec<_> = T::WORDS.iter().map(|(word, _)| *word).collect();
    json::or_variable(json!({ "type": "string", "enum": words }))
});
inline_schema!([T: JsonSchema] Entries<T>, |generator| {
    json::object(json!({ "type": "object", "additionalProperties": generator.subschema_for::<T>() }))
});
inline_schema!([T: JsonSchema] OneOrMany<T>, |generator| {
    let one = generator.subschema_for::<T>();
    json::object(json!({ "anyOf": [one, { "type": "array", "items": one }] }))
});
inline_schema!([S: JsonSchema, M: JsonSchema] Either<S, M>, |generator| {
    json::object(json!({ "anyOf": [generator.subschema_for::<S>(), generator.subschema_for::<M>()] }))
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gep_2257() {
        for (text, millis) in [
            ("5s", Some(5_000)),
            ("250ms", Some(250)),
            ("1h30m", Some(5_400_000)),
            ("1m500ms", Some(60_500)),
            ("0s", Some(0)),
            ("99999h", Some(99_999 * 3_600_000)),
            ("1h1m1s1ms", Some(3_661_001)),
            ("30m1h", Some(5_400_000)),
            ("", None),
            ("5", None),
            ("5 s", None),
            ("1.5s", None),
            ("-5s", None),
            ("100000s", None),
            ("1h1m1s1ms1ms", None),
            ("5us", None),
            ("s", None),
            ("5S", None),
        ] {
            assert_eq!(
                parse_time(text),
                millis.map(Duration::from_millis),
                "{text:?}"
            );
        }
    }

    #[test]
    fn sizes_have_binary_units() {
        for (text, bytes) in [
            ("0B", Some(0)),
            ("64KiB", Some(65_536)),
            ("10MiB", Some(10 << 20)),
            ("1GiB", Some(1 << 30)),
            ("64", None),
            ("64kb", None),
            ("64K", None),
            ("1.5MiB", None),
            ("-1B", None),
            ("99999999999GiB", None),
            ("MiB", None),
        ] {
            assert_eq!(parse_size(text), bytes, "{text:?}");
        }
    }

    #[test]
    fn shares_are_plain_numbers_up_to_100() {
        for (text, share) in [
            ("0", Some(0)),
            ("100", Some(1_000_000)),
            ("0.5", Some(5_000)),
            ("33.3333", Some(333_333)),
            ("101", None),
            ("-1", None),
            ("5%", None),
            ("NaN", None),
        ] {
            assert_eq!(parse_share(text), share, "{text:?}");
        }
    }
}
