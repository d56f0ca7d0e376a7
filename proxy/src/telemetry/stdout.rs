//! Stdout, for the thread that writes the access log.
//!
//! A pipe can be non-blocking from the start, or become so at any moment: all processes that hold
//! the pipe share the flag. A write to a full non-blocking pipe fails. [`Stdout`] waits for room
//! instead, as for a blocking pipe. It has no buffer, so the caller knows exactly which bytes were
//! written.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write},
    os::{
        fd::AsFd,
        unix::fs::{FileTypeExt, MetadataExt},
    },
};

use rustix::event::{PollFd, PollFlags, poll};

pub(crate) struct Stdout {
    file: File,
    /// It is `/dev/null`, and that was not logged yet.
    discards: bool,
}

impl Stdout {
    /// The stdout of this process.
    ///
    /// # Errors
    /// The descriptor cannot be duplicated.
    pub(crate) fn new() -> io::Result<Self> {
        let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let discards = is_null(&file).unwrap_or(false);
        Ok(Self { file, discards })
    }
}

/// Whether it is `/dev/null`. The standard library opens that in place of a stdout that is closed
/// at the start, so that no socket gets its number. Writes succeed there, and nothing else shows
/// that the lines are lost.
fn is_null(file: &File) -> io::Result<bool> {
    let (own, null) = (file.metadata()?, fs::metadata("/dev/null")?);
    Ok(own.file_type().is_char_device() && own.rdev() == null.rdev())
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if std::mem::take(&mut self.discards) {
            tracing::warn!(
                "access log is discarded: stdout is /dev/null, or was closed at the start"
            );
        }
        loop {
            match self.file.write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    poll(&mut [PollFd::new(&self.file, PollFlags::OUT)], None)?;
                }
                other => return other,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
