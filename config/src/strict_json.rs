//! Strict parser for JSON from outside: tokens and key sets.
//!
//! Duplicate members are rejected at every depth, because two parsers may keep different ones.
//! Nesting is limited. A number that does not fit into an `f64` is a syntax error, so no value is
//! infinite or NaN. The parser is serde_json's; this module decides what is accepted.

use std::{cell::RefCell, fmt};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

/// A JSON value without duplicate members.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A finite number.
    Number(Number),
    /// A string.
    String(Box<str>),
    /// An array.
    Array(Box<[Self]>),
    /// An object.
    Object(JsonObject),
}

/// The members of an object, sorted by name.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonObject(Box<[(Box<str>, Json)]>);

/// Why a text was rejected.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// It is not JSON, or has text after the JSON value.
    #[error("this is not JSON: {0}")]
    Syntax(serde_json::Error),
    /// An object has two members with the same name.
    #[error("duplicate member {0:?}")]
    Duplicate(Box<str>),
    /// Arrays and objects are nested too deep.
    #[error("the nesting is too deep")]
    Depth,
}

impl Json {
    /// Parses a whole text. `depth` is the maximum nesting of arrays and objects.
    ///
    /// # Errors
    /// Invalid or ambiguous JSON, or nesting over the limit.
    pub fn parse(text: &[u8], depth: usize) -> Result<Self, JsonError> {
        let refused = RefCell::new(None);
        let mut reader = serde_json::Deserializer::from_slice(text);
        let value = Value {
            depth,
            refused: &refused,
        }
        .deserialize(&mut reader);
        let whole = value.and_then(|value| reader.end().map(|()| value));
        whole.map_err(|error| refused.take().unwrap_or(JsonError::Syntax(error)))
    }

    /// The text, if it is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The elements, if it is an array.
    pub fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(elements) => Some(elements),
            _ => None,
        }
    }

    /// The members, if it is an object.
    pub fn as_object(&self) -> Option<&JsonObject> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }
}

impl JsonObject {
    /// The number of members.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has no members.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The member with this name.
    pub fn get(&self, name: &str) -> Option<&Json> {
        let place = self
            .0
            .binary_search_by(|(member, _)| (**member).cmp(name))
            .ok()?;
        Some(&self.0[place].1)
    }
}

/// Reads one value, with `depth` levels left.
#[derive(Clone, Copy)]
struct Value<'a> {
    depth: usize,
    refused: &'a RefCell<Option<JsonError>>,
}

impl Value<'_> {
    /// For values inside this value.
    fn within<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Self { depth, ..self }),
            None => Err(self.refuse(JsonError::Depth)),
        }
    }

    /// Returned beside serde's error, which can carry only text.
    fn refuse<E: serde::de::Error>(self, error: JsonError) -> E {
        let told = E::custom(&error);
        *self.refused.borrow_mut() = Some(error);
        told
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Json, E> {
        Number::from_f64(value)
            .map(Json::Number)
            .ok_or_else(|| E::custom("a number without a value"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::String(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Json, A::Error> {
        let within = self.within()?;
        let mut array = Vec::new();
        while let Some(element) = elements.next_element_seed(within)? {
            array.push(element);
        }
        Ok(Json::Array(array.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let within = self.within()?;
        let mut object: Vec<(Box<str>, Json)> = Vec::new();
        while let Some(name) = members.next_key()? {
            object.push((name, members.next_value_seed(within)?));
        }
        // Sorting finds duplicates without comparing all pairs: a hostile object has thousands of
        // members.
        object.sort_by(|(a, _), (b, _)| a.cmp(b));
        match object.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => Err(self.refuse(JsonError::Duplicate(pair[0].0.clone()))),
            None => Ok(Json::Object(JsonObject(object.into()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Json::parse(text.as_bytes(), 4).unwrap_err().to_string()
    }

    /// docs/security.md 11.
    #[test]
    fn a_duplicate_member_is_rejected_at_every_depth() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"b":2,"\u0061":3}"#,
            r#"{"b":{"a":1,"a":2}}"#,
            r#"[{"x":[{"a":1,"a":2}]}]"#,
        ] {
            assert_eq!(refused(text), "duplicate member \"a\"", "{text}");
        }
        assert!(Json::parse(br#"{"a":{"a":1},"b":[{"a":1},{"a":2}]}"#, 4).is_ok());
    }

    #[test]
    fn nesting_is_limited_and_deep_nesting_does_not_crash() {
        assert!(Json::parse(b"[[[[1]]]]", 4).is_ok());
        assert_eq!(refused("[[[[[1]]]]]"), "the nesting is too deep");
        assert_eq!(
            refused(r#"{"a":{"a":{"a":{"a":{}}}}}"#),
            "the nesting is too deep"
        );
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(refused(&deep), "the nesting is too deep");
        assert!(Json::parse(deep.as_bytes(), usize::MAX).is_err());
    }

    /// docs/security.md 11: no invalid numbers, and no text after the value.
    #[test]
    fn input_that_other_parsers_may_accept_is_rejected() {
        for text in [
            "",
            " ",
            "NaN",
            "Infinity",
            "-Infinity",
            "1e400",
            "-1e400",
            "+1",
            "01",
            "1.",
            ".5",
            "0x10",
            "'a'",
            "{a:1}",
            "[1,]",
            r#"{"a":1,}"#,
            "{} {}",
            "{}x",
            "\u{feff}{}",
            "\"\u{1}\"",
            r#""\ud800""#,
            "tru",
            "[1",
            "// a\n1",
            "/* a */1",
            "undefined",
        ] {
            assert!(
                refused(text).starts_with("this is not JSON: "),
                "{text:?}: {}",
                refused(text)
            );
        }
        assert!(Json::parse(b"\"\xff\"", 4).is_err());
        assert!(Json::parse(b"{}\0", 4).is_err());
    }

    #[test]
    fn values_and_members_are_parsed() {
        let json = Json::parse(
            br#" {"s":"\u00e9","n":null,"t":true,"i":7,"m":-7,"f":1.5,"a":[1]} "#,
            2,
        )
        .unwrap();
        let object = json.as_object().unwrap();
        assert_eq!(object.get("s").and_then(Json::as_str), Some("é"));
        assert_eq!(object.get("n"), Some(&Json::Null));
        assert_eq!(object.get("t"), Some(&Json::Bool(true)));
        assert_eq!(object.get("i"), Some(&Json::Number(7.into())));
        assert_eq!(object.get("m"), Some(&Json::Number((-7).into())));
        assert_eq!(
            object.get("f"),
            Some(&Json::Number(Number::from_f64(1.5).unwrap()))
        );
        assert_eq!(
            object.get("a").and_then(Json::as_array),
            Some(&[Json::Number(1.into())][..])
        );
        assert_eq!(object.get("x"), None);
    }
}
