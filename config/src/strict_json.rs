//! JSON from outside, read in one way only: tokens and key sets.
//!
//! A member that stands twice is refused at every depth, since two readers may keep different ones; nesting is
//! bounded; a number that no `f64` holds is an error of the syntax, so nothing here is infinite or NaN. The reader
//! below is serde_json's, the decision what to accept is ours.

use std::{cell::RefCell, fmt};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

/// A JSON value whose objects have no member twice.
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

/// Why a text was refused.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// It is not JSON, or not as far as it goes.
    #[error("this is not JSON: {0}")]
    Syntax(serde_json::Error),
    /// One name stands twice in one object.
    #[error("member {0:?} stands twice")]
    Duplicate(Box<str>),
    /// Arrays and objects stand within each other too deep.
    #[error("it is nested too deep")]
    Depth,
}

impl Json {
    /// Reads a whole text. `depth` is how many arrays and objects may stand within each other.
    ///
    /// # Errors
    /// Whatever can be read in two ways, or takes more than its share.
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

    /// The text, when it is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The elements, when it is an array.
    pub fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(elements) => Some(elements),
            _ => None,
        }
    }

    /// The members, when it is an object.
    pub fn as_object(&self) -> Option<&JsonObject> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }
}

impl JsonObject {
    /// How many members it has.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has none.
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
    /// For what stands within this value.
    fn within<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Self { depth, ..self }),
            None => Err(self.refuse(JsonError::Depth)),
        }
    }

    /// Our own reason stays outside: serde's errors carry only text.
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
        // Sorting finds what stands twice without comparing all with all: a hostile object has thousands.
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
    fn a_member_that_stands_twice_is_refused_at_every_depth() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"b":2,"\u0061":3}"#,
            r#"{"b":{"a":1,"a":2}}"#,
            r#"[{"x":[{"a":1,"a":2}]}]"#,
        ] {
            assert_eq!(refused(text), "member \"a\" stands twice", "{text}");
        }
        assert!(Json::parse(br#"{"a":{"a":1},"b":[{"a":1},{"a":2}]}"#, 4).is_ok());
    }

    #[test]
    fn nesting_has_a_bound_and_depth_of_any_kind_does_not_end_the_process() {
        assert!(Json::parse(b"[[[[1]]]]", 4).is_ok());
        assert_eq!(refused("[[[[[1]]]]]"), "it is nested too deep");
        assert_eq!(
            refused(r#"{"a":{"a":{"a":{"a":{}}}}}"#),
            "it is nested too deep"
        );
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(refused(&deep), "it is nested too deep");
        assert!(Json::parse(deep.as_bytes(), usize::MAX).is_err());
    }

    /// docs/security.md 11: no number that is not one, and nothing behind the value.
    #[test]
    fn what_other_readers_might_take_is_refused() {
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
    fn values_are_what_they_were_and_members_are_found() {
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
