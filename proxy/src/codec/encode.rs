//! Writes the body of a message in the framing that its head declared (RFC 9112 sections 6 and 7).

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::Frame;

use super::{fields, outgoing::Outgoing};

/// How the end of a body is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// By Content-Length: this many bytes are left.
    Length(u64),
    /// By the last chunk.
    Chunked,
    /// By the close of the connection; responses only.
    UntilClose,
    /// The body has ended, or there is none, whatever its source contains.
    Done,
}

/// Writes one body.
#[derive(Debug)]
pub(crate) struct Encoder {
    framing: Framing,
    /// The values of `Trailer`: only the trailers that they name are sent.
    announced: Vec<HeaderValue>,
}

/// The body does not have the length that its head declared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WrongLength;

impl Encoder {
    pub(crate) fn new(framing: Framing) -> Self {
        let announced = Vec::new();
        Self { framing, announced }
    }

    /// Adds a value of `Trailer` from the head.
    pub(crate) fn announce(&mut self, value: HeaderValue) {
        self.announced.push(value);
    }

    pub(crate) fn framing(&self) -> Framing {
        self.framing
    }

    /// Whether the last byte is written or in the output buffer.
    pub(crate) fn is_done(&self) -> bool {
        self.framing == Framing::Done
    }

    /// Adds a frame of the body. `is_end`: it is the last, which saves a write for the last chunk.
    pub(crate) fn frame(
        &mut self,
        frame: Frame<Bytes>,
        is_end: bool,
        out: &mut Outgoing,
    ) -> Result<(), WrongLength> {
        match frame.into_data() {
            Ok(data) if data.is_empty() => Ok(()), // an empty chunk would end the body
            Ok(data) => self.data(data, is_end, out),
            Err(frame) => self.end(frame.into_trailers().ok().as_ref(), out),
        }
    }

    fn data(&mut self, data: Bytes, is_end: bool, out: &mut Outgoing) -> Result<(), WrongLength> {
        match &mut self.framing {
            Framing::Length(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or(WrongLength)?;
                if *left == 0 {
                    self.framing = Framing::Done;
                }
                out.push(data, b"");
            }
            Framing::Chunked => {
                fields::write_chunk_size(out.own(), data.len());
                out.push(data, if is_end { b"\r\n0\r\n\r\n" } else { b"\r\n" });
                if is_end {
                    self.framing = Framing::Done;
                }
            }
            Framing::UntilClose => out.push(data, b""),
            Framing::Done => {}
        }
        Ok(())
    }

    /// Ends the body, with these trailers.
    pub(crate) fn end(
        &mut self,
        trailers: Option<&HeaderMap>,
        out: &mut Outgoing,
    ) -> Result<(), WrongLength> {
        match self.framing {
            Framing::Length(_) => return Err(WrongLength),
            Framing::Chunked => fields::write_last_chunk(out.own(), trailers, &self.announced),
            Framing::UntilClose | Framing::Done => {}
        }
        self.framing = Framing::Done;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(text: &'static str) -> Frame<Bytes> {
        Frame::data(Bytes::from_static(text.as_bytes()))
    }

    /// Writes these frames; the last one is marked as the last.
    fn written(mut encoder: Encoder, frames: Vec<Frame<Bytes>>) -> String {
        let mut out = Outgoing::default();
        let last = frames.len() - 1;
        for (index, frame) in frames.into_iter().enumerate() {
            encoder.frame(frame, index == last, &mut out).unwrap();
        }
        assert!(encoder.is_done());
        String::from_utf8(std::mem::take(out.own())).unwrap()
    }

    #[test]
    fn a_body_has_the_length_that_was_declared() {
        let out = &mut Outgoing::default();
        let five = || Encoder::new(Framing::Length(5));
        let mut exact = five();
        assert!(exact.frame(data("hel"), false, out).is_ok() && !exact.is_done());
        assert!(exact.frame(data("lo"), false, out).is_ok() && exact.is_done());
        assert!(five().frame(data("hello!"), false, out).is_err(), "more");
        let mut less = five();
        assert!(
            less.frame(data("hell"), true, out).is_ok() && less.end(None, out).is_err(),
            "less"
        );
    }

    #[test]
    fn chunks_end_with_the_last_one_and_announced_trailers_alone() {
        let chunked = || Encoder::new(Framing::Chunked);
        let text = written(
            chunked(),
            vec![data("ab"), data(""), data("0123456789abcdef")],
        );
        assert_eq!(text, "2\r\nab\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n");
        let mut fields = HeaderMap::new();
        fields.insert("x-sum", HeaderValue::from_static("1"));
        fields.insert("x-other", HeaderValue::from_static("2"));
        let mut announcing = chunked();
        announcing.announce(HeaderValue::from_static("x-sum"));
        let text = written(
            announcing,
            vec![data("a"), data("b"), Frame::trailers(fields)],
        );
        assert_eq!(text, "1\r\na\r\n1\r\nb\r\n0\r\nx-sum: 1\r\n\r\n");
    }
}
