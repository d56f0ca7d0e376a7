//! The folders that everything is read from, and reads that treat what is missing as absent.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// A file of the kernel that is read whole is never longer than this; `limits`, `status` and `cgroup` have at most a few KiB.
const MOST_BYTES: u64 = 256 * 1024;

/// Where the kernel's files are. Other folders than the usual ones serve `hostPath` mounts and tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    /// The mount of procfs. Usually `/proc`.
    pub proc: PathBuf,
    /// The mount of the cgroup hierarchies. Usually `/sys/fs/cgroup`.
    pub cgroup: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self {
            proc: PathBuf::from("/proc"),
            cgroup: PathBuf::from("/sys/fs/cgroup"),
        }
    }
}

/// A small file, or `None` where it is missing, unreadable, or belongs to a process that has just ended.
pub(crate) fn read(path: &Path) -> Option<Vec<u8>> {
    use io::Read;

    let mut content = Vec::new();
    let file = fs::File::open(path).ok()?;
    file.take(MOST_BYTES).read_to_end(&mut content).ok()?;
    Some(content)
}

/// The same as text; bytes that are not UTF-8 are replaced.
pub(crate) fn read_text(path: &Path) -> Option<String> {
    Some(match String::from_utf8(read(path)?) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

/// A file that holds one number.
pub(crate) fn number(path: &Path) -> Option<u64> {
    read_text(path)?.trim().parse().ok()
}

/// The value behind `key` in lines of `key value`, as in `cpu.stat`.
pub(crate) fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(char::is_whitespace)?;
        (name.trim_end_matches(':') == key)
            .then(|| value.trim().parse().ok())
            .flatten()
    })
}
