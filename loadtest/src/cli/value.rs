//! Parses single argument values: headers, digests, files of tokens.

use std::path::Path;

use http::{HeaderName, HeaderValue};

/// `name:value`.
pub(super) fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("expected name:value")?;
    let name = name
        .trim()
        .parse::<HeaderName>()
        .map_err(|error| error.to_string())?;
    let value = value
        .trim()
        .parse::<HeaderValue>()
        .map_err(|error| error.to_string())?;
    Ok((name, value))
}

/// 64 hexadecimal digits.
pub(super) fn sha256(text: &str) -> Result<[u8; 32], String> {
    let mut digest = [0; 32];
    if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err("expected 64 hexadecimal digits".to_owned());
    }
    for (byte, position) in digest.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&text[position..position + 2], 16)
            .map_err(|error| error.to_string())?;
    }
    Ok(digest)
}

/// One token per line; empty lines are skipped.
pub(super) fn tokens(path: &Path) -> Result<Vec<HeaderValue>, String> {
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let lines = text
        .lines()
        .map(str::trim)
        .enumerate()
        .filter(|(_, line)| !line.is_empty());
    let tokens: Vec<_> = lines
        .map(|(index, line)| match line.parse::<HeaderValue>() {
            // RFC 6750 §2.1: a token has no spaces.
            Ok(token) if !line.contains(char::is_whitespace) => Ok(token),
            _ => Err(format!(
                "{}, line {}: not a token",
                path.display(),
                index + 1
            )),
        })
        .collect::<Result<_, _>>()?;
    if tokens.is_empty() {
        Err(format!("{}: the file contains no token", path.display()))
    } else {
        Ok(tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_refused() {
        assert!(header("no colon").is_err());
        assert!(header("na me: value").is_err());
        assert!(sha256("é".repeat(32).as_str()).is_err());
        assert_eq!(sha256(&"0f".repeat(32)), Ok([0x0f; 32]));
    }

    #[test]
    fn tokens_stand_one_to_a_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let read = |text: &str| {
            std::fs::write(file.path(), text).unwrap();
            tokens(file.path())
        };
        assert_eq!(read("a.b.c\n\n d \r\n").unwrap(), ["a.b.c", "d"]);
        assert!(read("\n").unwrap_err().ends_with("contains no token"));
        assert!(
            read("a\nb c\n")
                .unwrap_err()
                .ends_with("line 2: not a token")
        );
        assert!(tokens(Path::new("/nowhere/tokens")).is_err());
    }
}
