//! Imports point one way: between crates, between the rooms of the proxy, and never from filter to filter.
//!
//! The lists of exceptions are short, each with its reason; one that is no longer needed fails too.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::{read, workspace};

/// Rooms of the proxy; a room imports only rooms after it, or in the same line.
const ORDER: &[&[&str]] = &[
    &["cli"],
    &["control"],
    &["admin", "evaluation"],
    &["serve"],
    &["listener"],
    &["edge"],
    &["connection"],
    &["worker"],
    &["view", "respond"],
    &["snapshot"],
    &["chain"],
    &["forward", "ext_auth", "rate_limit", "mirror"],
    &["upstream", "jwks", "monitoring"],
    &["tls"],
    &["telemetry", "codec"],
];

/// The same of `transport`.
const TRANSPORT_ORDER: &[&[&str]] = &[
    &["probe"],
    &["client", "connect"],
    &["race", "dns"],
    &["tls", "address", "credentials"],
];

/// Who imports against the order, and why it may.
const AGAINST_THE_ORDER: &[(&str, &str, &str)] = &[
    (
        "admin",
        "control",
        "the servers show control::shared and leave notes for the control loop, which starts them",
    ),
    (
        "chain",
        "view",
        "a chain is built over what its worker has for its configuration: the view",
    ),
];

/// What every filter may import.
const SHARED: &[&str] = &[
    "service", "step", "error", "reason", "context", "identity", "claims", "host", "path",
    "recycle", "cookie",
];

/// Filter to filter, and why.
const SIBLINGS: &[(&str, &str, &str)] = &[
    (
        "context",
        "concurrency",
        "a place is kept as long as the exchange, in the shared context",
    ),
    (
        "context",
        "hop_by_hop",
        "what was found in the head is kept for the way back, in the shared context",
    ),
    (
        "context",
        "jwt",
        "a token is verified once for a request, and what was found out waits in the shared context",
    ),
    (
        "context",
        "owned_headers",
        "what the proxy says about a request waits in the shared context until it is sent",
    ),
    (
        "reason",
        "grpc",
        "the status of gRPC follows from that of HTTP, and is a column of the table of reasons",
    ),
    (
        "ext_auth",
        "claim_headers",
        "names that an app reads as one name are one for both",
    ),
];

/// What each crate may use, without and with its tests.
const CRATES: &[(&str, &[&str], &[&str])] = &[
    ("config", &[], &["outrigger-features"]),
    ("filters", &["outrigger-config"], &["outrigger-features"]),
    ("inject", &["outrigger-config"], &["outrigger-features"]),
    ("transport", &["outrigger-config"], &["outrigger-features"]),
    (
        "decision",
        &["outrigger-config", "outrigger-filters"],
        &["outrigger-features"],
    ),
    (
        "monitor",
        &["outrigger-config", "outrigger-transport"],
        &["outrigger-features"],
    ),
    (
        "proxy",
        &[
            "outrigger-config",
            "outrigger-filters",
            "outrigger-inject",
            "outrigger-logs",
            "outrigger-monitor",
            "outrigger-transport",
            "outrigger-decision",
        ],
        &["outrigger-features", "outrigger-loadtest"],
    ),
    (
        "logs",
        &["outrigger-config", "outrigger-transport"],
        &["outrigger-features"],
    ),
    ("loadtest", &[], &["outrigger-features"]),
    ("features", &[], &[]),
];

/// All sources below a folder.
pub(crate) fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The names right behind `crate::` in code: one, or those of a braced list.
fn crate_names(code: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let Some(list) = rest.strip_prefix('{') else {
            names.extend(first_word(rest));
            continue;
        };
        let mut depth = 0;
        let mut item = String::new();
        for character in list.chars() {
            match character {
                ',' if depth == 0 => names.extend(first_word(&std::mem::take(&mut item))),
                '}' if depth == 0 => break,
                '{' => depth += 1,
                '}' => depth -= 1,
                _ if depth == 0 => item.push(character),
                _ => {}
            }
        }
        names.extend(first_word(&item));
    }
    names
}

fn first_word(text: &str) -> Option<String> {
    let word: String = text
        .trim_start()
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect();
    word.starts_with(|c: char| c.is_lowercase()).then_some(word)
}

