//! Escapes text, so that it cannot end its field.

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Marks where a field was cut.
const CUT: &[u8] = b"...";

/// Writes `text` in quotes as a JSON string of at most `max` bytes between them. Characters that
/// are neither visible ASCII nor space are written as `\u`, so the line is also safe on a terminal
/// and in a browser's script.
pub(super) fn push_quoted(out: &mut Vec<u8>, text: &str, max: usize) {
    out.push(b'"');
    let start = out.len();
    if text.len() <= max && text.bytes().all(is_plain) {
        out.extend_from_slice(text.as_bytes());
    } else {
        push_escaped(out, text, start + max);
    }
    out.push(b'"');
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

#[cold]
fn push_escaped(out: &mut Vec<u8>, text: &str, end: usize) {
    for character in text.chars() {
        // Room for the longest form of this character, a surrogate pair, and for the mark.
        if out.len() + 12 + CUT.len() > end {
            out.extend_from_slice(CUT);
            return;
        }
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            ' '..='~' => out.push(character as u8),
            other => other
                .encode_utf16(&mut [0; 2])
                .iter()
                .for_each(|unit| push_unit(out, *unit)),
        }
    }
}

fn push_unit(out: &mut Vec<u8>, unit: u16) {
    out.extend_from_slice(b"\\u");
    out.extend([12, 8, 4, 0].map(|shift| HEX[usize::from(unit >> shift & 0xf)]));
}
