//! A file of the spool: chunks one after the other, each with its length and checksum.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    chunk::{Chunk, RecordHead},
    source::identity::Verified,
};

const MAGIC: &[u8; 8] = b"OUTRSPL1";

/// The length and the checksum before each chunk.
const PREFIX: usize = 8;

/// A longer chunk cannot have been written by us.
const LONGEST: u32 = 256 << 20;

/// A file of the spool.
#[derive(Debug)]
pub(super) struct Segment {
    path: PathBuf,
    /// The number of its first chunk.
    pub(super) first: u64,
    /// How many chunks it has.
    pub(super) count: u64,
    /// How many bytes it has.
    pub(super) bytes: u64,
    /// Open while it is written.
    file: Option<File>,
}

/// What is read of a segment, chunk by chunk.
#[derive(Debug)]
pub(super) struct SegmentReader {
    input: BufReader<File>,
    /// The number of the next chunk.
    pub(super) next: u64,
}

impl Segment {
    /// A new one for chunks from number `first`.
    pub(super) fn create(directory: &Path, first: u64) -> io::Result<Self> {
        let path = directory.join(format!("{first:020}.seg"));
        let mut file = File::create(&path)?;
        file.write_all(MAGIC)?;
        Ok(Self {
            path,
            first,
            count: 0,
            bytes: MAGIC.len() as u64,
            file: Some(file),
        })
    }

    /// The segments that an earlier run left, in order.
    pub(super) fn all(directory: &Path) -> io::Result<Vec<Self>> {
        let mut segments = Vec::new();
        for entry in fs::read_dir(directory)?.flatten() {
            let path = entry.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            let first = stem.and_then(|stem| stem.parse().ok());
            if let (Some(first), true) = (first, path.extension() == Some("seg".as_ref())) {
                segments.push(Self {
                    bytes: entry.metadata().map_or(0, |one| one.len()),
                    path,
                    first,
                    count: 0,
                    file: None,
                });
            }
        }
        segments.sort_by_key(|one| one.first);
        Ok(segments)
    }

    /// Writes one more chunk; after an error the segment is as it was.
    pub(super) fn append(&mut self, payload: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
        let prefix = [length.to_le_bytes(), crc32fast::hash(payload).to_le_bytes()].concat();
        let written = file
            .write_all(&prefix)
            .and_then(|()| file.write_all(payload));
        if let Err(error) = written {
            // A torn chunk would hide what follows.
            file.set_len(self.bytes)?;
            file.seek(SeekFrom::Start(self.bytes))?;
            return Err(error);
        }
        self.bytes += (PREFIX + payload.len()) as u64;
        self.count += 1;
        Ok(())
    }

    /// Nothing more is written to it.
    pub(super) fn close(&mut self) {
        if let Some(file) = self.file.take() {
            // A crash of the machine then loses nothing that the log files themselves do not have.
            let _ = file.sync_data();
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Reads it from its beginning.
    pub(super) fn read(&self) -> io::Result<SegmentReader> {
        let mut input = BufReader::with_capacity(16 * 1024, File::open(&self.path)?);
        let mut magic = [0; MAGIC.len()];
        input.read_exact(&mut magic)?;
        if magic != *MAGIC {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(SegmentReader {
            input,
            next: self.first,
        })
    }

    /// Counts its chunks after a restart; whether all of it can be used.
    pub(super) fn check(&mut self, mut each: impl FnMut(&Chunk)) -> bool {
        let Ok(mut reader) = self.read() else {
            return false;
        };
        let mut good = MAGIC.len() as u64;
        loop {
            match reader.chunk() {
                Ok(Some((chunk, length))) => {
                    each(&chunk);
                    self.count += 1;
                    good += (PREFIX + length) as u64;
                }
                Ok(None) => {
                    let whole = good == self.bytes;
                    self.bytes = good;
                    return whole;
                }
                Err(_) => {
                    self.bytes = good;
                    return false;
                }
            }
        }
    }

    /// Removes the file.
    pub(super) fn remove(self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(file = %self.path.display(), %error, "logs: a file of the spool cannot be removed");
        }
    }
}

impl SegmentReader {
    /// The next chunk with its length; `None` at the end, also where the last one was not written to its end.
    pub(super) fn chunk(&mut self) -> io::Result<Option<(Chunk, usize)>> {
        let mut prefix = [0; PREFIX];
        if !filled(&mut self.input, &mut prefix)? {
            return Ok(None);
        }
        let number = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| prefix[at + byte]));
        let (length, crc) = (number(0), number(4));
        if length > LONGEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        // What a damaged length promises is not reserved before it is there.
        let mut payload = Vec::new();
        let mut limited = (&mut self.input).take(u64::from(length));
        limited.read_to_end(&mut payload)?;
        if payload.len() < length as usize {
            return Ok(None);
        }
        if crc32fast::hash(&payload) != crc {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let chunk = decode(&payload).ok_or(io::ErrorKind::InvalidData)?;
        self.next += 1;
        Ok(Some((chunk, payload.len())))
    }
}

/// Whether the whole buffer could be filled.
fn filled(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match input.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// The bytes of a chunk.
pub fn encode(chunk: &Chunk) -> Vec<u8> {
    let name = chunk.source.as_bytes();
    let heads = chunk.records.len() * 20;
    let mut out = Vec::with_capacity(64 + name.len() + heads + chunk.documents.len());
    out.extend_from_slice(&(name.len() as u32).to_le_bytes());
    out.extend_from_slice(name);
    for number in [chunk.key, chunk.start, chunk.end, chunk.verified.offset] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(&chunk.verified.crc.to_le_bytes());
    out.extend_from_slice(&(chunk.records.len() as u32).to_le_bytes());
    for record in &chunk.records {
        out.extend_from_slice(&record.offset.to_le_bytes());
        out.extend_from_slice(&record.time.to_le_bytes());
        out.extend_from_slice(&record.document_end.to_le_bytes());
    }
    out.extend_from_slice(&chunk.documents);
    out
}

/// Reads the bytes of a chunk; `None` when they do not fit together.
pub fn decode(mut bytes: &[u8]) -> Option<Chunk> {
    let length = take_u32(&mut bytes)? as usize;
    let name = std::str::from_utf8(take(&mut bytes, length)?).ok()?;
    let [key, start, end, offset] = [0; 4].map(|_| take_u64(&mut bytes));
    let crc = take_u32(&mut bytes)?;
    let count = take_u32(&mut bytes)? as usize;
    let mut heads = take(&mut bytes, count.checked_mul(20)?)?;
    let mut records = Vec::with_capacity(count);
    let mut before = 0;
    for _ in 0..count {
        let record = RecordHead {
            offset: take_u64(&mut heads)?,
            time: take_u64(&mut heads)?.cast_signed(),
            document_end: take_u32(&mut heads)?,
        };
        if record.document_end < before {
            return None;
        }
        before = record.document_end;
        records.push(record);
    }
    (before as usize == bytes.len()).then_some(())?;
    Some(Chunk {
        source: Arc::from(name),
        key: key?,
        start: start?,
        end: end?,
        verified: Verified {
            offset: offset?,
            crc,
        },
        records,
        documents: bytes.to_vec(),
    })
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    let taken = take(bytes, 4)?;
    taken.try_into().ok().map(u32::from_le_bytes)
}

fn take_u64(bytes: &mut &[u8]) -> Option<u64> {
    let taken = take(bytes, 8)?;
    taken.try_into().ok().map(u64::from_le_bytes)
}
