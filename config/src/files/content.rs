//! Reading one file, and what to say when that fails.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::Path,
};

/// Bytes of a file; a larger one is none that a configuration is or names.
pub(crate) const MAX_BYTES: usize = 1 << 20;

/// The content of a regular file, at most one byte over the limit: enough to see that it is too large.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let kind = fs::metadata(path)?;
    if kind.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !kind.is_file() {
        // Reading a pipe can block for ever.
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

/// Why a file cannot be read, in plain words.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        _ => error.to_string(),
    }
}

/// What to do about it.
pub(crate) fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "check the path, and that the volume is mounted",
        io::ErrorKind::PermissionDenied => {
            "make it, and the folders above it, readable for this process's user"
        }
        io::ErrorKind::IsADirectory => "name the file inside it",
        io::ErrorKind::InvalidInput => "name a regular file",
        _ => "check the volume it lies on",
    }
}
