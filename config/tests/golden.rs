//! Every bad file gets exactly the expected messages.
//!
//! `golden/NAME.yaml` is loaded and the rendered problems are compared with `golden/NAME.txt`.
//! `UPDATE_GOLDEN=1 cargo test -p outrigger-config --test golden` writes the expected files again;
//! review the diff.

// Helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

mod certificates;
mod golden_files;

use std::{
    fs,
    path::{Path, PathBuf},
};

use outrigger_config::{Severity, load_str, render_json};
use regex::Regex;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn variables(name: &str) -> Option<String> {
    (name == "PORT").then(|| "9000".to_owned())
}

/// The rendered problems of a file in `folder`, without the path of the folder and without dates.
fn rendered(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name).display().to_string();
    let rendered = match load_str(&path, text, &variables) {
        Ok(loaded) => loaded.render_warnings(false),
        Err(error) => error.render(false),
    };
    let date = Regex::new(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC").unwrap();
    date.replace_all(&rendered.replace(&path, name), "DATE")
        .into_owned()
}

fn cases() -> Vec<PathBuf> {
    let mut cases: Vec<PathBuf> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    cases.sort();
    cases
}

#[test]
fn each_bad_file_is_answered_with_the_expected_text() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let folder = tempfile::tempdir().unwrap();
    golden_files::write(folder.path());
    let mut wrong = Vec::new();
    for case in cases() {
        let text = fs::read_to_string(&case).unwrap();
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let actual = rendered(folder.path(), &name, &text);
        assert!(!actual.is_empty(), "{name} has nothing wrong");
        let expected = case.with_extension("txt");
        if update {
            fs::write(&expected, &actual).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != actual {
            wrong.push(format!("--- {name}\n{actual}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{}\n{} files differ",
        wrong.join("\n"),
        wrong.len()
    );
}

#[test]
fn every_problem_points_into_its_file_and_offers_a_way_out() {
    let cases = cases();
    assert!(cases.len() >= 55);
    let folder = tempfile::tempdir().unwrap();
    golden_files::write(folder.path());
    let name = folder.path().join("x.yaml").display().to_string();
    for case in cases {
        let text = fs::read_to_string(&case).unwrap();
        let problems = match load_str(&name, &text, &variables) {
            Ok(loaded) => loaded.warnings,
            Err(error) => error.problems(),
        };
        let lines = text.lines().count().max(1);
        for problem in &problems {
            assert!(
                (1..=lines + 1).contains(&problem.line),
                "{case:?} {problem:?}"
            );
            assert!(
                (problem.end_line, problem.end_column) >= (problem.line, problem.column),
                "{case:?}"
            );
            assert!(!problem.help.is_empty(), "{case:?} {problem:?}");
            assert!(
                problem
                    .code
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'-'),
                "{case:?}"
            );
        }
        let sorted = problems.is_sorted_by_key(|problem| (problem.line, problem.column));
        assert!(sorted, "{case:?}: {problems:?}");
    }
}

#[test]
fn programs_get_the_same_problems_as_json() {
    let error = load_str("a.yaml", "app: { prot: 8080 }\n", &variables).unwrap_err();
    let json = render_json(&error.problems());
    assert_eq!(json["valid"], false);
    let problem = &json["problems"][0];
    let keys: Vec<&String> = problem.as_object().unwrap().keys().collect();
    let expected = [
        "severity",
        "code",
        "file",
        "line",
        "column",
        "endLine",
        "endColumn",
        "path",
        "message",
        "help",
    ];
    assert_eq!(keys, expected);
    assert_eq!(problem["severity"], "error");
    assert_eq!(problem["path"], "app.prot");
    let place =
        ["line", "column", "endLine", "endColumn"].map(|key| problem[key].as_u64().unwrap());
    assert_eq!(place, [1, 8, 1, 12]);
}

#[test]
fn colour_is_only_there_when_it_is_asked_for() {
    let error = load_str("a.yaml", "app: { prot: 8080 }\n", &variables).unwrap_err();
    assert!(error.render(true).contains("\x1b[1;31m"));
    assert!(!error.render(false).contains('\x1b'));
    assert!(
        error
            .problems()
            .iter()
            .all(|problem| problem.severity == Severity::Error)
    );
}