/// Which room of a crate imports which others, with one file as evidence.
fn imports(folder: &str) -> BTreeSet<(String, String, String)> {
    let root = workspace().join(folder);
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut found = BTreeSet::new();
    for file in files {
        let inside = file.strip_prefix(&root).unwrap();
        let room = inside
            .components()
            .next()
            .unwrap()
            .as_os_str()
            .to_string_lossy();
        let room = room.trim_end_matches(".rs").to_owned();
        let text = fs::read_to_string(&file).unwrap();
        let code: String = text
            .lines()
            .map(|line| line.split("//").next().unwrap_or(""))
            .collect::<Vec<_>>()
            .join("\n");
        for name in crate_names(&code) {
            if name != room && room != "lib" && room != "main" {
                found.insert((room.clone(), name, inside.display().to_string()));
            }
        }
    }
    found
}

/// What is against a rule and not excepted, and exceptions that nothing needs.
fn complaints(
    found: &BTreeSet<(String, String, String)>,
    allowed: &[(&str, &str, &str)],
    is_fine: impl Fn(&str, &str) -> bool,
) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut needed = BTreeSet::new();
    for (from, to, file) in found.iter().filter(|(from, to, _)| !is_fine(from, to)) {
        match allowed.iter().find(|(a, b, _)| a == from && b == to) {
            Some(exception) => drop(needed.insert(*exception)),
            None => complaints.push(format!("{file}: {from} must not import {to}")),
        }
    }
    let idle = allowed
        .iter()
        .filter(|exception| !needed.contains(*exception));
    complaints.extend(
        idle.map(|(from, to, _)| format!("{from} imports {to} no longer; take it off the list")),
    );
    complaints
}

#[test]
fn crates_use_only_what_they_may() {
    for (krate, normal, tests) in CRATES {
        let manifest = read(&format!("{krate}/Cargo.toml"));
        let mut section = "";
        for line in manifest.lines() {
            if line.starts_with('[') {
                section = line;
            }
            let name = line.split(['.', ' ', '=']).next().unwrap_or("");
            if section.contains("dependencies") && name.starts_with("outrigger-") {
                let in_tests = section == "[dev-dependencies]" && tests.contains(&name);
                assert!(
                    normal.contains(&name) || in_tests,
                    "{krate} must not use {name} in {section}"
                );
            }
        }
    }
}

#[test]
fn decisions_have_no_runtime_and_no_sockets() {
    let manifest = read("decision/Cargo.toml");
    let used = manifest
        .split("[dependencies]")
        .nth(1)
        .and_then(|rest| rest.split("\n[").next())
        .unwrap();
    for library in ["tokio", "socket2", "rustix", "hyper", "rustls", "tracing"] {
        let named = used.lines().any(|line| line.starts_with(library));
        assert!(!named, "decision must not use {library}");
    }
}

fn assert_in_order(folder: &str, order: &[&[&str]], against: &[(&str, &str, &str)], least: usize) {
    let place = |room: &str| {
        let found = order.iter().position(|rooms| rooms.contains(&room));
        found.unwrap_or_else(|| panic!("give {folder}/{room} its place in the order"))
    };
    let found = imports(folder);
    assert!(
        found.len() > least,
        "the use lines have another form now: {found:?}"
    );
    let wrong = complaints(&found, against, |from, to| place(from) <= place(to));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_rooms_of_the_proxy_import_in_one_direction() {
    assert_in_order("proxy/src", ORDER, AGAINST_THE_ORDER, 20);
}

#[test]
fn the_rooms_of_transport_import_in_one_direction() {
    assert_in_order("transport/src", TRANSPORT_ORDER, &[], 3);
}

#[test]
fn the_drawing_shows_the_rooms_in_their_order() {
    let page = read("docs/architecture.md");
    let drawing = page
        .split("subgraph rooms")
        .nth(1)
        .unwrap()
        .split("\n  end")
        .next()
        .unwrap();
    let drawn: Vec<&str> = drawing.split('"').skip(1).step_by(2).collect();
    let rooms: Vec<String> = ORDER.iter().map(|rooms| rooms.join(", ")).collect();
    assert_eq!(
        drawn, rooms,
        "left: docs/architecture.md, right: the order here"
    );
}

#[test]
fn a_filter_never_imports_a_sibling() {
    let found = imports("filters/src");
    assert!(
        found.len() > 10,
        "the use lines have another form now: {found:?}"
    );
    let wrong = complaints(&found, SIBLINGS, |_, to| SHARED.contains(&to));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_list_behind_crate_is_read_to_its_first_words() {
    let code = "use crate::{ a::{b, c}, d, e::f, G };\nuse crate::h::i;\nlet x = crate::j::k();";
    let names: Vec<String> = crate_names(code).into_iter().collect();
    assert_eq!(names, ["a", "d", "e", "h", "j"]);
}
