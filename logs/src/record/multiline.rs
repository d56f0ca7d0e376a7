//! Joins lines that are one record, such as a stack trace.
//!
//! A record ends when the next one begins, when no line has come for the timeout, or at its bound in bytes: then it is
//! cut and marked, and what follows begins another record, so that nothing is lost and memory stays bounded.

use std::{borrow::Cow, time::Duration};

use regex::Regex;
use tokio::time::Instant;

use super::{Flags, Piece};

/// Which lines belong together.
#[derive(Debug, Clone)]
pub enum Joins {
    /// A line that matches begins a record.
    Start(Regex),
    /// A line that matches continues the record before it.
    Continue(Regex),
}

/// How lines are joined.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which lines belong together.
    pub joins: Joins,
    /// How long after its last line a record waits for another one.
    pub timeout: Duration,
    /// The most bytes of a record.
    pub max: usize,
}

/// The record that is being joined.
#[derive(Debug)]
pub struct Multiline {
    settings: Settings,
    pending: Option<Piece<'static>>,
    /// When the pending record is complete without another line.
    deadline: Option<Instant>,
}

impl Multiline {
    /// Nothing yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            pending: None,
            deadline: None,
        }
    }

    /// Where the pending record begins.
    pub fn start(&self) -> Option<u64> {
        self.pending.as_ref().map(|piece| piece.start)
    }

    /// When the pending record is complete without another line.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether a line belongs to the record before it; only a record that has begun can go on.
    fn continues(&self, text: &str) -> bool {
        match &self.settings.joins {
            Joins::Start(pattern) => !pattern.is_match(text),
            Joins::Continue(pattern) => pattern.is_match(text),
        }
    }

    /// The next line. An empty one is part of the record that has begun, and nothing otherwise.
    pub fn push(&mut self, line: Piece<'_>, now: Instant, mut emit: impl FnMut(Piece<'_>)) {
        if self.pending.is_some() && (line.text.is_empty() || self.continues(&line.text)) {
            self.join(&line, &mut emit);
        } else {
            self.flush(&mut emit);
            if line.text.is_empty() {
                return;
            }
            self.pending = Some(Piece {
                text: Cow::Owned(line.text.into_owned()),
                ..line
            });
        }
        self.deadline = self.pending.is_some().then(|| now + self.settings.timeout);
    }

    fn join(&mut self, line: &Piece<'_>, emit: &mut impl FnMut(Piece<'_>)) {
        let Some(pending) = &mut self.pending else {
            return;
        };
        let text = pending.text.to_mut();
        if text.len() + 1 + line.text.len() <= self.settings.max {
            text.push('\n');
            text.push_str(&line.text);
            pending.flags = pending.flags.with(line.flags).with(Flags::MULTILINE);
            return;
        }
        pending.flags = pending.flags.with(Flags::TRUNCATED);
        self.flush(emit);
        if !line.text.is_empty() {
            self.pending = Some(Piece {
                text: Cow::Owned(line.text.clone().into_owned()),
                ..line.clone()
            });
        }
    }

    /// Gives the pending record.
    pub fn flush(&mut self, mut emit: impl FnMut(Piece<'_>)) {
        self.deadline = None;
        if let Some(mut piece) = self.pending.take() {
            let length = piece.text.trim_end_matches('\n').len();
            piece.text.to_mut().truncate(length);
            emit(piece);
        }
    }
}
