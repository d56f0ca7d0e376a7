//! The part of the Redis protocol (RESP 2) that the script needs: commands, and three kinds of
//! replies.

use bytes::{Buf, BytesMut};

/// Longest line or string of a reply. Expected replies are far shorter; error texts are truncated
/// to this.
const MAX: usize = 4 * 1024;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// `:1`.
    Number(i64),
    /// `+OK`, or a bulk string.
    Text(String),
    /// `-NOSCRIPT …`.
    Error(String),
}

/// The bytes are not a reply to any command that was sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Appends a command.
pub(super) fn command(out: &mut Vec<u8>, words: &[&[u8]]) {
    length(out, b'*', words.len());
    for word in words {
        length(out, b'$', word.len());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

fn length(out: &mut Vec<u8>, mark: u8, number: usize) {
    out.push(mark);
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Takes one reply from the front; `None` while it is incomplete.
///
/// # Errors
/// The kind of the reply is not supported, or it is too long.
pub(super) fn take(buffer: &mut BytesMut) -> Result<Option<Reply>, Malformed> {
    let Some(end) = memchr::memmem::find(buffer, b"\r\n") else {
        return if buffer.len() > MAX {
            Err(Malformed)
        } else {
            Ok(None)
        };
    };
    let (mark, line) = buffer[..end].split_first().ok_or(Malformed)?;
    let line = std::str::from_utf8(line).map_err(|_| Malformed)?;
    let reply = match mark {
        b':' => Reply::Number(line.parse().map_err(|_| Malformed)?),
        b'+' => Reply::Text(line.to_owned()),
        b'-' => Reply::Error(line.to_owned()),
        b'$' => {
            let length: usize = line
                .parse()
                .ok()
                .filter(|length| *length <= MAX)
                .ok_or(Malformed)?;
            let begin = end + 2;
            let Some(text) = buffer.get(begin..begin + length + 2) else {
                return Ok(None);
            };
            let text = text.strip_suffix(b"\r\n").ok_or(Malformed)?;
            let text = String::from_utf8(text.to_vec()).map_err(|_| Malformed)?;
            buffer.advance(begin + length + 2);
            return Ok(Some(Reply::Text(text)));
        }
        _ => return Err(Malformed),
    };
    buffer.advance(end + 2);
    Ok(Some(reply))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_an_array_of_texts() {
        let mut out = Vec::new();
        command(&mut out, &[b"EVALSHA", b"", b"a\r\nb"]);
        assert_eq!(out, b"*3\r\n$7\r\nEVALSHA\r\n$0\r\n\r\n$4\r\na\r\nb\r\n");
    }

    #[test]
    fn replies_are_taken_one_after_the_other_however_they_are_cut() {
        let all = b":0\r\n:-17\r\n+OK\r\n-NOSCRIPT No matching script.\r\n$3\r\nabc\r\n$0\r\n\r\n";
        let expected = [
            Reply::Number(0),
            Reply::Number(-17),
            Reply::Text("OK".into()),
            Reply::Error("NOSCRIPT No matching script.".into()),
            Reply::Text("abc".into()),
            Reply::Text(String::new()),
        ];
        for step in 1..all.len() {
            let (mut buffer, mut replies) = (BytesMut::new(), Vec::new());
            for part in all.chunks(step) {
                buffer.extend_from_slice(part);
                while let Some(reply) = take(&mut buffer).unwrap() {
                    replies.push(reply);
                }
            }
            assert_eq!(replies, expected, "in steps of {step}");
            assert!(buffer.is_empty());
        }
    }

    #[test]
    fn a_reply_without_a_command_is_malformed() {
        let long = "+".to_owned() + &"a".repeat(5_000);
        for text in [
            "\r\n",
            "x\r\n",
            ":a\r\n",
            ":\r\n",
            "$-1\r\n",
            "$9999\r\n",
            "$1\r\nabc",
            "*1\r\n:1\r\n",
            &long,
        ] {
            assert_eq!(
                take(&mut BytesMut::from(text.as_bytes())),
                Err(Malformed),
                "{text:?}"
            );
        }
        assert_eq!(take(&mut BytesMut::from(&b"+\xff\r\n"[..])), Err(Malformed));
        assert_eq!(take(&mut BytesMut::from(&b"$3\r\nab"[..])), Ok(None));
    }
}
