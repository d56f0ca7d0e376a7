//! Lines out of blocks of bytes.
//!
//! A line ends with LF; a CR before it is no part of the line, also when the two come in different blocks. NULs in front
//! of a line are skipped: after a truncation a writer without O_APPEND leaves a hole up to its old offset.

/// A byte order mark; some editors and Windows programs begin a file with it.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// One line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// Offset of its first byte in the file.
    pub start: u64,
    /// Without its end.
    pub bytes: &'a [u8],
    /// Bytes that were cut off because the line is longer than the limit.
    pub cut: u64,
    /// It was sent before its newline came.
    pub partial: bool,
}

/// Takes blocks, gives lines.
#[derive(Debug)]
pub struct Framer {
    max: usize,
    /// The beginning of a line whose end has not come.
    pending: Vec<u8>,
    /// Where the pending line begins.
    start: u64,
    /// Where the next block begins.
    position: u64,
    /// Bytes of the pending line that were not kept.
    cut: u64,
    /// NULs that were skipped since the last look.
    nuls: u64,
}

impl Framer {
    /// For a file that is read from `position`, with lines of at most `max` bytes.
    pub fn new(position: u64, max: usize) -> Self {
        Self {
            max,
            pending: Vec::new(),
            start: position,
            position,
            cut: 0,
            nuls: 0,
        }
    }

    /// Where the line begins whose end has not come; the position when there is none.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Where the next block begins.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Whether a line has begun.
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty() || self.cut > 0
    }

    /// NULs that were skipped since this was last asked.
    pub fn take_nuls(&mut self) -> u64 {
        std::mem::take(&mut self.nuls)
    }

    /// Passes a hole of `length` bytes that holds nothing but NULs, at the beginning of a line.
    pub fn skip_hole(&mut self, length: u64) {
        debug_assert!(!self.has_pending());
        self.nuls += length;
        self.position += length;
        self.start = self.position;
    }

    /// The next block.
    pub fn push(&mut self, mut block: &[u8], mut emit: impl FnMut(Line<'_>)) {
        while !block.is_empty() {
            if !self.has_pending() && block[0] == 0 {
                let nuls = block.iter().take_while(|byte| **byte == 0).count();
                block = &block[nuls..];
                self.skip_hole(nuls as u64);
                continue;
            }
            let Some(end) = memchr::memchr(b'\n', block) else {
                self.position += block.len() as u64;
                self.keep(block);
                return;
            };
            self.position += end as u64 + 1;
            if self.has_pending() {
                self.keep(&block[..end]);
                let line = std::mem::take(&mut self.pending);
                emit(self.line(&line, false));
                self.pending = line;
                self.pending.clear();
                // One very long line must not hold its memory for the life of the file.
                self.pending.shrink_to(8 * 1024);
            } else {
                emit(self.line(&block[..end], false));
            }
            self.cut = 0;
            self.start = self.position;
            block = &block[end + 1..];
        }
    }

    /// Gives what there is of a line whose end has not come. What follows will be a line of its own.
    pub fn flush(&mut self, mut emit: impl FnMut(Line<'_>)) {
        if self.has_pending() {
            let line = std::mem::take(&mut self.pending);
            emit(self.line(&line, true));
            self.cut = 0;
            self.start = self.position;
        }
    }

    /// Keeps at most one byte more than the limit: the last one may be a CR.
    fn keep(&mut self, bytes: &[u8]) {
        let room = (self.max + 1).saturating_sub(self.pending.len());
        let kept = bytes.len().min(room);
        self.pending.extend_from_slice(&bytes[..kept]);
        self.cut += (bytes.len() - kept) as u64;
    }

    fn line<'a>(&self, bytes: &'a [u8], partial: bool) -> Line<'a> {
        let mut bytes = bytes;
        if self.cut == 0 && !partial {
            bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        }
        let mut cut = self.cut;
        if bytes.len() > self.max {
            let end = boundary(bytes, self.max);
            cut += (bytes.len() - end) as u64;
            bytes = &bytes[..end];
        }
        if self.start == 0 {
            bytes = bytes.strip_prefix(BOM).unwrap_or(bytes);
        }
        Line {
            start: self.start,
            bytes,
            cut,
            partial,
        }
    }
}

/// The last place at or before `at` that does not stand within a character of UTF-8.
pub(super) fn boundary(bytes: &[u8], at: usize) -> usize {
    let continues = |at: &usize| bytes.get(*at).is_some_and(|byte| byte & 0xc0 == 0x80);
    let least = at.saturating_sub(3);
    (least..=at).rev().find(|at| !continues(at)).unwrap_or(at)
}
