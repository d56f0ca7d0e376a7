//! Parses and writes single header lines, and the lines around them.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

use outrigger_filters::recycle::names;

/// The text of a line from `start` on, without surrounding spaces and tabs and without CR, and its
/// position.
#[inline]
pub(crate) fn trim(line: &[u8], mut start: usize) -> (usize, &[u8]) {
    let mut value = &line[start..];
    value = value.strip_suffix(b"\r").unwrap_or(value);
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
        start += 1;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    (start, value)
}

/// Why a line is not a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoField {
    NoColon,
    /// The text before the colon, of this many bytes, is not a name. This includes folded lines,
    /// which start with a space, and spaces before the colon: a name contains no space.
    Name(usize),
}

/// Name and value of a line, and the position of the value.
#[inline]
pub(crate) fn split(line: &[u8]) -> Result<(HeaderName, usize, &[u8]), NoField> {
    // Names are short: a simple loop is faster than a search with a set-up cost.
    let colon = line
        .iter()
        .position(|byte| *byte == b':')
        .ok_or(NoField::NoColon)?;
    let name = names::name(&line[..colon]).ok_or(NoField::Name(colon))?;
    let (start, value) = trim(line, colon + 1);
    Ok((name, start, value))
}

/// One plain decimal number that fits 64 bits: no sign, list, hex or space (RFC 9110 section 8.6).
#[inline]
pub(crate) fn length(value: &[u8]) -> Option<u64> {
    let mut length = 0_u64;
    for byte in value {
        let digit = Some(byte)
            .filter(|byte| byte.is_ascii_digit())
            .map(|byte| u64::from(byte - b'0'));
        length = digit.and_then(|digit| length.checked_mul(10)?.checked_add(digit))?;
    }
    Some(length).filter(|_| !value.is_empty())
}

/// The tokens of a list, without surrounding spaces.
pub(crate) fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

/// Whether a list contains this token, ignoring case.
pub(crate) fn lists(value: &[u8], token: &[u8]) -> bool {
    tokens(value).any(|one| one.eq_ignore_ascii_case(token))
}

/// Whether one of these values of `Trailer` names a header. Trailers that were not announced are
/// not sent: a recipient may ignore or misinterpret them.
pub(crate) fn announces(announced: &[HeaderValue], name: &HeaderName) -> bool {
    announced
        .iter()
        .any(|value| lists(value.as_bytes(), name.as_str().as_bytes()))
}

/// Writes a header line.
pub(crate) fn write(out: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    let name = name.as_str().as_bytes();
    out.reserve(name.len() + value.len() + ": \r\n".len());
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

pub(crate) fn write_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"content-length: ");
    out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Writes the size line of a chunk.
pub(crate) fn write_chunk_size(out: &mut Vec<u8>, size: usize) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = (usize::BITS - size.leading_zeros()).div_ceil(4).max(1);
    out.extend(
        (0..digits)
            .rev()
            .map(|place| DIGITS[(size >> (4 * place)) & 15]),
    );
    out.extend_from_slice(b"\r\n");
}

/// Writes the last chunk, followed by those of `trailers` that were announced.
pub(crate) fn write_last_chunk(
    out: &mut Vec<u8>,
    trailers: Option<&HeaderMap>,
    announced: &[HeaderValue],
) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers
        .into_iter()
        .flatten()
        .filter(|(name, _)| announces(announced, name))
    {
        write(out, name, value.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

/// Takes a section of headers up to its empty line from the front of `buffer`. Each line ends with
/// CR LF; a bare LF is an error. `None` while it is incomplete.
pub(crate) fn take_section(
    buffer: &mut BytesMut,
    most: usize,
    most_fields: usize,
) -> Result<Option<HeaderMap>, &'static str> {
    let (mut line, mut count) = (0, 0);
    for end in memchr::memchr_iter(b'\n', buffer) {
        match &buffer[line..end] {
            _ if end >= most => return Err("too many bytes of headers"),
            b"\r" => return section(&buffer.split_to(end + 1).freeze(), count).map(Some),
            [.., b'\r'] => count += 1,
            _ => return Err("a bare LF"),
        }
        if count > most_fields {
            return Err("too many headers");
        }
        line = end + 1;
    }
    if buffer.len() >= most {
        Err("too many bytes of headers")
    } else {
        Ok(None)
    }
}

fn section(bytes: &Bytes, count: usize) -> Result<HeaderMap, &'static str> {
    const BAD: &str = "a malformed header";
    let mut fields = HeaderMap::with_capacity(count);
    for line in bytes[..bytes.len() - 2].split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let (name, _, value) = split(line).map_err(|_| BAD)?;
        fields.append(name, HeaderValue::from_bytes(value).map_err(|_| BAD)?);
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_size_is_written_in_hex_without_zeros_in_front() {
        for size in [
            0,
            1,
            9,
            10,
            15,
            16,
            255,
            256,
            4096,
            65_535,
            65_536,
            1 << 40,
            usize::MAX,
        ] {
            let mut out = Vec::new();
            write_chunk_size(&mut out, size);
            assert_eq!(String::from_utf8(out).unwrap(), format!("{size:x}\r\n"));
        }
    }

    #[test]
    fn a_length_is_digits_and_nothing_else() {
        assert_eq!(
            [&b"0"[..], b"18446744073709551615", b"007"].map(length),
            [Some(0), Some(u64::MAX), Some(7)]
        );
        for bad in [
            "",
            "+1",
            "-1",
            "1 ",
            "1,1",
            "0x1",
            "18446744073709551616",
            "\u{665}",
        ] {
            assert_eq!(length(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn a_section_ends_with_its_empty_line_and_has_no_bare_lf() {
        let mut buffer = BytesMut::from("a: 1\r\nb:\t2 \r\na: 3\r\n\r\nnext");
        let fields = take_section(&mut buffer, 100, 3).unwrap().unwrap();
        assert_eq!(
            (fields.len(), &fields["b"], &buffer[..]),
            (3, &HeaderValue::from_static("2"), &b"next"[..])
        );
        assert_eq!(
            take_section(&mut BytesMut::from("\r\n"), 100, 3)
                .unwrap()
                .unwrap()
                .len(),
            0
        );
        for unfinished in ["", "a", "a: 1\r\n", "a: 1\r\n\r", "\r"] {
            assert!(
                take_section(&mut BytesMut::from(unfinished), 100, 3)
                    .unwrap()
                    .is_none(),
                "{unfinished:?}"
            );
        }
        for bad in [
            "\n",
            "a: 1\n\r\n",
            "a: 1\r\n\n",
            "a\r\n\r\n",
            "a : 1\r\n\r\n",
            " a: 1\r\n\r\n",
            ": 1\r\n\r\n",
            "a: \0\r\n\r\n",
            "a: b\rc\r\n\r\n",
        ] {
            assert!(
                take_section(&mut BytesMut::from(bad), 100, 3).is_err(),
                "{bad:?}"
            );
        }
        assert!(take_section(&mut BytesMut::from("a: 1\r\n"), 6, 3).is_err());
        assert!(
            take_section(
                &mut BytesMut::from("a: 1\r\na: 1\r\na: 1\r\na: 1\r\n"),
                100,
                3
            )
            .is_err()
        );
    }
}
