//! Which file is which, when names say nothing: device, inode and content.
//!
//! A name moves from file to file, an inode is given again, a device number changes with a remount, and a copy has all
//! bytes of its original. What is trusted is content: the first 256 bytes, as many as there are, and a checksum over what
//! was read. The whole of what was read is compared before a file is taken for the rest of another one, since many
//! programs begin each file with the same lines.

use std::{fs::Metadata, io, os::unix::fs::MetadataExt};

/// So many of the first bytes are compared; with fewer a file is known by its inode alone.
pub const HEAD: usize = 256;

/// Where the system keeps a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    /// The device. It may differ after a remount.
    pub device: u64,
    /// The number within it.
    pub inode: u64,
}

impl FileId {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }
}

/// The first bytes of a file, as many as were there: they grow with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Head {
    /// How many, at most [`HEAD`].
    pub length: u16,
    /// FNV-1a over them.
    pub hash: u64,
}

impl Head {
    /// Of the first bytes of a file.
    pub fn of(bytes: &[u8]) -> Self {
        let bytes = &bytes[..bytes.len().min(HEAD)];
        let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self {
            length: bytes.len() as u16,
            hash,
        }
    }

    /// Whether a file that begins with `bytes` began so. An empty head says nothing, so every file did.
    pub fn begins(&self, bytes: &[u8]) -> bool {
        bytes
            .get(..usize::from(self.length))
            .is_some_and(|bytes| Self::of(bytes) == *self)
    }

    /// Whether it is long enough to know a file by.
    pub fn is_full(&self) -> bool {
        usize::from(self.length) == HEAD
    }
}

/// A checksum over what was read of a file, from where its reading began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verified {
    /// Up to this offset.
    pub offset: u64,
    /// CRC-32 of everything from `Content::base` to there.
    pub crc: u32,
}

/// What is known of a content that was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Content {
    /// Its first bytes.
    pub head: Head,
    /// Where reading began: 0, except with `startAt: end`.
    pub base: u64,
    /// What was read.
    pub verified: Verified,
    /// Up to here it need not be read again.
    pub offset: u64,
}

impl Content {
    /// Whether a file holds this content, and maybe more. `read` gives bytes at an offset, 0 at its end.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn is_in(
        &self,
        size: u64,
        mut read: impl FnMut(&mut [u8], u64) -> io::Result<usize>,
    ) -> io::Result<bool> {
        if size < self.offset {
            return Ok(false);
        }
        let mut head = [0; HEAD];
        let length = fill(&mut head, 0, &mut read)?;
        if !self.head.begins(&head[..length]) {
            return Ok(false);
        }
        let crc = checksum(self.base, self.verified.offset, 0, &mut read)?;
        // The size of a compressed content is not known beforehand.
        let last = self.offset.checked_sub(1);
        let is_long_enough = match last {
            Some(last) => read(&mut [0], last)? == 1,
            None => true,
        };
        Ok(crc == Some(self.verified.crc) && is_long_enough)
    }

    /// Whether enough is known to find it again under another inode.
    pub fn is_distinct(&self) -> bool {
        self.head.is_full() && self.verified.offset >= self.base + HEAD as u64
    }
}

/// Reads until the buffer is full or the file ends.
pub(super) fn fill(
    buffer: &mut [u8],
    offset: u64,
    read: &mut impl FnMut(&mut [u8], u64) -> io::Result<usize>,
) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match read(&mut buffer[length..], offset + length as u64)? {
            0 => break,
            more => length += more,
        }
    }
    Ok(length)
}

/// The checksum that began with `crc`, from one offset to another; `None` when the file is too short.
pub(super) fn checksum(
    from: u64,
    to: u64,
    crc: u32,
    read: &mut impl FnMut(&mut [u8], u64) -> io::Result<usize>,
) -> io::Result<Option<u32>> {
    let mut hasher = crc32fast::Hasher::new_with_initial(crc);
    let mut buffer = vec![0; 64 * 1024];
    let mut at = from;
    while at < to {
        let room = buffer
            .len()
            .min(usize::try_from(to - at).unwrap_or(usize::MAX));
        match read(&mut buffer[..room], at)? {
            0 => return Ok(None),
            length => {
                hasher.update(&buffer[..length]);
                at += length as u64;
            }
        }
    }
    Ok(Some(hasher.finalize()))
}
