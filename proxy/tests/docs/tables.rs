//! The tables of `docs/operations.md` are complete: metrics with their labels, flags and reasons.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use crate::{read, workspace};

/// The words in backticks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// The string literals.
fn literals(text: &str) -> Vec<&str> {
    text.split('"').skip(1).step_by(2).collect()
}

/// Rows of all tables on a page whose first cell is one word in backticks: that word, and the other cells.
fn rows(page: &str) -> BTreeMap<String, Vec<String>> {
    let lines = page.lines().filter(|line| line.starts_with("| `"));
    lines
        .map(|line| {
            let mut cells = line
                .trim_matches('|')
                .split('|')
                .map(|cell| cell.trim().to_owned());
            let name = quoted(&cells.next().unwrap()).remove(0);
            (name, cells.collect())
        })
        .collect()
}

/// The flags of requests.
fn flags() -> BTreeSet<String> {
    let errors = read("filters/src/error.rs");
    let flags = errors
        .split("impl Flag")
        .nth(1)
        .unwrap()
        .split("\n}")
        .next()
        .unwrap();
    literals(flags)
        .into_iter()
        .filter(|flag| !flag.is_empty())
        .map(str::to_owned)
        .collect()
}

fn is_flag(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_uppercase())
}

#[test]
fn every_flag_is_in_the_table() {
    let written: BTreeSet<String> = rows(&read("docs/operations.md"))
        .into_keys()
        .filter(|name| is_flag(name))
        .collect();
    assert_eq!(
        written,
        flags(),
        "left: docs/operations.md, right: filters/src/error.rs"
    );
}

/// There, a row may have several.
#[test]
fn every_flag_is_in_the_table_of_the_readme() {
    let page = read("README.md");
    let table = page
        .split("| flag | status | look at |")
        .nth(1)
        .unwrap()
        .split("\n\n")
        .next()
        .unwrap();
    let first = table
        .lines()
        .filter_map(|line| line.strip_prefix('|')?.split('|').next());
    let mut written: Vec<String> = first.flat_map(quoted).collect();
    written.sort();
    assert_eq!(
        written,
        Vec::from_iter(flags()),
        "left: README.md, right: filters/src/error.rs"
    );
}

/// All sources of a crate without tests.
fn sources(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().contains("test") {
            continue;
        }
        if path.is_dir() {
            text.push_str(&sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            let source = fs::read_to_string(&path).unwrap();
            text.push_str(source.split("#[cfg(test)]").next().unwrap());
        }
    }
    text
}

/// Literals that look like a reason and are none.
const NO_REASONS: [&str; 3] = ["gcra.lua", "outrigger.access", "outrigger.yaml"];

#[test]
fn every_reason_is_told() {
    let page: BTreeSet<String> = quoted(&read("docs/operations.md").replace("```", ""))
        .into_iter()
        .collect();
    let sources = ["filters/src", "proxy/src"]
        .map(|folder| sources(&workspace().join(folder)))
        .concat();
    let is_word = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    // What stands between any two quotes, since a quote can be a literal of its own.
    let reasons: Vec<&str> = sources
        .split('"')
        .filter(|text| {
            text.split_once('.')
                .is_some_and(|(left, right)| is_word(left) && is_word(right))
        })
        .collect();
    for known in [
        "drain.timeout",
        "fault.delay",
        "limit.streams",
        "proxy_protocol.timeout",
        "request.host",
    ] {
        assert!(
            reasons.contains(&known),
            "{known} is looked for in the wrong place"
        );
    }
    let respond = read("proxy/src/respond.rs");
    let unparsed = respond
        .split("reason: \"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next());
    for reason in reasons
        .into_iter()
        .chain(unparsed)
        .filter(|reason| !NO_REASONS.contains(reason))
    {
        assert!(
            page.contains(reason),
            "docs/operations.md says nothing of `{reason}`"
        );
    }
}

#[test]
fn every_reason_of_a_failed_handshake_is_told() {
    let page: BTreeSet<String> = quoted(&read("docs/operations.md").replace("```", ""))
        .into_iter()
        .collect();
    let source = read("proxy/src/telemetry/handshakes.rs");
    let words: Vec<&str> = source
        .split(" = \"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert!(
        words.len() > 15,
        "handshakes.rs has another form now: {words:?}"
    );
    for word in words {
        assert!(
            page.contains(word),
            "docs/operations.md says nothing of `{word}`"
        );
    }
}

#[test]
fn every_reason_of_a_retry_is_told() {
    let page = read("docs/operations.md");
    let source = read("filters/src/retry/policy.rs");
    let words = source
        .split("=> \"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next());
    let words: Vec<&str> = words.collect();
    assert_eq!(words.len(), 8, "policy.rs has another form now: {words:?}");
    for word in words {
        assert!(
            page.contains(&format!("`{word}`")),
            "docs/operations.md says nothing of `{word}`"
        );
    }
}

#[test]
fn every_field_of_the_access_log_is_told() {
    let page = read("docs/operations.md");
    let writer = read("filters/src/access_log/json.rs");
    // A field is written as `"name":` in a raw string literal.
    let before = writer
        .split("\":")
        .map(|text| text.rsplit('"').next().unwrap_or(""));
    let fields: Vec<&str> = before
        .filter(|name| !name.is_empty() && name.chars().all(char::is_alphanumeric))
        .collect();
    assert_eq!(fields.len(), 21, "json.rs has another form now: {fields:?}");
    for field in fields {
        assert!(
            page.contains(&format!("`{field}`")),
            "docs/operations.md says nothing of {field}"
        );
    }
}
