//! Edits of a text: insertions, removals and replacements, by byte offset.

use std::{cmp::Reverse, ops::Range};

/// Edits of one text, applied together. Ranges never overlap, except removed lines.
#[derive(Debug, Default)]
pub(crate) struct Edits {
    list: Vec<Edit>,
}

#[derive(Debug, Clone)]
struct Edit {
    range: Range<usize>,
    text: String,
    /// Whole lines are removed, including the last line end.
    lines: bool,
    /// Column of inserted lines. At the same offset deeper lines go first: they belong to what is
    /// before them.
    column: usize,
}

impl Edits {
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn insert(&mut self, at: usize, text: impl Into<String>) {
        self.replace(at..at, text);
    }

    pub(crate) fn replace(&mut self, range: Range<usize>, text: impl Into<String>) {
        self.list.push(Edit {
            range,
            text: text.into(),
            lines: false,
            column: usize::MAX,
        });
    }

    /// Inserts whole lines.
    pub(crate) fn insert_lines(&mut self, at: usize, text: String, column: usize) {
        self.list.push(Edit {
            range: at..at,
            text,
            lines: false,
            column,
        });
    }

    pub(crate) fn remove(&mut self, range: Range<usize>) {
        self.replace(range, "");
    }

    /// Removes whole lines: from the start of the first to the start of the line after the last.
    pub(crate) fn remove_lines(&mut self, range: Range<usize>) {
        self.list.push(Edit {
            range,
            text: String::new(),
            lines: true,
            column: usize::MAX,
        });
    }

    pub(crate) fn append(&mut self, mut other: Self) {
        self.list.append(&mut other.list);
    }

    /// The changed text. Insertions at the same offset keep their order, deeper lines first.
    pub(crate) fn apply(mut self, text: &str) -> Changed {
        self.list
            .sort_by_key(|edit| (edit.range.start, Reverse(edit.column)));
        let list = joined(text, self.list);
        let mut out = String::with_capacity(
            text.len() + list.iter().map(|edit| edit.text.len()).sum::<usize>(),
        );
        let (mut at, mut moved) = (0, Vec::with_capacity(list.len()));
        for edit in &list {
            let start = edit.range.start.max(at);
            out.push_str(&text[at..start]);
            out.push_str(&edit.text);
            at = edit.range.end.max(start);
            moved.push((out.len(), at));
        }
        out.push_str(&text[at..]);
        Changed { text: out, moved }
    }
}

/// Merges adjacent removals of lines. At the end of a text whose last line has no line end, the
/// line end before is removed as well: it was inserted together with the lines.
fn joined(text: &str, edits: Vec<Edit>) -> Vec<Edit> {
    let mut list: Vec<Edit> = Vec::with_capacity(edits.len());
    for edit in edits {
        match list.last_mut() {
            Some(last) if last.lines && edit.lines && edit.range.start <= last.range.end => {
                last.range.end = last.range.end.max(edit.range.end);
            }
            _ => list.push(edit),
        }
    }
    if let Some(last) = list.last_mut()
        && last.lines
        && last.range.end == text.len()
        && !text.ends_with('\n')
    {
        let before = &text[..last.range.start];
        let kept = before.strip_suffix('\n').unwrap_or(before);
        last.range.start = kept.strip_suffix('\r').unwrap_or(kept).len();
    }
    list
}

/// A changed text, with a map from its offsets to those before.
pub(crate) struct Changed {
    pub(crate) text: String,
    /// After each change: the offset in the new text, and that in the old one.
    moved: Vec<(usize, usize)>,
}

impl Changed {
    /// The offset in the old text for an offset in the new one.
    pub(crate) fn before(&self, at: usize) -> usize {
        let next = self.moved.partition_point(|(new, _)| *new <= at);
        match next.checked_sub(1).map(|index| self.moved[index]) {
            Some((new, old)) => old + (at - new),
            None => at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_apply_together_and_places_are_found_again() {
        let mut edits = Edits::default();
        edits.insert(2, "X");
        edits.replace(4..6, "");
        edits.insert(2, "Y");
        let changed = edits.apply("ab\ncdef\ngh");
        assert_eq!(changed.text, "abXY\ncf\ngh");
        assert_eq!(changed.before(0), 0);
        assert_eq!(changed.before(4), 2);
        assert_eq!(changed.before(6), 6);
    }

    #[test]
    fn lines_at_an_end_without_a_line_end_take_the_one_before_with_them() {
        let text = "a\r\nb\r\nc\r\nd";
        let mut edits = Edits::default();
        edits.remove_lines(6..9);
        edits.remove_lines(9..10);
        assert_eq!(edits.apply(text).text, "a\r\nb");
    }
}
