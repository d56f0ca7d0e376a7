//! Reads a file at an offset, also within a compressed one.

use std::{
    fs::{File, Metadata, OpenOptions},
    io::{self, Read},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

use flate2::read::MultiGzDecoder;
use rustix::fs::{OFlags, SeekFrom};

use super::identity::{FileId, HEAD, Head, fill};

/// How gzip begins (RFC 1952 §2.3.1): two bytes of magic and the method deflate.
const GZIP: [u8; 3] = [0x1f, 0x8b, 8];

/// An open file.
#[derive(Debug)]
pub(super) enum Reader {
    Plain(File),
    Gzip(Box<Gzip>),
}

/// A compressed file. Offsets are those of its content.
#[derive(Debug)]
pub(super) struct Gzip {
    file: File,
    decoder: MultiGzDecoder<File>,
    position: u64,
}

impl Reader {
    /// Opens the file that was found. A link in its place, or another file by now, is an error: the next look finds it.
    pub(super) fn open(real: &Path, id: FileId) -> io::Result<(Self, Metadata)> {
        // A named pipe must not hold the thread.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits().cast_signed())
            .open(real)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() || FileId::of(&metadata) != id {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mut magic = [0; GZIP.len()];
        let is_gzip = file.read_at(&mut magic, 0)? == magic.len() && magic == GZIP;
        let reader = if is_gzip {
            Self::Gzip(Box::new(Gzip::new(file)?))
        } else {
            Self::Plain(file)
        };
        Ok((reader, metadata))
    }

    pub(super) fn is_compressed(&self) -> bool {
        matches!(self, Self::Gzip(_))
    }

    pub(super) fn metadata(&self) -> io::Result<Metadata> {
        match self {
            Self::Plain(file) => file.metadata(),
            Self::Gzip(gzip) => gzip.file.metadata(),
        }
    }

    /// Bytes at an offset of the content; 0 at its end.
    pub(super) fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            Self::Plain(file) => retry(|| file.read_at(buffer, offset)),
            Self::Gzip(gzip) => gzip.read_at(buffer, offset),
        }
    }

    /// The first bytes of the content.
    pub(super) fn head(&mut self) -> io::Result<Head> {
        let mut head = [0; HEAD];
        let length = fill(&mut head, 0, &mut |buffer, at| self.read_at(buffer, at))?;
        Ok(Head::of(&head[..length]))
    }

    /// Where the next bytes are that are no hole; the same offset where the file system does not say.
    pub(super) fn next_data(&self, offset: u64) -> u64 {
        match self {
            Self::Plain(file) => rustix::fs::seek(file, SeekFrom::Data(offset)).unwrap_or(offset),
            Self::Gzip(_) => offset,
        }
    }
}

impl Gzip {
    fn new(file: File) -> io::Result<Self> {
        let decoder = MultiGzDecoder::new(file.try_clone()?);
        Ok(Self {
            file,
            decoder,
            position: 0,
        })
    }

    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset < self.position {
            self.restart()?;
        }
        let mut skipped = [0; 16 * 1024];
        while self.position < offset {
            let left = usize::try_from(offset - self.position).unwrap_or(usize::MAX);
            let room = left.min(skipped.len());
            match self.read(&mut skipped[..room])? {
                0 => return Ok(0),
                _ => continue,
            }
        }
        self.read(buffer)
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = retry(|| self.decoder.read(buffer));
        match result {
            Ok(length) => {
                self.position += length as u64;
                Ok(length)
            }
            Err(error) => {
                // The decoder is of no use after an error; the file may have more bytes the next time.
                let position = self.position;
                self.restart()?;
                debug_assert!(position >= self.position);
                Err(error)
            }
        }
    }

    fn restart(&mut self) -> io::Result<()> {
        rustix::fs::seek(&self.file, SeekFrom::Start(0))?;
        self.decoder = MultiGzDecoder::new(self.file.try_clone()?);
        self.position = 0;
        Ok(())
    }
}

fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
