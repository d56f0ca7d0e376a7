//! Elastic Common Schema 8: its own field names where it has them, `outrigger.*` otherwise.
//!
//! Unknown values are omitted, because the schema types its fields and `null` has no meaning there.

use std::sync::LazyLock;

use super::{
    Record,
    fields::{self, ALL, Field, Form, Value},
    json::push_value,
};

/// Fields that the schema requires besides the fields of the other formats.
const EXTRA: [&str; 6] = [
    "ecs.version",
    "event.dataset",
    "event.kind",
    "event.category",
    "event.outcome",
    "client.ip",
];

const COUNT: usize = ALL.len() + EXTRA.len();

/// The field names of the schema with the index of their values, sorted, so that nested objects are
/// adjacent.
static PLACES: LazyLock<Box<[(&str, usize)]>> = LazyLock::new(|| {
    let names = ALL.iter().map(|field| field.ecs).chain(EXTRA);
    let mut places: Vec<_> = names.zip(0..).collect();
    places.sort_unstable();
    places.into()
});

/// Appends one line of ECS JSON to `out`.
pub fn write_ecs(record: &Record<'_>, out: &mut Vec<u8>) {
    let mut values = Values {
        all: [Value::Text(None, 0); COUNT],
        count: 0,
    };
    fields::each(record, &mut values);
    for value in extra(record) {
        values.push(value);
    }
    let mut objects = Objects::default();
    for (place, index) in &*PLACES {
        let value = values.all[*index];
        if !matches!(value, Value::Text(None | Some(""), _)) {
            objects.key(place, out);
            push(place, value, out);
        }
    }
    objects.end(out);
    out.push(b'\n');
}

/// The values of [`EXTRA`].
fn extra(record: &Record<'_>) -> [Value<'static>; EXTRA.len()] {
    [
        Value::Word("8.11.0"),
        Value::Word("outrigger.access"),
        Value::Word("event"),
        Value::Word("web"),
        Value::Word(outcome(record.status)),
        Value::Address(record.client_address),
    ]
}

/// The values of a line, in the order of [`ALL`] and [`EXTRA`].
struct Values<'a> {
    all: [Value<'a>; COUNT],
    count: usize,
}

impl<'a> Values<'a> {
    fn push(&mut self, value: Value<'a>) {
        self.all[self.count] = value;
        self.count += 1;
    }
}

impl<'a> Form<'a> for Values<'a> {
    fn field(&mut self, _: &'static Field, value: Value<'a>) {
        self.push(value);
    }
}

/// Writes a value as the schema requires it.
fn push(place: &str, value: Value<'_>, out: &mut Vec<u8>) {
    let value = match (place, value) {
        ("event.category", _) => return out.extend_from_slice(br#"["web"]"#),
        ("url.domain", Value::Text(Some(host), max)) => Value::Text(Some(without_port(host)), max),
        ("http.version", Value::Word(word)) => {
            Value::Word(word.trim_start_matches("HTTP").trim_start_matches('/'))
        }
        (_, value) => value,
    };
    push_value(out, value);
}

/// The nested objects that are open.
#[derive(Default)]
struct Objects {
    /// The field name of the last key.
    last: &'static str,
}

impl Objects {
    /// Begins the next key: closes the objects that do not contain it, and opens those that do.
    fn key(&mut self, place: &'static str, out: &mut Vec<u8>) {
        let shared = self.shared(place);
        match self.last {
            "" => out.push(b'{'),
            last => {
                out.extend(
                    last[shared..]
                        .bytes()
                        .filter(|byte| *byte == b'.')
                        .map(|_| b'}'),
                );
                out.push(b',');
            }
        }
        for (index, part) in place[shared..].split('.').enumerate() {
            out.extend_from_slice(if index == 0 { b"\"" } else { b"{\"" });
            out.extend_from_slice(part.as_bytes());
            out.extend_from_slice(b"\":");
        }
        self.last = place;
    }

    /// How many bytes of `place` are the names of open objects.
    fn shared(&self, place: &str) -> usize {
        let same = self.last.bytes().zip(place.bytes());
        let same = same.take_while(|(one, other)| one == other).count();
        place[..same].rfind('.').map_or(0, |dot| dot + 1)
    }

    /// Closes all objects.
    fn end(&self, out: &mut Vec<u8>) {
        out.extend(self.last.bytes().filter(|byte| *byte == b'.').map(|_| b'}'));
        out.push(b'}');
    }
}

fn outcome(status: u16) -> &'static str {
    match status {
        1..400 => "success",
        _ => "failure",
    }
}

/// The schema requires the host alone; text that is not `host:port` is kept whole.
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
