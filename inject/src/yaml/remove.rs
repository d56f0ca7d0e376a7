//! Removes keys and items from maps and lists, with the lines or the comma that [`super::splice`]
//! inserted for them.

use super::{
    Id, Kind,
    splice::{Splice, line_behind, line_start, spans},
};

impl Splice<'_, '_> {
    /// Removes entries from a map; the indexes are sorted.
    pub(crate) fn remove_entries(&mut self, map: Id, indexes: &[usize]) {
        let node = self.tree.node(map);
        let Kind::Map(entries) = &node.kind else {
            return;
        };
        let spans = spans(self.tree, entries);
        for (first, last) in runs(indexes) {
            let (start, end) = (spans[first].0, spans[last].1);
            if node.flow {
                self.remove_inline(&spans, first, last);
                continue;
            }
            let line = line_start(self.text(), start);
            let alone = self.text()[line..start].chars().all(|c| c == ' ');
            match spans.get(last + 1) {
                Some((next, _)) if !alone => self.edits.remove(start..*next),
                _ => self.edits.remove_lines(line..line_behind(self.text(), end)),
            }
        }
    }

    /// Removes items from a list; the indexes are sorted.
    pub(crate) fn remove_items(&mut self, list: Id, indexes: &[usize]) {
        let node = self.tree.node(list);
        let Kind::List(items) = &node.kind else {
            return;
        };
        let spans: Vec<_> = items
            .iter()
            .map(|item| (self.tree.node(*item).start, self.tree.node(*item).end))
            .collect();
        for (first, last) in runs(indexes) {
            if node.flow {
                self.remove_inline(&spans, first, last);
                continue;
            }
            let start = self.dash(list, first).unwrap_or(spans[first].0);
            let line = line_start(self.text(), start);
            self.edits
                .remove_lines(line..line_behind(self.text(), spans[last].1));
        }
    }

    fn remove_inline(&mut self, spans: &[(usize, usize)], first: usize, last: usize) {
        let (start, end) = (spans[first].0, spans[last].1);
        match (first.checked_sub(1), spans.get(last + 1)) {
            (Some(before), _) => self.edits.remove(spans[before].1..end),
            (None, Some((next, _))) => self.edits.remove(start..*next),
            (None, None) => self.edits.remove(start..end),
        }
    }
}

/// Runs of adjacent indexes, with the first and the last of each.
fn runs(indexes: &[usize]) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for index in indexes {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *index => *last = *index,
            _ => runs.push((*index, *index)),
        }
    }
    runs
}
