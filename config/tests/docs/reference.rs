//! `docs/configuration.md`: a hand-written part, and below a marker a reference of every key,
//! generated from the schema.

use std::{collections::HashMap, fmt::Write, fs};

use outrigger_config::json_schema;
use serde_json::{Map, Value};

use crate::workspace;

const MARKER: &str = "<!-- Generated from config/src. UPDATE_DOCS=1 cargo test -p outrigger-config --test docs -->\n";

/// Writes blocks depth-first in the order of the file; a block that occurs again is linked.
struct Reference<'a> {
    definitions: &'a Map<String, Value>,
    /// The position of blocks that were already written.
    written: HashMap<&'a str, String>,
    out: String,
}

/// The block type of a value, with the suffix of its path: nothing, `[]` or `.<name>`.
type Inner<'a> = Option<(&'a str, &'static str)>;

impl<'a> Reference<'a> {
    fn block(&mut self, path: &str, schema: &'a Value) {
        let title = if path.is_empty() {
            "The file".to_owned()
        } else {
            format!("`{path}`")
        };
        let description = schema["description"].as_str().unwrap_or_default();
        writeln!(self.out, "\n## {title}\n\n{}\n", one_line(description)).unwrap();
        if let Some(choices) = schema["oneOf"].as_array() {
            let keys: Vec<String> = choices
                .iter()
                .map(|one| format!("`{}`", text(&one["required"][0])))
                .collect();
            writeln!(self.out, "Exactly one of {} is written.\n", keys.join(", ")).unwrap();
        }
        self.out
            .push_str("| key | value | meaning |\n|---|---|---|\n");
        let required = schema["required"].as_array();
        let mut inner = Vec::new();
        for (key, schema) in schema["properties"].as_object().into_iter().flatten() {
            let kind = kind(schema);
            let must = if required.is_some_and(|keys| keys.iter().any(|one| one == key)) {
                " Required."
            } else {
                ""
            };
            let description = one_line(text(&schema["description"]));
            let mut see = String::new();
            if let Some((name, suffix)) = block_of(schema) {
                let below = join(path, key) + suffix;
                let place = self.written.get(name).cloned();
                let target = place.clone().unwrap_or_else(|| below.clone());
                write!(see, " [→](#{})", anchor(&target)).unwrap();
                if place.is_none() {
                    self.written.insert(name, below.clone());
                    inner.push((below, name));
                }
            }
            writeln!(self.out, "| `{key}` | {kind} | {description}{must}{see} |").unwrap();
        }
        for (below, name) in inner {
            self.block(&below, &self.definitions[name]);
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn one_line(text: &str) -> String {
    text.trim().replace('\n', " ").replace('|', "\\|")
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// The anchor of a heading: lower case, letters, digits, `-` and `_` only.
fn anchor(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        .collect()
}

/// The block in a value, directly or as an item.
fn block_of(schema: &Value) -> Inner<'_> {
    schema.as_object()?;
    if let Some(reference) = schema["$ref"].as_str() {
        return reference.strip_prefix("#/$defs/").map(|name| (name, ""));
    }
    let mut choices = schema["anyOf"].as_array().into_iter().flatten();
    let among = |value| block_of(value).map(|(name, _)| name);
    choices
        .find_map(block_of)
        .or_else(|| among(&schema["items"]).map(|name| (name, "[]")))
        .or_else(|| among(&schema["additionalProperties"]).map(|name| (name, ".<name>")))
}

/// The type of a value, as text.
fn kind(schema: &Value) -> String {
    if schema["$ref"].is_string() {
        return "block".to_owned();
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        // Every value may also be a string with a variable; the page mentions this once.
        let kinds: Vec<String> = choices
            .iter()
            .filter(|one| !is_variable(one))
            .map(kind)
            .filter(|kind| !kind.is_empty())
            .collect();
        return kinds.join(" or ");
    }
    if let Some(word) = schema["const"].as_str() {
        return format!("`{word}`");
    }
    if let Some(words) = schema["enum"].as_array() {
        return words
            .iter()
            .map(|word| format!("`{}`", text(word)))
            .collect::<Vec<_>>()
            .join(", ");
    }
    match text(&schema["type"]) {
        "integer" if schema["minimum"] == schema["maximum"] => format!("`{}`", schema["minimum"]),
        "integer" | "number" => format!("number, {} to {}", schema["minimum"], schema["maximum"]),
        "boolean" => "`true`, `false`".to_owned(),
        "array" => format!("list: {}", kind(&schema["items"])),
        "object" => format!("map of names: {}", kind(&schema["additionalProperties"])),
        "string" => match text(&schema["pattern"]) {
            pattern if pattern.contains("(h|m|s|ms)") => "duration".to_owned(),
            pattern if pattern.contains("KiB") => "size".to_owned(),
            _ => "text".to_owned(),
        },
        other => panic!("the reference knows no {other:?}: {schema}"),
    }
}

fn is_variable(schema: &Value) -> bool {
    schema["type"] == "string" && text(&schema["pattern"]).starts_with(r"\$\{env:")
}

fn reference() -> String {
    let schema = json_schema();
    let none = Map::new();
    let definitions = schema["$defs"].as_object().unwrap_or(&none);
    let mut reference = Reference {
        definitions,
        written: HashMap::new(),
        out: String::new(),
    };
    reference.block("", &schema);
    reference.out
}

#[test]
fn the_reference_is_what_the_schema_says() {
    let file = workspace().join("docs/configuration.md");
    let page = fs::read_to_string(&file).unwrap();
    let (by_hand, generated) = page
        .split_once(MARKER)
        .expect("the marker is before the generated part");
    let now = reference();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&file, format!("{by_hand}{MARKER}{now}")).unwrap();
        return;
    }
    assert!(
        generated == now,
        "docs/configuration.md is out of date; run UPDATE_DOCS=1 cargo test -p outrigger-config --test docs"
    );
}
