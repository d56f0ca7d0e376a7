//! The changes as a unified diff.

use std::{fmt::Write as _, time::Duration};

use outrigger_inject::Input;
use similar::{ChangeTag, TextDiff};

/// Unchanged lines around a change.
const CONTEXT: usize = 3;

/// Time limit; after it the diff of a very large text is coarser.
const PATIENCE: Duration = Duration::from_secs(5);

/// The diff of all files; empty if there are no changes.
pub(super) fn unified(before: &[Input], after: &[String], color: bool) -> String {
    let mut out = String::new();
    for (input, text) in before.iter().zip(after) {
        if input.text != *text {
            one(&mut out, input, text, color);
        }
    }
    out
}

fn one(out: &mut String, input: &Input, text: &str, color: bool) {
    let paint = |code: &str, line: &str| match color {
        true => format!("\x1b[{code}m{line}\x1b[0m"),
        false => line.to_owned(),
    };
    let diff = TextDiff::configure()
        .timeout(PATIENCE)
        .diff_lines(input.text.as_str(), text);
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{}", paint("1", &format!("--- a/{}", input.name)));
    let _ = writeln!(out, "{}", paint("1", &format!("+++ b/{}", input.name)));
    for hunk in diff.unified_diff().context_radius(CONTEXT).iter_hunks() {
        let _ = writeln!(out, "{}", paint("36", &hunk.header().to_string()));
        for change in hunk.iter_changes() {
            let (sign, code) = match change.tag() {
                ChangeTag::Delete => ('-', "31"),
                ChangeTag::Insert => ('+', "32"),
                ChangeTag::Equal => (' ', "0"),
            };
            let value = change.value();
            let line = value.strip_suffix('\n').unwrap_or(value);
            let line = format!("{sign}{line}");
            let line = if change.tag() == ChangeTag::Equal {
                line
            } else {
                paint(code, &line)
            };
            let _ = writeln!(out, "{line}");
            if !value.ends_with('\n') {
                out.push_str("\\ No newline at end of file\n");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_is_one_that_patch_takes_and_has_colours_on_request() {
        let input = Input {
            name: "x.yaml".to_owned(),
            text: "a\nb\nc".to_owned(),
        };
        let diff = |color| unified(std::slice::from_ref(&input), &["a\nB\nc".to_owned()], color);
        assert_eq!(
            diff(false),
            "--- a/x.yaml\n+++ b/x.yaml\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n\\ No newline at end of file\n"
        );
        assert!(diff(true).contains("\x1b[31m-b\x1b[0m\n\x1b[32m+B\x1b[0m\n"));
        assert_eq!(
            unified(
                std::slice::from_ref(&input),
                std::slice::from_ref(&input.text),
                true
            ),
            ""
        );
    }
}
