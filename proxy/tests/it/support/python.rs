//! A Python with one package, in a virtual environment below the target folder.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A Python that has `package`, a requirement of pip, and can import `module`. It is installed once and kept from one run
/// to the next; `None`, said loudly, where it cannot be had.
pub fn python_with(package: &str, module: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(package);
    std::fs::create_dir_all(&folder).unwrap();
    // Other tests, of this process or another one, wait until it is there.
    let lock = std::fs::File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    let venv = folder.join("venv");
    let python = venv.join("bin/python");
    let has_it = || succeeds(Command::new(&python).args(["-c", &format!("import {module}")]));
    let makes = || {
        let made = ["-m", "venv", "--clear"];
        succeeds(Command::new("python3").args(made).arg(&venv))
    };
    let installs = || {
        let pip =
            "-m pip install --quiet --disable-pip-version-check --only-binary=:all: --timeout=20";
        succeeds(Command::new(&python).args(pip.split(' ')).arg(package))
    };
    let found = has_it() || makes() && installs() && has_it();
    if !found {
        eprintln!("SKIPPED: python3 with venv is not there, or {package} cannot be installed");
    }
    found.then_some(python)
}

fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .output()
        .is_ok_and(|output| output.status.success())
}
