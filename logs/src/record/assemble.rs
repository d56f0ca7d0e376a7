//! The records of one file, from its bytes: lines, parts of the container runtime, lines that belong together.

use std::{borrow::Cow, time::Duration};

use tokio::time::Instant;

use super::{
    Flags, Framer, Line, Piece,
    cri::{self, Stream},
    multiline::{self, Multiline},
};

/// How long a line waits for its newline once its file has stopped growing. A writer that flushes blocks may need seconds.
pub(crate) const NEWLINE_TIMEOUT: Duration = Duration::from_secs(5);

/// How records are put together.
#[derive(Debug, Clone)]
pub struct AssemblerSettings {
    /// The most bytes of a line, and of a line in parts.
    pub max_line: usize,
    /// Whether a container runtime writes the file.
    pub cri: bool,
    /// How lines are joined.
    pub multiline: Option<multiline::Settings>,
}

/// Puts the records of one file together.
#[derive(Debug)]
pub struct Assembler {
    framer: Framer,
    joining: Joining,
    /// When a line without a newline is sent as it is.
    newline_deadline: Option<Instant>,
}

/// What is between lines and records.
#[derive(Debug)]
struct Joining {
    cri: bool,
    max: usize,
    /// A line whose end has not come, for each stream.
    parts: [Option<Piece<'static>>; 2],
    /// Lines that may go on; one for each stream.
    multiline: [Option<Multiline>; 2],
    lines: u64,
    cut_bytes: u64,
}

impl Assembler {
    /// For a file that is read from `position`.
    pub fn new(position: u64, settings: &AssemblerSettings) -> Self {
        let multiline = || settings.multiline.clone().map(Multiline::new);
        Self {
            framer: Framer::new(position, settings.max_line),
            joining: Joining {
                cri: settings.cri,
                max: settings.max_line,
                parts: [None, None],
                multiline: [multiline(), multiline()],
                lines: 0,
                cut_bytes: 0,
            },
            newline_deadline: None,
        }
    }

    /// Where the next block begins.
    pub fn position(&self) -> u64 {
        self.framer.position()
    }

    /// Every record that begins before this offset was given.
    pub fn complete(&self) -> u64 {
        let joining = &self.joining;
        let parts = joining.parts.iter().flatten().map(|piece| piece.start);
        let records = joining
            .multiline
            .iter()
            .flatten()
            .filter_map(Multiline::start);
        parts
            .chain(records)
            .chain([self.framer.start()])
            .min()
            .unwrap_or(0)
    }

    /// Whether something waits for more bytes.
    pub fn has_pending(&self) -> bool {
        self.complete() < self.position()
    }

    /// Whether a hole may be skipped here.
    pub fn at_line_start(&self) -> bool {
        !self.framer.has_pending()
    }

    /// Passes a hole of `length` bytes at the beginning of a line.
    pub fn skip_hole(&mut self, length: u64) {
        self.framer.skip_hole(length);
    }

    /// Lines read, bytes cut off and NULs skipped since this was last asked.
    pub fn take_counts(&mut self) -> (u64, u64, u64) {
        let joining = &mut self.joining;
        (
            std::mem::take(&mut joining.lines),
            std::mem::take(&mut joining.cut_bytes),
            self.framer.take_nuls(),
        )
    }

