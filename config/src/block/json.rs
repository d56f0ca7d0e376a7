//! The JSON Schema of the file, for editors.

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::block::{At, read::Keys};

/// A string with a variable: allowed wherever a pattern checks the value itself.
pub(crate) const VARIABLE: &str = r"\$\{env:[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}";

/// The JSON Schema (2020-12) of a file whose outermost block is `T`.
pub(crate) fn root<T: JsonSchema>(title: &str) -> Value {
    let settings = SchemaSettings::draft2020_12();
    let mut schema = settings
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value();
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".to_owned(), title.into());
    }
    schema
}

/// The schema of one block, made from the same list that the reader uses.
pub(crate) fn block(
    description: String,
    keys: &Keys,
    fields: Vec<(&str, String, Schema)>,
) -> Schema {
    let mut properties = Map::new();
    for (key, description, schema) in fields {
        let mut schema = schema.to_value();
        if let Value::Object(schema) = &mut schema {
            schema.insert("description".to_owned(), description.trim().into());
        }
        properties.insert(key.to_owned(), schema);
    }
    let mut schema = json!({
        "type": "object",
        "description": description.trim(),
        "properties": properties,
        "additionalProperties": false,
    });
    if !keys.required.is_empty() {
        schema["required"] = json!(keys.required);
    }
    if !keys.one_of.is_empty() {
        schema["oneOf"] = keys
            .one_of
            .iter()
            .map(|key| json!({ "required": [key] }))
            .collect();
    }
    object(schema)
}

/// A string that matches `pattern`, or contains a variable.
pub(crate) fn text(pattern: &str) -> Schema {
    object(json!({ "type": "string", "pattern": format!("^({pattern}|.*{VARIABLE}.*)$") }))
}

/// A value that matches `schema`, or a string that contains a variable.
pub(crate) fn or_variable(schema: Value) -> Schema {
    object(json!({ "anyOf": [schema, { "type": "string", "pattern": VARIABLE }] }))
}

/// A schema from its JSON, which is an object.
pub(crate) fn object(schema: Value) -> Schema {
    Schema::try_from(schema).unwrap_or_default()
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}
