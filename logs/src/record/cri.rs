//! Lines as the kubelet's container runtimes write them: `TIME STREAM TAGS CONTENT`.
//!
//! The format is that of the Container Runtime Interface (kubernetes/design-proposals, `kubelet-cri-logging.md`): the
//! time is RFC 3339 with nanoseconds, the stream `stdout` or `stderr`, the first tag `P` for a part of a line and `F`
//! for its end. Runtimes cut lines at 16 KiB, so a long line comes in several parts.

use super::timestamp;

/// The stream of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Its standard output.
    Stdout,
    /// Its standard error.
    Stderr,
}

impl Stream {
    /// As the runtime writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// One line of the runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CriLine<'a> {
    /// Nanoseconds since 1970.
    pub time: i64,
    /// The stream of the container.
    pub stream: Stream,
    /// Whether the line goes on in the next one of this stream.
    pub partial: bool,
    /// What the container wrote.
    pub content: &'a str,
}

/// Reads one line.
///
/// # Errors
/// What is missing, in a few words.
pub fn parse(line: &str) -> Result<CriLine<'_>, &'static str> {
    let (time, rest) = line.split_once(' ').ok_or("there is no stream")?;
    let time = timestamp::rfc3339(time).ok_or("the line does not begin with a time")?;
    let (stream, rest) = rest.split_once(' ').ok_or("there is no tag")?;
    let stream = match stream {
        "stdout" => Stream::Stdout,
        "stderr" => Stream::Stderr,
        _ => return Err("the stream is neither stdout nor stderr"),
    };
    // An empty line may have lost the space at its end.
    let (tags, content) = rest.split_once(' ').unwrap_or((rest, ""));
    let partial = match tags.split(':').next() {
        Some("P") => true,
        Some("F") => false,
        _ => return Err("the tag is neither P nor F"),
    };
    Ok(CriLine {
        time,
        stream,
        partial,
        content,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_runtime_are_read() {
        let line = parse("2016-10-06T00:17:09.669794202Z stdout F The content of the log").unwrap();
        assert_eq!(line.time, 1_475_713_029_669_794_202);
        assert_eq!(
            (line.stream, line.partial, line.content),
            (Stream::Stdout, false, "The content of the log")
        );
        let part = parse("2016-10-06T00:17:09.669794202+02:00 stderr P:x  two").unwrap();
        assert_eq!(
            (part.stream, part.partial, part.content),
            (Stream::Stderr, true, " two")
        );
        assert_eq!(parse("2016-10-06T00:17:09Z stdout F").unwrap().content, "");
    }

    #[test]
    fn what_is_no_line_of_the_runtime_says_why() {
        for (line, why) in [
            ("", "there is no stream"),
            ("{}", "there is no stream"),
            ("now stdout F x", "the line does not begin with a time"),
            ("2016-10-06T00:17:09Z stdout", "there is no tag"),
            (
                "2016-10-06T00:17:09Z stdin F x",
                "the stream is neither stdout nor stderr",
            ),
            (
                "2016-10-06T00:17:09Z stdout X x",
                "the tag is neither P nor F",
            ),
        ] {
            assert_eq!(parse(line), Err(why), "{line:?}");
        }
    }
}
