//! The part of JSON Schema 2020-12 that our schema uses. An unknown keyword fails, so that none is
//! ignored.

use serde_json::Value;

/// The path at which a value does not match a schema.
pub(crate) fn violations(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(schema, schema, value, "", &mut found);
    found
}

pub(crate) fn fits(root: &Value, schema: &Value, value: &Value) -> bool {
    let mut found = Vec::new();
    check(root, schema, value, "", &mut found);
    found.is_empty()
}

fn check(root: &Value, schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    let known = |key: &String| schema["properties"].get(key).is_some();
    for (keyword, rule) in schema.as_object().unwrap() {
        let items = || rule.as_array().unwrap().iter();
        let good = match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" => true,
            "$ref" => {
                let target = root
                    .pointer(rule.as_str().unwrap().trim_start_matches('#'))
                    .unwrap();
                check(root, target, value, path, found);
                true
            }
            "type" => is_type(rule.as_str().unwrap(), value),
            "const" => rule == value,
            "enum" => items().any(|allowed| allowed == value),
            "anyOf" => items().any(|schema| fits(root, schema, value)),
            "oneOf" => items().filter(|schema| fits(root, schema, value)).count() == 1,
            "minimum" => value
                .as_f64()
                .is_none_or(|number| number >= rule.as_f64().unwrap()),
            "maximum" => value
                .as_f64()
                .is_none_or(|number| number <= rule.as_f64().unwrap()),
            "pattern" => {
                let pattern = regex::Regex::new(rule.as_str().unwrap()).unwrap();
                value.as_str().is_none_or(|text| pattern.is_match(text))
            }
            "required" => value
                .as_object()
                .is_none_or(|map| items().all(|key| map.contains_key(key.as_str().unwrap()))),
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(root, rule, item, &format!("{path}[{index}]"), found);
                }
                true
            }
            "properties" => {
                for (key, item) in value.as_object().into_iter().flatten() {
                    if let Some(schema) = rule.get(key) {
                        check(root, schema, item, &format!("{path}.{key}"), found);
                    }
                }
                true
            }
            "additionalProperties" if *rule == false => {
                value.as_object().is_none_or(|map| map.keys().all(known))
            }
            "additionalProperties" => {
                for (key, item) in value
                    .as_object()
                    .into_iter()
                    .flatten()
                    .filter(|(key, _)| !known(key))
                {
                    check(root, rule, item, &format!("{path}.{key}"), found);
                }
                true
            }
            _ => panic!("the checker does not know {keyword}"),
        };
        if !good {
            found.push(format!("{path}: {keyword}"));
        }
    }
}

fn is_type(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        _ => panic!("the checker does not know the type {name}"),
    }
}
