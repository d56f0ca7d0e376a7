//! Reading one file, and messages for failures.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::Path,
};

/// Maximum bytes of a file. A larger file is neither a configuration nor a file that one names.
pub(crate) const MAX_BYTES: usize = 1 << 20;

/// The content of a regular file, at most one byte over the limit: enough to detect that it is too
/// large.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let kind = fs::metadata(path)?;
    if kind.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !kind.is_file() {
        // Reading a pipe can block forever.
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not a regular file",
        ));
    }
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX) + 1;
    let mut content = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut content)?;
    Ok(content)
}

/// Why a file cannot be read.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        _ => error.to_string(),
    }
}

/// How to fix it.
pub(crate) fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "check the path, and that the volume is mounted",
        io::ErrorKind::PermissionDenied => {
            "make it and its parent folders readable for the user of this process"
        }
        io::ErrorKind::IsADirectory => "write the path of a file inside it",
        io::ErrorKind::InvalidInput => "write the path of a regular file",
        _ => "check the volume of the file",
    }
}
