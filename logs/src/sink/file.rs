//! `type: file`: lines of JSON in a file, which is rotated by size.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::FileExt,
    path::PathBuf,
};

use super::{Attempt, Batch};

/// A file of lines.
#[derive(Debug)]
pub struct FileSink {
    path: PathBuf,
    max_bytes: u64,
    keep: u32,
    open: Option<(File, u64)>,
}

impl FileSink {
    /// In a file that is rotated at `max_bytes`, to `PATH.1`, `PATH.2` and so on; `keep` of them stay.
    pub fn new(path: PathBuf, max_bytes: u64, keep: u32) -> Self {
        Self {
            path,
            max_bytes,
            keep,
            open: None,
        }
    }

    /// Writes what is left of a batch.
    pub fn send(&mut self, batch: &mut Batch) -> Attempt {
        let mut lines = Vec::with_capacity(batch.bytes() + batch.left());
        for record in batch.records() {
            lines.extend_from_slice(record.document);
            lines.push(b'\n');
        }
        match self.write(&lines) {
            Ok(()) => {
                batch.settle_all();
                Attempt::Progress
            }
            Err(error) => {
                self.open = None;
                Attempt::retry(format!("{}: {error}", self.path.display()))
            }
        }
    }

    /// All lines or none.
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if self
            .open
            .as_ref()
            .is_some_and(|(_, size)| *size >= self.max_bytes)
        {
            self.open = None;
            self.rotate()?;
        }
        let path = &self.path;
        let (file, size) = match &mut self.open {
            Some(open) => open,
            none => {
                let file = OpenOptions::new()
                    .create(true)
                    .read(true)
                    .append(true)
                    .open(path)?;
                let size = whole_lines(&file)?;
                file.set_len(size)?;
                none.insert((file, size))
            }
        };
        if let Err(error) = file.write_all(lines) {
            // A line that was cut would be garbage, and its batch is written again.
            file.set_len(*size)?;
            return Err(error);
        }
        *size += lines.len() as u64;
        Ok(())
    }

    fn rotate(&self) -> io::Result<()> {
        let name = |number: u32| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        if self.keep == 0 {
            return fs::remove_file(&self.path);
        }
        for number in (1..self.keep).rev() {
            match fs::rename(name(number), name(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.path, name(1))
    }
}

/// Where the last whole line ends: a process that was killed may have left a part of one, which is written again.
fn whole_lines(file: &File) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    let mut block = [0; 8 * 1024];
    while end > 0 {
        let length = block.len().min(usize::try_from(end).unwrap_or(usize::MAX));
        let start = end - length as u64;
        file.read_exact_at(&mut block[..length], start)?;
        if let Some(last) = memchr::memrchr(b'\n', &block[..length]) {
            return Ok(start + last as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}
