//! Words that hide the actor of a sentence ("nobody", "is told") do not occur in sources and
//! documents: `CONTRIBUTING.md`, "Language".
//!
//! Folders that still contain them are listed, so that the list can only shrink: an entry for a
//! folder without such words fails too.

use std::{
    fs,
    path::{Path, PathBuf},
};

use regex::Regex;

use crate::workspace;

/// Folders that are not rewritten yet.
const NOT_YET: [&str; 0] = [];

/// The first five are rejected as a part of an identifier too.
const WORDS: &str = r"(?i)whoever|somebody|nobody|anybody|everybody|\bwhom\b|\b(is|are) told\b|\bwho is known\b|\bwhat comes of it\b";

const EXTENSIONS: [&str; 4] = ["rs", "md", "yaml", "toml"];

/// This file contains the words.
const SELF: &str = "proxy/tests/docs/words.rs";

/// All files to check below `folder`, without build results and hidden folders.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                files(&path, found);
            }
        } else if path
            .extension()
            .is_some_and(|end| EXTENSIONS.iter().any(|known| end == *known))
        {
            found.push(path);
        }
    }
}

/// The text of a paragraph on one line, so that `is` and `told` are found across a line break.
fn joined(text: &str) -> String {
    let lines = text
        .lines()
        .map(|line| line.trim().trim_start_matches(['/', '!', '#', '|']).trim());
    lines.collect::<Vec<_>>().join(" ")
}

/// Each occurrence of a word, with the path of its file and the text around it.
fn occurrences() -> Vec<(String, String)> {
    let words = Regex::new(&format!(r"(\S+ ){{0,4}}\S*({WORDS})\S*( \S+){{0,4}}")).unwrap();
    let root = workspace();
    let mut paths = Vec::new();
    files(&root, &mut paths);
    assert!(paths.len() > 400, "only {} files were found", paths.len());
    let mut found = Vec::new();
    for path in paths {
        let name = path.strip_prefix(&root).unwrap().display().to_string();
        if name != SELF {
            let text = joined(&fs::read_to_string(&path).unwrap());
            let matches = words.find_iter(&text);
            found.extend(matches.map(|one| (name.clone(), one.as_str().to_owned())));
        }
    }
    found
}

#[test]
fn sentences_name_their_actor() {
    let found = occurrences();
    let is_in = |path: &str, folder: &str| Path::new(path).starts_with(folder);
    let wrong: Vec<String> = found
        .iter()
        .filter(|(path, _)| !NOT_YET.iter().any(|folder| is_in(path, folder)))
        .map(|(path, text)| format!("{path}: {text}"))
        .collect();
    assert!(
        wrong.is_empty(),
        "name the actor instead (CONTRIBUTING.md, \"Language\"):\n{}",
        wrong.join("\n")
    );
    for folder in NOT_YET {
        assert!(
            found.iter().any(|(path, _)| is_in(path, folder)),
            "{folder} contains no such word any more; remove it from NOT_YET"
        );
    }
}

#[test]
fn words_are_found_in_identifiers_and_across_lines() {
    let words = Regex::new(WORDS).unwrap();
    for text in [
        "fn reaches_nobody() {",
        "/// the client is\n    /// told the reason",
        "# Whom to trust",
    ] {
        assert!(words.is_match(&joined(text)), "{text}");
    }
    for text in ["the toldest", "this told me so", "who knows"] {
        assert!(!words.is_match(text), "{text}");
    }
}
