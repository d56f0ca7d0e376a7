//! One line for people: the most important fields first, then `name=value`; a value that is not one
//! plain word is quoted.

use super::{
    Record,
    escape::push_quoted,
    fields::{self, Field, Form, Shown, Value},
    push_address, push_millis, push_number,
    time::push_rfc3339,
};

/// Appends one line of text to `out`. An unknown value is `-`, and an empty one is omitted.
pub fn write_text(record: &Record<'_>, out: &mut Vec<u8>) {
    fields::each(record, &mut First { out, begun: false });
    fields::each(record, &mut Named { out });
    out.push(b'\n');
}

struct First<'a> {
    out: &'a mut Vec<u8>,
    begun: bool,
}

impl<'a> Form<'a> for First<'_> {
    fn field(&mut self, field: &'static Field, value: Value<'a>) {
        if field.shown != Shown::First {
            return;
        }
        if std::mem::replace(&mut self.begun, true) {
            self.out.push(b' ');
        }
        push_value(self.out, value);
    }
}

struct Named<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Form<'a> for Named<'_> {
    fn field(&mut self, field: &'static Field, value: Value<'a>) {
        match (field.shown, value) {
            (Shown::First, _)
            | (_, Value::Text(Some(""), _))
            | (Shown::IfAny, Value::Text(None, _)) => {}
            _ => {
                self.out.extend_from_slice(field.text.as_bytes());
                push_value(self.out, value);
            }
        }
    }
}

fn push_value(out: &mut Vec<u8>, value: Value<'_>) {
    match value {
        Value::Text(Some(text), max) => push_word(out, text, max),
        Value::Text(None, _) => out.push(b'-'),
        Value::Word(word) => out.extend_from_slice(word.as_bytes()),
        Value::Number(number) => push_number(out, number),
        Value::Took(duration) => {
            push_millis(out, duration);
            out.extend_from_slice(b"ms");
        }
        Value::Time(time) => push_rfc3339(out, time),
        Value::Address(address) => push_address(out, address),
    }
}

/// Writes a plain word unchanged, everything else quoted and escaped.
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
