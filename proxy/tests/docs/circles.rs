//! No files of a crate import each other in a circle, so that each can be read, and moved, with what it stands on alone.
//!
//! A file may name what stands in the `mod.rs` of its own folder: there a folder has what its files share. Circles that
//! remain are listed, each with its reason; one that is no longer needed fails too.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use crate::{imports::sources, workspace};

/// Whose files are looked at.
const CRATES: &[&str] = &[
    "config",
    "filters",
    "decision",
    "transport",
    "monitor",
    "proxy",
    "inject",
    "logs",
    "loadtest",
];

/// Files of a crate that import each other, and why they may.
const CIRCLES: &[(&str, &[&str], &str)] = &[
    (
        "proxy",
        &["admin/mod.rs", "control/mod.rs"],
        "the control loop starts the servers; they report what it could not bind in its own words",
    ),
    (
        "proxy",
        &["chain.rs", "view.rs"],
        "a view builds a chain when a route is first used, over what the view has",
    ),
    (
        "proxy",
        &[
            "codec/http2/connection.rs",
            "codec/http2/receive.rs",
            "codec/http2/stream.rs",
        ],
        "one state in three files: frames that come, and what its streams ask of a connection",
    ),
    (
        "loadtest",
        &["simulator/answer.rs", "simulator/endpoint.rs"],
        "an endpoint serves connections, and an answer is made of what the endpoint is and draws",
    ),
];

/// A module's path in the crate, in its words.
type Module = Vec<String>;

/// Files, by the module that each one is.
struct Crate {
    files: BTreeMap<Module, String>,
    texts: BTreeMap<String, String>,
}

impl Crate {
    fn read(folder: &str) -> Self {
        let root = workspace().join(folder);
        let mut found: Vec<PathBuf> = Vec::new();
        sources(&root, &mut found);
        let (mut files, mut texts) = (BTreeMap::new(), BTreeMap::new());
        for file in found {
            let name = file.strip_prefix(&root).unwrap().display().to_string();
            let text = fs::read_to_string(&file).unwrap();
            let code: Vec<&str> = text
                .lines()
                .map(|line| line.split("//").next().unwrap_or(""))
                .collect();
            files.insert(module(&name), name.clone());
            texts.insert(name, code.join("\n"));
        }
        Self { files, texts }
    }

    /// The file in which a path ends, or the nearest one above.
    fn file_of(&self, path: &[String]) -> Option<&String> {
        (1..=path.len())
            .rev()
            .find_map(|length| self.files.get(&path[..length]))
    }

    /// What a file imports, without the `mod.rs` of its own folders.
    fn imports(&self, file: &str) -> BTreeSet<&str> {
        let own = module(file);
        let targets = paths(&self.texts[file])
            .into_iter()
            .filter_map(|path| self.file_of(&absolute(&own, path)));
        let is_above = |target: &str| {
            target
                .strip_suffix("mod.rs")
                .is_some_and(|folder| file.starts_with(folder))
        };
        targets
            .map(String::as_str)
            .filter(|target| *target != file && !is_above(target))
            .collect()
    }

    /// Files that can be reached from one.
    fn reached<'a>(edges: &BTreeMap<&'a str, BTreeSet<&'a str>>, from: &str) -> BTreeSet<&'a str> {
        let mut reached = BTreeSet::new();
        let mut next: Vec<&str> = edges[from].iter().copied().collect();
        while let Some(file) = next.pop() {
            if reached.insert(file) {
                next.extend(&edges[file]);
            }
        }
        reached
    }

    /// Files that reach each other.
    fn circles(&self) -> BTreeSet<Vec<&str>> {
        let edges: BTreeMap<&str, BTreeSet<&str>> = self
            .files
            .values()
            .map(|file| (file.as_str(), self.imports(file)))
            .collect();
        let reached: BTreeMap<&str, BTreeSet<&str>> = edges
            .keys()
            .map(|file| (*file, Self::reached(&edges, file)))
            .collect();
        let in_circle = |file: &&&str| reached[**file].contains(**file);
        let with = |file: &&str| {
            let back = |other: &&&str| reached[**other].contains(*file);
            reached[*file].iter().filter(back).copied().collect()
        };
        edges.keys().filter(in_circle).map(with).collect()
    }
}

/// The module that a file is.
fn module(file: &str) -> Module {
    let words = file.trim_end_matches(".rs").trim_end_matches("/mod");
    words
        .split('/')
        .filter(|word| *word != "lib")
        .map(str::to_owned)
        .collect()
}

/// A path from the crate's root.
fn absolute(own: &[String], path: Vec<String>) -> Module {
    let mut from = match path[0].as_str() {
        "crate" => Vec::new(),
        _ => own.to_vec(),
    };
    for word in path {
        match word.as_str() {
            "crate" | "self" => {}
            "super" => drop(from.pop()),
            _ => from.push(word),
        }
    }
    from
}

/// All paths that begin with `crate`, `super` or `self`; those of a braced list one by one.
fn paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for root in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(root) {
            let is_inner =
                code[..at].ends_with(|c: char| c == ':' || c == '_' || c.is_alphanumeric());
            if !is_inner {
                read_path(&code[at..], Vec::new(), &mut found);
            }
        }
    }
    found
}

/// Reads one path; what stands behind it.
fn read_path<'a>(
    mut code: &'a str,
    mut words: Vec<String>,
    found: &mut Vec<Vec<String>>,
) -> &'a str {
    loop {
        code = code.trim_start();
        if let Some(mut list) = code.strip_prefix('{') {
            loop {
                list = list.trim_start_matches(|c: char| c == ',' || c.is_whitespace());
                if list.is_empty() || list.starts_with('}') {
                    return list.get(1..).unwrap_or("");
                }
                list = read_path(list, words.clone(), found);
            }
        }
        let is_word = |c: char| c == '_' || c == '*' || c.is_alphanumeric();
        let end = code.find(|c| !is_word(c)).unwrap_or(code.len());
        if end == 0 {
            found.push(words);
            return code.get(1..).unwrap_or("");
        }
        words.push(code[..end].to_owned());
        code = &code[end..];
        let Some(rest) = code.strip_prefix("::") else {
            found.push(words);
            let renamed = code
                .trim_start()
                .strip_prefix("as ")
                .map(|name| name.trim_start_matches(is_word));
            return renamed.unwrap_or(code);
        };
        code = rest;
    }
}

#[test]
fn no_files_of_a_crate_import_each_other_in_a_circle() {
    for krate in CRATES {
        let sources = Crate::read(&format!("{krate}/src"));
        let imports: usize = sources
            .files
            .values()
            .map(|file| sources.imports(file).len())
            .sum();
        assert!(
            imports > 10,
            "{krate}: the use lines have another form now: {imports}"
        );
        let listed = CIRCLES.iter().filter(|(of, ..)| of == krate);
        let expected: BTreeSet<Vec<&str>> = listed.map(|(_, files, _)| files.to_vec()).collect();
        assert_eq!(
            sources.circles(),
            expected,
            "left: {krate}/src, right: the list here"
        );
    }
}

#[test]
fn a_path_is_read_to_its_file() {
    let code = "use crate::{ a::{b, c as d}, e };\nuse super::f::G;\nlet x = self::h::i();";
    let own = ["k", "l"].map(str::to_owned);
    let found: Vec<String> = paths(code)
        .into_iter()
        .map(|path| absolute(&own, path).join("/"))
        .collect();
    assert_eq!(found, ["a/b", "a/c", "e", "k/f/G", "k/l/h/i"]);
}
