//! Every file of the fuzz corpus is passed to its target, complete and truncated at every byte
//! (`docs/security.md` 25).
//!
//! So findings of the fuzzer are regression tests that need no fuzzer.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a failure is a panic"
)]

#[path = "../../fuzz/targets.rs"]
mod targets;

use std::path::{Path, PathBuf};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus")
}

#[test]
fn every_file_of_the_corpus_keeps_the_promises_of_its_target() {
    for (name, target) in targets::ALL {
        let folder = corpus().join(name);
        let files: Vec<_> = folder
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert!(files.len() >= 3, "{name} has a corpus");
        for file in files {
            println!("{}", file.display());
            let content = std::fs::read(&file).unwrap();
            target(&content);
            // Most files are small; for a large one every 17th position is enough.
            let step = if content.len() > 400 { 17 } else { 1 };
            (0..content.len())
                .step_by(step)
                .for_each(|end| target(&content[..end]));
        }
    }
}

#[test]
fn every_target_has_a_program_and_every_folder_a_target() {
    let names: std::collections::BTreeSet<_> = targets::ALL
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    let in_folder = |folder: PathBuf| -> std::collections::BTreeSet<String> {
        let stem = |path: PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
        folder
            .read_dir()
            .unwrap()
            .map(|entry| stem(entry.unwrap().path()))
            .collect()
    };
    assert_eq!(in_folder(corpus()), names);
    assert_eq!(in_folder(corpus().join("../fuzz_targets")), names);
}
