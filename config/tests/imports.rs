//! Imports point downwards: each file of the crate imports only from its own room and from rooms
//! below, and there are no import cycles between files. A re-exported name counts as an import of
//! the file that defines it.

#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The rooms from top to bottom; a room imports only rooms below it, or in the same line.
const ORDER: &[&[&str]] = &[
    &["lib"],
    // Loading and reloading a file.
    &["reload"],
    &["load"],
    // The accepted configuration as other crates see it.
    &["model"],
    &["diff"],
    // The file as a whole.
    &["check"],
    &["file"],
    // Its blocks.
    &["route"],
    &[
        "provider",
        "rate_limit",
        "redis",
        "logs",
        "upstream",
        "app",
        "listener",
        "monitor",
    ],
    &["telemetry", "server", "workers", "reloading", "lifecycle"],
    // Types that several blocks share.
    &["jwks", "secret", "tls"],
    &["part"],
    &["files", "strict_json"],
    // The foundation of every block.
    &["block"],
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The paths after `crate::` in code; a braced list is split.
fn paths(code: &str) -> Vec<String> {
    code.split("crate::")
        .skip(1)
        .flat_map(|rest| taken_apart("", rest))
        .collect()
}

/// The paths at the start of a text, each with the prefix `before`.
fn taken_apart(before: &str, text: &str) -> Vec<String> {
    let text = text.trim_start();
    if let Some(list) = text.strip_prefix('{') {
        return items(list)
            .iter()
            .flat_map(|item| taken_apart(before, item))
            .collect();
    }
    let word: String = text
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect();
    let path = if before.is_empty() {
        word.clone()
    } else {
        format!("{before}::{word}")
    };
    match text[word.len()..].strip_prefix("::") {
        Some(rest) => taken_apart(&path, rest),
        None => vec![path.trim_end_matches("::self").to_owned()],
    }
}

/// The items of a list up to the brace that closes it.
fn items(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut items) = (0, 0, Vec::new());
    for (at, character) in list.char_indices() {
        match character {
            ',' | '}' if depth == 0 => {
                items.push(list[start..at].trim());
                start = at + 1;
                if character == '}' {
                    break;
                }
            }
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    items.retain(|item| !item.is_empty());
    items
}

/// The crate: the code of each module that is a file, by its path.
fn modules() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut modules = BTreeMap::new();
    for file in files {
        let inside = file
            .strip_prefix(&root)
            .unwrap()
            .with_extension("")
            .display()
            .to_string();
        let module = inside.trim_end_matches("/mod").replace('/', "::");
        let text = fs::read_to_string(&file).unwrap();
        let code: Vec<&str> = text
            .lines()
            .map(|line| line.split("//").next().unwrap_or(""))
            .collect();
        let parent = module.rsplit_once("::").map_or("", |(parent, _)| parent);
        // Inside `mod tests`, `super` is the file itself.
        let code = code.join("\n").replace("super::*", "");
        let above = if parent.is_empty() {
            "crate::".to_owned()
        } else {
            format!("crate::{parent}::")
        };
        modules.insert(module, code.replace("super::", &above));
    }
    modules
}

/// The re-exports of rooms, and their source files.
fn re_exports(modules: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (module, code) in modules {
        for statement in code.split("\npub").skip(1) {
            let Some(rest) = statement
                .trim_start_matches("(crate)")
                .strip_prefix(" use ")
            else {
                continue;
            };
            let inner = rest.strip_prefix("crate::");
            let before = if inner.is_some() { "" } else { module };
            for path in taken_apart(before, inner.unwrap_or(rest)) {
                let name = path.rsplit("::").next().unwrap().to_owned();
                found.insert(format!("{module}::{name}"), path);
            }
        }
    }
    found
}

/// The files that each file imports.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let modules = modules();
    let re_exports = re_exports(&modules);
    let file = |path: String| {
        let mut path = path;
        while let Some(origin) = re_exports.get(&path).filter(|origin| **origin != path) {
            path = origin.clone();
        }
        while !modules.contains_key(&path) {
            path = path.rsplit_once("::")?.0.to_owned();
        }
        Some(path)
    };
    let of = |code: &str| -> BTreeSet<String> {
        let private = code
            .split("\npub use ")
            .map(|part| part.split_once(';').map_or(part, |(_, rest)| rest));
        let first = code.split("\npub use ").next().unwrap_or_default();
        let code: String = std::iter::once(first).chain(private.skip(1)).collect();
        paths(&code).into_iter().filter_map(file).collect()
    };
    modules
        .iter()
        .map(|(module, code)| {
            let mut found = of(&code.replace("\npub(crate) use ", "\npub use "));
            found.remove(module);
            (module.clone(), found)
        })
        .collect()
}

#[test]
fn every_file_imports_downwards() {
    let place = |module: &str| {
        let room = module.split("::").next().unwrap();
        let found = ORDER.iter().position(|rooms| rooms.contains(&room));
        found.unwrap_or_else(|| panic!("give config/src/{room} its place in the order"))
    };
    let imports = imports();
    let count: usize = imports.values().map(BTreeSet::len).sum();
    assert!(count > 300, "the use lines have another form now");
    let mut wrong = Vec::new();
    for (from, found) in &imports {
        wrong.extend(
            found
                .iter()
                .filter(|to| place(from) > place(to))
                .map(|to| (from, to)),
        );
    }
    assert!(wrong.is_empty(), "these point upwards: {wrong:#?}");
}

#[test]
fn no_file_stands_in_a_circle() {
    let mut left = imports();
    // A file without remaining imports is in no cycle.
    loop {
        let done: Vec<String> = left
            .iter()
            .filter(|(_, found)| !found.iter().any(|to| left.contains_key(to)))
            .map(|(module, _)| module.clone())
            .collect();
        if done.is_empty() {
            break;
        }
        done.iter().for_each(|module| drop(left.remove(module)));
    }
    assert!(
        left.is_empty(),
        "these are in import cycles, or depend on one: {:#?}",
        left.keys()
    );
}

#[test]
fn paths_are_taken_out_of_lists() {
    let code =
        "use crate::{ a::{b, c::{self, D}}, e::f, G };\nuse crate::h::i;\nlet x = crate::j::k();";
    assert_eq!(
        paths(code),
        ["a::b", "a::c", "a::c::D", "e::f", "G", "h::i", "j::k"]
    );
}
