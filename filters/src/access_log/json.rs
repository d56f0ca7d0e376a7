//! One flat JSON object, the default format. An unknown value is `null`; without flag and reason
//! these are empty.

use super::{
    Record,
    escape::push_quoted,
    fields::{self, Field, Form, Shown, Value},
    push_address, push_millis, push_number,
    time::push_rfc3339,
};

/// Appends one line of JSON to `out`.
pub fn write_json(record: &Record<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    fields::each(record, &mut Json { out });
    // Replaces the comma before the first field.
    out[start] = b'{';
    out.extend_from_slice(b"}\n");
}

struct Json<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Form<'a> for Json<'_> {
    #[inline(always)]
    fn field(&mut self, field: &'static Field, value: Value<'a>) {
        if field.shown == Shown::IfAny && matches!(value, Value::Text(None | Some(""), _)) {
            return;
        }
        let out = &mut *self.out;
        out.extend_from_slice(field.json.as_bytes());
        match value {
            Value::Took(duration) => push_millis(out, duration),
            other => push_value(out, other),
        }
    }
}

/// Writes a value as JSON; a duration in nanoseconds.
#[inline(always)]
pub(super) fn push_value(out: &mut Vec<u8>, value: Value<'_>) {
    match value {
        Value::Text(Some(text), max) => push_quoted(out, text, max),
        Value::Text(None, _) => out.extend_from_slice(b"null"),
        Value::Number(number) => push_number(out, number),
        Value::Took(duration) => {
            push_number(out, u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
        }
        Value::Word(word) => {
            out.push(b'"');
            out.extend_from_slice(word.as_bytes());
            out.push(b'"');
        }
        Value::Time(time) => {
            out.push(b'"');
            push_rfc3339(out, time);
            out.push(b'"');
        }
        Value::Address(address) => {
            out.push(b'"');
            push_address(out, address);
            out.push(b'"');
        }
    }
}
