//! Reads a response: interim responses are skipped, the body is framed by its head.

use std::cell::RefCell;

use super::super::failure::{Failure, FailureKind};
use super::super::tally::Answer;
use super::super::verify::{Inspection, Verifier};
use super::chunks::Chunks;
use super::head::{Framing, Head, Memo};

/// A response that is being read.
pub(super) struct Reading<'a> {
    verifier: &'a Verifier,
    state: State<'a>,
}

enum State<'a> {
    Head,
    Body(Body<'a>),
    Complete(Body<'a>),
}

struct Body<'a> {
    head: Head,
    rest: Rest,
    inspection: Inspection<'a>,
}

/// The rest of a body.
enum Rest {
    Bytes(u64),
    Chunks(Box<Chunks>),
    UntilEnd,
}

impl<'a> Reading<'a> {
    pub(super) fn new(verifier: &'a Verifier) -> Self {
        Self {
            verifier,
            state: State::Head,
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        matches!(self.state, State::Complete(_))
    }

    /// Whether the connection can be reused after this response.
    pub(super) fn keeps_connection(&self) -> bool {
        matches!(&self.state, State::Complete(body) if body.head.keeps_connection)
    }

    /// Parses received bytes, and returns how many were used; the rest must be passed again with
    /// more.
    pub(super) fn take(&mut self, data: &[u8], heads: &RefCell<Memo>) -> Result<usize, Failure> {
        let mut taken = 0;
        while matches!(self.state, State::Head) {
            let Some(head) = heads.borrow_mut().read(&data[taken..])? else {
                return Ok(taken);
            };
            taken += head.length;
            if !head.is_interim() {
                self.state = State::Body(Body::new(head, self.verifier));
            }
        }
        if let State::Body(body) = &mut self.state {
            taken += body.take(&data[taken..])?;
            if body.rest.is_over() {
                self.complete();
            }
        }
        Ok(taken)
    }

    /// The peer has closed its side.
    pub(super) fn end(&mut self) -> Result<(), Failure> {
        match &self.state {
            State::Body(Body {
                rest: Rest::UntilEnd,
                ..
            }) => {
                self.complete();
                Ok(())
            }
            State::Head => Err(Failure::new(
                FailureKind::Closed,
                "connection closed before the head was complete",
            )),
            _ => Err(Failure::new(
                FailureKind::Closed,
                "connection closed in the middle of the body",
            )),
        }
    }

    fn complete(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Head) {
            State::Body(body) => State::Complete(body),
            other => other,
        };
    }

    /// The verdict on a complete response.
    ///
    /// # Panics
    /// If it is not complete.
    pub(super) fn into_answer(self) -> Answer {
        let State::Complete(Body {
            head, inspection, ..
        }) = self.state
        else {
            unreachable!("only a complete response has a verdict");
        };
        Answer {
            status: Some(head.status),
            length: inspection.length(),
            verdict: inspection.verdict(),
        }
    }
}

impl<'a> Body<'a> {
    fn new(head: Head, verifier: &'a Verifier) -> Self {
        let rest = match head.framing {
            _ if verifier.is_bodiless() => Rest::Bytes(0),
            Framing::Length(length) => Rest::Bytes(length),
            Framing::Chunked => Rest::Chunks(Box::default()),
            Framing::UntilEnd => Rest::UntilEnd,
        };
        Self {
            rest,
            inspection: verifier.inspect(head.status, head.announced),
            head,
        }
    }

    fn take(&mut self, data: &[u8]) -> Result<usize, Failure> {
        let taken = match &mut self.rest {
            Rest::Bytes(left) => {
                let count = data.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= count as u64;
                self.inspection.data(&data[..count]);
                count
            }
            Rest::UntilEnd => {
                self.inspection.data(data);
                data.len()
            }
            Rest::Chunks(chunks) => {
                let taken = chunks.take(data, |data| self.inspection.data(data))?;
                if chunks.is_over() {
                    self.inspection.trailer(chunks.announced()?);
                }
                taken
            }
        };
        Ok(taken)
    }
}

impl Rest {
    fn is_over(&self) -> bool {
        match self {
            Self::Bytes(left) => *left == 0,
            Self::Chunks(chunks) => chunks.is_over(),
            Self::UntilEnd => false,
        }
    }
}
