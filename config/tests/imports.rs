//! Imports point downwards: each file of the crate imports only from its own room and from rooms below.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The rooms from the top to the ground; one imports only what stands below it, or beside it in the same line.
const ORDER: &[&[&str]] = &[
    &["lib"],
    // A file is loaded, and loaded again.
    &["load", "reload"],
    // What other crates see of an accepted configuration.
    &["model"],
    &["diff"],
    // The file as a whole: checked, and what it is.
    &["check"],
    &["file"],
    // Its blocks.
    &["route"],
    &["provider", "rate_limit", "redis", "upstream", "app", "listener"],
    &["telemetry", "server", "workers", "reloading", "lifecycle"],
    // What several blocks have.
    &["jwks", "secret", "tls"],
    &["part"],
    &["files", "strict_json"],
    // What every block stands on.
    &["block"],
];

/// File to room against the order, and why.
const AGAINST_THE_ORDER: &[(&str, &str, &str)] = &[];

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

/// The rooms that code imports: the first words behind `crate::`, of a braced list all.
fn rooms(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let Some(list) = rest.strip_prefix('{') else {
            found.extend(first_word(rest));
            continue;
        };
        let mut depth = 0;
        let mut item = String::new();
        for character in list.chars() {
            match character {
                ',' if depth == 0 => found.extend(first_word(&std::mem::take(&mut item))),
                '}' if depth == 0 => break,
                '{' => depth += 1,
                '}' => depth -= 1,
                _ if depth == 0 => item.push(character),
                _ => {}
            }
        }
        found.extend(first_word(&item));
    }
    found
}

fn first_word(text: &str) -> Option<String> {
    let word: String = text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    word.starts_with(|c: char| c.is_lowercase()).then_some(word)
}

#[test]
fn every_file_imports_downwards() {
    let place = |room: &str| {
        let found = ORDER.iter().position(|rooms| rooms.contains(&room));
        found.unwrap_or_else(|| panic!("give config/src/{room} its place in the order"))
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let (mut wrong, mut needed, mut seen) = (Vec::new(), BTreeSet::new(), 0);
    for file in files {
        let inside = file.strip_prefix(&root).unwrap();
        let room = inside.components().next().unwrap().as_os_str().to_string_lossy();
        let room = room.trim_end_matches(".rs");
        let text = fs::read_to_string(&file).unwrap();
        let code: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap_or("")).collect();
        for to in rooms(&code.join("\n")) {
            seen += 1;
            let file = inside.display().to_string();
            let excepted = AGAINST_THE_ORDER.iter().find(|(from, room, _)| *from == file && *room == to);
            match excepted {
                _ if place(room) <= place(&to) => {}
                Some(exception) => drop(needed.insert(*exception)),
                None => wrong.push(format!("{file} must not import {to}")),
            }
        }
    }
    assert!(seen > 100, "the use lines have another form now");
    let idle = AGAINST_THE_ORDER.iter().filter(|exception| !needed.contains(*exception));
    wrong.extend(idle.map(|(from, to, _)| format!("{from} imports {to} no longer; take it off the list")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_list_behind_crate_is_read_to_its_first_words() {
    let code = "use crate::{ a::{b, c}, d, e::f, G };\nuse crate::h::i;\nlet x = crate::j::k();";
    let names: Vec<String> = rooms(code).into_iter().collect();
    assert_eq!(names, ["a", "d", "e", "h", "j"]);
}
