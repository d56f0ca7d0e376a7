//! Evaluates `/proc/self/mountinfo` for a file.

use std::{
    ffi::OsString,
    fs,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::Path,
};

/// Whether a file can never change: it is itself a mount point, as with a Kubernetes `subPath`, so
/// a new generation of the volume does not reach it. `false` when this cannot be determined.
pub fn cannot_update(path: &Path) -> bool {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    fs::canonicalize(path).is_ok_and(|real| is_mount_point(&table, &real))
}

/// Whether `path` is a mount point in a table of mounts (proc_pid_mountinfo(5)).
fn is_mount_point(table: &str, path: &Path) -> bool {
    table
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .any(|point| unescape(point) == path.as_os_str())
}

/// Decodes `\040` and similar escapes of space, tab, line feed and backslash.
fn unescape(text: &str) -> OsString {
    let bytes = OsString::from(text).as_bytes().to_vec();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let octal = text.get(at + 1..at + 4).filter(|_| bytes[at] == b'\\');
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 4;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    OsString::from_vec(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
        22 1 0:20 / / rw,relatime - overlay overlay rw\n\
        30 22 8:1 /var/lib/kubelet/pods/1/volume-subpaths/conf/0 /etc/outrigger/outrigger.yaml ro,relatime - ext4 /dev/sda1 rw\n\
        31 22 8:1 /x /etc/with\\040space/a.yaml ro - ext4 /dev/sda1 rw\n\
        32 22 0:30 / /etc/volume ro shared:1 - tmpfs tmpfs rw\n";

    #[test]
    fn a_sub_path_is_a_mount_point_and_a_file_in_a_volume_is_not() {
        for (path, expected) in [
            ("/etc/outrigger/outrigger.yaml", true),
            ("/etc/with space/a.yaml", true),
            ("/etc/volume/outrigger.yaml", false),
            ("/etc/outrigger", false),
            ("/etc/volume", true),
        ] {
            assert_eq!(is_mount_point(TABLE, Path::new(path)), expected, "{path}");
        }
        assert!(!is_mount_point("", Path::new("/a")));
        assert!(!is_mount_point("broken\n\n1 2 3", Path::new("/a")));
    }
}
