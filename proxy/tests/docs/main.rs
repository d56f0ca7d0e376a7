//! What README and docs say about commands, metrics and flags is true, imports point one way, and members share their libraries.
#![allow(clippy::unwrap_used, reason = "a failure of a test is a panic")]

mod circles;
mod commands;
mod features;
mod imports;
mod tables;
mod words;

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The workspace's folder.
fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// A file's text.
fn read(path: &str) -> String {
    fs::read_to_string(workspace().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// README, CONTRIBUTING and every page of docs.
fn pages() -> Vec<(String, String)> {
    let docs = fs::read_dir(workspace().join("docs")).unwrap();
    let mut names: Vec<String> = docs
        .map(|entry| format!("docs/{}", entry.unwrap().file_name().to_string_lossy()))
        .filter(|name| name.ends_with(".md"))
        .collect();
    names.extend(["README.md", "CONTRIBUTING.md"].map(str::to_owned));
    names
        .into_iter()
        .map(|name| (name.clone(), read(&name)))
        .collect()
}
