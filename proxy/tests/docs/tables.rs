//! The tables of `docs/operations.md` are complete: metrics with their labels, flags and reasons.

use std::collections::BTreeSet;

use crate::read;

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

/// The flags of requests.
fn flags() -> BTreeSet<String> {
    let errors = read("filters/src/reason.rs");
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
        "left: README.md, right: filters/src/reason.rs"
    );
}

#[test]
fn every_reason_of_a_retry_is_documented() {
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
