//! Finds the lines of a head as its bytes arrive. Each byte is scanned once, however many pieces
//! the head arrives in.

use std::ops::Range;

/// What ends a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineEnd {
    /// CR LF only: a proxy in front of this one may not treat a bare LF as a line end. For
    /// requests.
    CrLf,
    /// LF, with or without CR (RFC 9112 section 2.2). For responses, which no other proxy has
    /// parsed before.
    Lf,
}

/// Why the scan of a head stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It exceeds the limit on bytes.
    Bytes,
    /// It exceeds the limit on headers.
    Fields,
    /// A line ends with LF alone.
    BareLf,
}

/// The scan position in a head. Offsets are relative to the front of the buffer.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// End of the scanned bytes.
    at: usize,
    /// Start of the incomplete line.
    line: usize,
    /// Start of the first line: empty lines before it are skipped.
    start: usize,
    /// Positions of the LF of the first line and of each header.
    ends: Vec<u32>,
}

impl Lines {
    /// Starts with the next head.
    pub(crate) fn restart(&mut self) {
        (self.at, self.line, self.start) = (0, 0, 0);
        self.ends.clear();
    }

    /// The length of the whole head, when it is complete.
    ///
    /// # Errors
    /// The head is too long, or has a bare LF where none is allowed. The lines before it are
    /// available all the same.
    #[inline]
    pub(crate) fn find(
        &mut self,
        buffer: &[u8],
        most_bytes: usize,
        most_fields: usize,
        ended_by: LineEnd,
    ) -> Result<Option<usize>, Stop> {
        let from = self.at;
        for end in memchr::memchr_iter(b'\n', &buffer[from..]) {
            let end = from + end;
            if end >= most_bytes {
                return Err(Stop::Bytes);
            }
            let text = match &buffer[self.line..end] {
                [text @ .., b'\r'] => text,
                text if ended_by == LineEnd::Lf => text,
                _ => return Err(Stop::BareLf),
            };
            match (text.is_empty(), self.ends.len()) {
                (true, 0) => self.start = end + 1,
                (true, _) => return Ok(Some(end + 1)),
                (false, count) if count > most_fields => return Err(Stop::Fields),
                (false, _) => self.ends.push(end as u32),
            }
            self.line = end + 1;
        }
        self.at = buffer.len();
        Ok(None)
    }

    /// End of the scanned bytes.
    pub(crate) fn searched(&self) -> usize {
        self.at
    }

    /// Start of the incomplete line.
    pub(crate) fn open_line(&self) -> usize {
        self.line
    }

    /// The first line without its LF, once it is complete.
    pub(crate) fn first(&self) -> Option<Range<usize>> {
        Some(self.start..*self.ends.first()? as usize)
    }

    /// Number of complete headers.
    pub(crate) fn field_count(&self) -> usize {
        self.ends.len().saturating_sub(1)
    }

    /// The complete headers, without LF, from this one on.
    #[inline]
    pub(crate) fn fields_from(&self, first: usize) -> impl Iterator<Item = Range<usize>> {
        let ends = self.ends.get(first..).unwrap_or_default();
        ends.windows(2)
            .map(|pair| pair[0] as usize + 1..pair[1] as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts<'a>(lines: &Lines, buffer: &'a str) -> Vec<&'a str> {
        let all = lines.first().into_iter().chain(lines.fields_from(0));
        all.map(|line| &buffer[line]).collect()
    }

    #[test]
    fn lines_are_the_same_in_whatever_pieces_they_arrive() {
        let head = "\r\n\r\nfirst\r\na: b\r\n: \r\n\r\nrest";
        for cut in 0..head.len() {
            let mut lines = Lines::default();
            let early = lines.find(&head.as_bytes()[..cut], 99, 9, LineEnd::CrLf);
            let length = match early.unwrap() {
                Some(length) => length,
                None => {
                    let whole = lines.find(head.as_bytes(), 99, 9, LineEnd::CrLf);
                    whole.unwrap().unwrap()
                }
            };
            assert_eq!(&head[length..], "rest", "{cut}");
            assert_eq!(texts(&lines, head), ["first\r", "a: b\r", ": \r"], "{cut}");
        }
    }

    #[test]
    fn a_bare_lf_ends_a_line_only_where_it_may() {
        let head = "\nfirst\na: b\r\n\n";
        let mut lines = Lines::default();
        assert_eq!(
            lines.find(head.as_bytes(), 99, 9, LineEnd::Lf),
            Ok(Some(head.len()))
        );
        assert_eq!(texts(&lines, head), ["first", "a: b\r"]);
        for bad in ["\n", "first\n", "first\r\na\n", "first\r\n\n"] {
            let found = Lines::default().find(bad.as_bytes(), 99, 9, LineEnd::CrLf);
            assert_eq!(found, Err(Stop::BareLf), "{bad:?}");
        }
    }

    #[test]
    fn limits_are_kept_to_the_byte_and_the_field() {
        let head = b"first\r\na: b\r\nc: d\r\n\r\n";
        let find = |bytes, fields| Lines::default().find(head, bytes, fields, LineEnd::CrLf);
        assert_eq!(find(head.len(), 2), Ok(Some(head.len())));
        assert_eq!(find(head.len() - 1, 2), Err(Stop::Bytes));
        assert_eq!(find(head.len(), 1), Err(Stop::Fields));
    }
}
