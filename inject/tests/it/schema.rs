//! What is injected is valid for Kubernetes 1.29, the first version with native sidecars, and for the newest one:
//! `kubernetes-validate` of PyPI says so. Skipped, loudly, where Python is not there or the package cannot be had.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use crate::golden;

/// The version that this was written with.
const PACKAGE: &str = "kubernetes-validate==1.37.0";

/// A Python that has the package, installed once and kept from one run to the next; `None` where it cannot be had.
pub fn python() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(PACKAGE);
    fs::create_dir_all(&folder).unwrap();
    let lock = fs::File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    let python = folder.join("venv/bin/python");
    let has_it =
        || succeeds(Command::new(&python).args(["-c", "import kubernetes_validate, yaml"]));
    let install = || {
        let pip = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--timeout=20",
            PACKAGE,
        ];
        let venv = Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(folder.join("venv"))
            .stdin(Stdio::null())
            .output();
        venv.is_ok_and(|output| output.status.success())
            && succeeds(Command::new(&python).args(pip))
    };
    let found = has_it() || install() && has_it();
    if !found {
        eprintln!("SKIPPED: python3 with venv is not there, or {PACKAGE} cannot be installed");
    }
    found.then_some(python)
}

fn succeeds(command: &mut Command) -> bool {
    let output = command.stdin(Stdio::null()).output();
    output.is_ok_and(|output| output.status.success())
}

/// Validates files for both versions; stdout has one line for each problem.
pub fn validate(python: &Path, files: &[PathBuf]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/validate.py");
    let output = Command::new(python)
        .arg(script)
        .arg("1.29,newest")
        .args(files)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

#[test]
fn every_output_is_valid_for_the_first_and_the_newest_version() {
    let Some(python) = python() else { return };
    let files: Vec<PathBuf> = golden::cases()
        .iter()
        .map(|case| golden::folder().join(format!("{}.out.yaml", case.name)))
        .filter(|path| path.exists())
        .collect();
    assert!(files.len() >= 60);
    let output = validate(&python, &files);
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(told, "", "not valid");
    let seen = String::from_utf8_lossy(&output.stderr);
    let number = seen
        .trim()
        .strip_prefix("validated ")
        .unwrap()
        .split(',')
        .next()
        .unwrap();
    assert!(number.parse::<usize>().unwrap() > 300, "{seen}");
}

#[test]
fn a_misspelled_key_would_be_noticed() {
    let Some(python) = python() else { return };
    let text = fs::read_to_string(golden::folder().join("pod.out.yaml")).unwrap();
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("misspelled.yaml");
    fs::write(
        &path,
        text.replace("readOnlyRootFilesystem", "readOnlyRootFileSystem"),
    )
    .unwrap();
    let output = validate(&python, &[path]);
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        told.matches("readOnlyRootFileSystem").count(),
        2,
        "one for each version: {told}"
    );
}
