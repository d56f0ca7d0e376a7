//! README, docs and deploy are correct about the configuration file.
//!
//! Every fenced `yaml` block and every embedded `outrigger.yaml` is loaded, and the reference in
//! `docs/configuration.md` equals the schema. `UPDATE_DOCS=1 cargo test -p outrigger-config --test
//! docs` writes the reference again; review the diff.
#![allow(clippy::unwrap_used, reason = "a failure of a test is a panic")]

#[path = "../certificates/mod.rs"]
mod certificates;
mod manifests;
mod reference;
mod yaml;

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

/// All files with `extension` in the workspace's folder itself and below `folders`, by path.
fn files(folders: &[&str], extension: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = folders
        .iter()
        .map(|folder| workspace().join(folder))
        .collect();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() && !folder.ends_with(".") {
                open.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found.sort();
    found
}