    /// The next block.
    pub fn push(&mut self, block: &[u8], now: Instant, emit: &mut dyn FnMut(Piece<'_>)) {
        let Self {
            framer, joining, ..
        } = self;
        framer.push(block, |line| joining.line(&line, now, emit));
        self.newline_deadline = self.framer.has_pending().then(|| now + NEWLINE_TIMEOUT);
    }

    /// When there may be something to give without more bytes.
    pub fn deadline(&self) -> Option<Instant> {
        let records = self.joining.multiline.iter().flatten();
        records
            .filter_map(Multiline::deadline)
            .chain(self.newline_deadline)
            .min()
    }

    /// Gives what has waited long enough.
    pub fn expire(&mut self, now: Instant, emit: &mut dyn FnMut(Piece<'_>)) {
        let Self {
            framer, joining, ..
        } = self;
        if self.newline_deadline.is_some_and(|at| at <= now) {
            framer.flush(|line| joining.line(&line, now, emit));
            self.newline_deadline = None;
        }
        for records in joining.multiline.iter_mut().flatten() {
            if records.deadline().is_some_and(|at| at <= now) {
                records.flush(&mut *emit);
            }
        }
    }

    /// Gives everything: nothing more will come.
    pub fn finish(&mut self, now: Instant, emit: &mut dyn FnMut(Piece<'_>)) {
        let Self {
            framer, joining, ..
        } = self;
        framer.flush(|line| joining.line(&line, now, emit));
        self.newline_deadline = None;
        joining.finish(now, emit);
    }
}

impl Joining {
    fn line(&mut self, line: &Line<'_>, now: Instant, emit: &mut dyn FnMut(Piece<'_>)) {
        self.lines += 1;
        self.cut_bytes += line.cut;
        let text = String::from_utf8_lossy(line.bytes);
        let mut flags = Flags::default();
        if line.cut > 0 {
            flags = flags.with(Flags::TRUNCATED);
        }
        if line.partial {
            flags = flags.with(Flags::PARTIAL);
        }
        if let Cow::Owned(_) = text {
            flags = flags.with(Flags::INVALID_UTF8);
        }
        let piece = Piece {
            start: line.start,
            text,
            time: None,
            stream: None,
            flags,
            problem: None,
        };
        if self.cri && !(piece.text.is_empty()) {
            self.runtime_line(piece, now, emit);
        } else {
            self.text_line(piece, now, emit);
        }
    }

    fn runtime_line(&mut self, piece: Piece<'_>, now: Instant, emit: &mut dyn FnMut(Piece<'_>)) {
        let line = match cri::parse(&piece.text) {
            Ok(line) => line,
            Err(problem) => {
                let problem = Some(problem);
                return emit(Piece { problem, ..piece });
            }
        };
        let waiting = &mut self.parts[line.stream as usize];
        let Some(mut whole) = waiting.take() else {
            let whole = Piece {
                text: Cow::Borrowed(line.content),
                time: Some(line.time),
                stream: Some(line.stream),
                ..piece
            };
            if line.partial {
                *waiting = Some(whole.into_owned());
            } else {
                self.text_line(whole, now, emit);
            }
            return;
        };
        whole.flags = whole.flags.with(piece.flags);
        let room = self.max.saturating_sub(whole.text.len());
        let kept = super::frame::boundary(line.content.as_bytes(), room.min(line.content.len()));
        whole.text.to_mut().push_str(&line.content[..kept]);
        if kept < line.content.len() {
            self.cut_bytes += (line.content.len() - kept) as u64;
            whole.flags = whole.flags.with(Flags::TRUNCATED);
        }
        if line.partial {
            *waiting = Some(whole);
        } else {
            self.text_line(whole, now, emit);
        }
    }

    fn text_line(&mut self, piece: Piece<'_>, now: Instant, emit: &mut dyn FnMut(Piece<'_>)) {
        let stream = piece.stream.map_or(0, |stream: Stream| stream as usize);
        match &mut self.multiline[stream] {
            Some(records) => records.push(piece, now, emit),
            None if piece.text.is_empty() => {}
            None => emit(piece),
        }
    }

    fn finish(&mut self, now: Instant, emit: &mut dyn FnMut(Piece<'_>)) {
        for stream in 0..self.parts.len() {
            if let Some(mut part) = self.parts[stream].take() {
                part.flags = part.flags.with(Flags::PARTIAL);
                self.text_line(part, now, emit);
            }
            if let Some(records) = &mut self.multiline[stream] {
                records.flush(&mut *emit);
            }
        }
    }
}

impl Piece<'_> {
    fn into_owned(self) -> Piece<'static> {
        Piece {
            start: self.start,
            text: Cow::Owned(self.text.into_owned()),
            time: self.time,
            stream: self.stream,
            flags: self.flags,
            problem: self.problem,
        }
    }
}
