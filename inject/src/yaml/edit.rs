//! Changes of a text: what is put in, taken out or replaced, by byte offset.

use std::{cmp::Reverse, ops::Range};

/// Changes to one text, applied together. Ranges never overlap, except lines that are taken out.
#[derive(Debug, Default)]
pub(crate) struct Edits {
    list: Vec<Edit>,
}

#[derive(Debug, Clone)]
struct Edit {
    range: Range<usize>,
    text: String,
    /// Whole lines are taken out, up to and with their line end.
    lines: bool,
    /// Column of the lines that are put in. At one place deeper lines go first: they end what stands before them.
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

    /// Puts whole lines in.
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

    /// Takes whole lines out: from the start of the first to the start of the line behind the last.
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

    /// The changed text. What is put in at one place stays in the order in which it was asked for, deeper lines first.
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

/// Neighbouring removals of lines become one. At the end of a text whose last line has no line end, the line end before goes
/// as well: it was put in together with the lines.
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

/// A changed text, and which place of it was where before.
pub(crate) struct Changed {
    pub(crate) text: String,
    /// Behind each change: the offset in the new text, and that in the old one.
    moved: Vec<(usize, usize)>,
}

impl Changed {
    /// The offset before the changes of an offset behind them.
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
