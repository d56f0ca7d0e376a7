//! What becomes of each line of a file, without following or sending anything.

use std::io::{self, Read};

use tokio::time::Instant;

use crate::{
    record::{Assembler, Outcome, Piece, Report},
    source::{BLOCK, SourceSettings, unix_now},
};

/// What is done with what is seen.
pub trait Show {
    /// One record, as sinks would get it.
    ///
    /// # Errors
    /// It cannot be shown.
    fn record(&mut self, document: &[u8]) -> io::Result<()>;

    /// How many lines and records there were.
    ///
    /// # Errors
    /// It cannot be shown.
    fn end(&mut self, summary: &str) -> io::Result<()>;
}

/// One file, read by the settings of a source.
pub struct Preview<'a> {
    settings: &'a SourceSettings,
    path: &'a str,
    assembler: Assembler,
    report: Report,
    records: u64,
    lines: u64,
}

impl<'a> Preview<'a> {
    /// Of a file with this path.
    pub fn new(settings: &'a SourceSettings, path: &'a str) -> Self {
        Self {
            settings,
            path,
            assembler: Assembler::new(0, &settings.assembler),
            report: Report::default(),
            records: 0,
            lines: 0,
        }
    }

    /// Reads to the end and shows every record, then a summary.
    ///
    /// # Errors
    /// The input cannot be read, or a record not be shown.
    pub fn run(mut self, mut input: impl Read, show: &mut dyn Show) -> io::Result<()> {
        let mut buffer = vec![0; BLOCK];
        loop {
            let length = match input.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            };
            if length == 0 {
                break;
            }
            self.step(Some(&buffer[..length]), show)?;
        }
        self.step(None, show)?;
        let report = self.report;
        show.end(&format!(
            "{} lines, {} records; {} filtered, {} not parsed, {} with a bad timestamp, {} cut, {} values redacted",
            self.lines,
            self.records,
            report.filtered,
            report.parse_errors,
            report.bad_timestamps,
            report.truncated,
            report.redacted
        ))
    }

    /// One block, or the end.
    fn step(&mut self, block: Option<&[u8]>, show: &mut dyn Show) -> io::Result<()> {
        let (now, unix) = (Instant::now(), unix_now());
        let (parser, path) = (&self.settings.parser, self.path);
        let (report, records) = (&mut self.report, &mut self.records);
        let mut result = Ok(());
        let mut document = Vec::new();
        let mut emit = |piece: Piece<'_>| {
            document.clear();
            let outcome = parser.write(&piece, path, unix, &mut document, report);
            if let (Outcome::Written(_), Ok(())) = (outcome, &result) {
                *records += 1;
                result = show.record(&document);
            }
        };
        match block {
            Some(block) => self.assembler.push(block, now, &mut emit),
            None => self.assembler.finish(now, &mut emit),
        }
        self.lines += self.assembler.take_counts().0;
        result
    }
}
