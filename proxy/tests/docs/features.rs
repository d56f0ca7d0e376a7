//! All members build shared libraries with the same features, so that each is built only once: the
//! results of `cargo test --workspace` are reused by `cargo test -p outrigger-config`.

use std::{collections::BTreeSet, process::Command};

use crate::{read, workspace};

/// Each library, its version and its features.
fn libraries(of: &[&str]) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--offline",
            "--edges",
            "normal,build,dev",
            "--prefix",
            "none",
        ])
        .args(["--format", "{p} [{f}]"])
        .args(of)
        .current_dir(workspace())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let lines = String::from_utf8(output.stdout).unwrap();
    let libraries = lines.lines().map(|line| line.trim_end_matches(" (*)"));
    // A member has its folder behind its version.
    libraries
        .filter(|line| !line.is_empty() && !line.contains("(/"))
        .map(str::to_owned)
        .collect()
}

fn members() -> Vec<String> {
    let root = read("Cargo.toml");
    let list = root
        .lines()
        .find_map(|line| line.strip_prefix("members = ["))
        .unwrap();
    let manifest = |folder: &str| read(&format!("{folder}/Cargo.toml"));
    let name = |manifest: String| {
        let line = manifest
            .lines()
            .find_map(|line| line.strip_prefix("name = "))
            .unwrap()
            .to_owned();
        line.trim_matches('"').to_owned()
    };
    list.split('"')
        .skip(1)
        .step_by(2)
        .map(|folder| name(manifest(folder)))
        .collect()
}

#[test]
fn each_member_builds_its_libraries_with_the_features_that_all_of_them_ask_for() {
    let all = libraries(&["--workspace"]);
    assert!(all.len() > 100, "the tree has another form now: {all:?}");
    for member in members() {
        let alone = libraries(&["--package", &member]);
        let others: Vec<&String> = alone.difference(&all).collect();
        assert!(
            others.is_empty(),
            "features/Cargo.toml lacks features of these, which {member} alone builds otherwise than all: {others:#?}"
        );
    }
}
