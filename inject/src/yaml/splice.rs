//! Inserts keys and items into maps and lists, on separate lines or between separate commas, so
//! that `remove` removes them byte for byte.

use super::{
    Id, Kind, Tree,
    edit::Edits,
    is_null,
    value::{Style, Value, block_entry, block_item, inline_entry},
};

/// Where to insert a key or item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    /// Before all others.
    First,
    /// After the entry or item with this index.
    Behind(usize),
}

/// Collects the changes of one text.
pub(crate) struct Splice<'t, 'a> {
    pub(crate) tree: &'t Tree<'a>,
    pub(crate) edits: Edits,
    /// The line end of the text.
    pub(crate) newline: &'static str,
    /// The document is JSON.
    pub(crate) json: bool,
}

impl<'t, 'a> Splice<'t, 'a> {
    pub(crate) fn new(tree: &'t Tree<'a>, newline: &'static str) -> Self {
        Self {
            tree,
            edits: Edits::default(),
            newline,
            json: is_json(tree),
        }
    }

    pub(super) fn text(&self) -> &'a str {
        self.tree.text
    }

    /// Inserts entries into a map, at one position. A map that is null counts as empty; its key is
    /// `key`, and the replaced text after the key is returned.
    pub(crate) fn add_entries(
        &mut self,
        map: Id,
        key: Id,
        at: At,
        entries: &[(String, Value)],
    ) -> Option<String> {
        let node = self.tree.node(map);
        match &node.kind {
            Kind::Map(existing) if node.flow => {
                let spans = spans(self.tree, existing);
                let texts = entries
                    .iter()
                    .map(|(key, value)| inline_entry(key, value, self.json));
                self.add_inline(node.start, &spans, at, texts.collect());
            }
            Kind::Map(existing) => {
                let spans = spans(self.tree, existing);
                let mut lines = Vec::new();
                for (key, value) in entries {
                    block_entry(key, value, node.column, &mut lines);
                }
                let place = self.block_place(map, &spans, at);
                self.add_lines(place, &lines);
            }
            _ => {
                return self.fill(map, key, |style| match style {
                    Style::Block(indent) => {
                        let mut lines = Vec::new();
                        for (key, value) in entries {
                            block_entry(key, value, indent, &mut lines);
                        }
                        lines
                    }
                    style => vec![Value::Map(entries.to_vec()).inline(style == Style::Json)],
                });
            }
        }
        None
    }

    /// Inserts an item into a list. A list that is null counts as empty; its key is `key`, and the
    /// replaced text after the key is returned.
    pub(crate) fn add_item(&mut self, list: Id, key: Id, at: At, value: &Value) -> Option<String> {
        let node = self.tree.node(list);
        match &node.kind {
            Kind::List(items) if node.flow => {
                let spans: Vec<_> = items
                    .iter()
                    .map(|item| (self.tree.node(*item).start, self.tree.node(*item).end))
                    .collect();
                self.add_inline(node.start, &spans, at, vec![value.inline(self.json)]);
            }
            Kind::List(items) => {
                let dash = self.dash(list, 0)?;
                let first = line_start(self.text(), dash);
                let column = dash - first;
                let place = match at {
                    At::First => self.behind_head(self.before_list(list), first),
                    At::Behind(index) => line_behind(self.text(), self.tree.node(items[index]).end),
                };
                let mut lines = Vec::new();
                block_item(value, column, &mut lines);
                self.add_lines(place, &lines);
            }
            _ => {
                return self.fill(list, key, |style| match style {
                    Style::Block(indent) => {
                        let mut lines = Vec::new();
                        block_item(value, indent, &mut lines);
                        lines
                    }
                    style => vec![Value::List(vec![value.clone()]).inline(style == Style::Json)],
                });
            }
        }
        None
    }

    /// Replaces a null by a value: `key:` gets lines below it, `key: ~` and everything in flow
    /// style a value in place. The replaced text after the key is returned.
    fn fill(&mut self, null: Id, key: Id, write: impl Fn(Style) -> Vec<String>) -> Option<String> {
        let node = self.tree.node(null);
        let key_node = self.tree.node(key);
        if node.start == node.end && !node.flow {
            let lines = write(Style::Block(key_node.column + 2));
            self.add_lines(line_behind(self.text(), key_node.end), &lines);
            return None;
        }
        let style = if self.json { Style::Json } else { Style::Flow };
        Some(self.set_value(key, null, &write(style).concat()))
    }

    /// The text after the key of a null that [`Self::add_entries`] and [`Self::add_item`] would
    /// replace.
    pub(crate) fn replaces_null(&self, key: Id, null: Id) -> Option<String> {
        let node = self.tree.node(null);
        let in_place = node.start != node.end || node.flow;
        in_place.then(|| self.text()[self.behind_key(key, null)].to_owned())
    }

    /// Replaces a value by a text. The replaced text after the key is returned, including the
    /// colon.
    pub(crate) fn set_value(&mut self, key: Id, value: Id, text: &str) -> String {
        let range = self.behind_key(key, value);
        let before = self.text()[range.clone()].to_owned();
        self.edits.replace(range, format!(": {text}"));
        before
    }

    /// Restores the text that [`Self::set_value`] returned.
    pub(crate) fn restore_value(&mut self, key: Id, value: Id, before: &str) {
        let range = self.behind_key(key, value);
        self.edits.replace(range, before);
    }

    fn behind_key(&self, key: Id, value: Id) -> std::ops::Range<usize> {
        let (_, end) = spans(self.tree, &[(key, value)])[0];
        self.tree.node(key).end..end
    }

    fn add_inline(&mut self, start: usize, spans: &[(usize, usize)], at: At, texts: Vec<String>) {
        let text = texts.join(", ");
        match (at, spans.first()) {
            (At::Behind(index), _) if index < spans.len() => {
                self.edits.insert(spans[index].1, format!(", {text}"));
            }
            (_, Some((first, _))) => self.edits.insert(*first, format!("{text}, ")),
            (_, None) => self.edits.insert(start + 1, text),
        }
    }

    /// The offset for new keys of a block map: the start of a line, or the end of a text whose last
    /// line has no line end.
    fn block_place(&self, map: Id, spans: &[(usize, usize)], at: At) -> usize {
        let behind = |index: usize| {
            let end = spans
                .get(index)
                .map_or_else(|| self.tree.node(map).end, |span| span.1);
            line_behind(self.text(), end)
        };
        match at {
            At::Behind(index) => behind(index),
            // A first key after a dash or a key stays where it is.
            At::First if !self.begins_its_line(spans) => behind(0),
            At::First => match self.tree.node(map).parent {
                Some(parent) => self.behind_key_of(parent, map, spans),
                None => spans
                    .first()
                    .map_or(0, |span| line_start(self.text(), span.0)),
            },
        }
    }

    fn begins_its_line(&self, spans: &[(usize, usize)]) -> bool {
        spans.first().is_some_and(|(first, _)| {
            let line = &self.text()[line_start(self.text(), *first)..*first];
            line.chars().all(|c| c == ' ')
        })
    }

    /// After the line of the key whose value is the map, so that comments above the first key stay
    /// above it.
    fn behind_key_of(&self, parent: Id, map: Id, spans: &[(usize, usize)]) -> usize {
        let key = match &self.tree.node(parent).kind {
            Kind::Map(entries) => entries.iter().find(|(_, value)| *value == map),
            _ => None,
        };
        let first = spans
            .first()
            .map_or(0, |span| line_start(self.text(), span.0));
        match key {
            Some((key, _)) => self.behind_head(self.tree.node(*key).end, first),
            None => first,
        }
    }

    /// After the line of a key, if there are only comments between it and the first line of its
    /// value.
    fn behind_head(&self, key_end: usize, first: usize) -> usize {
        let behind = line_behind(self.text(), key_end);
        let between = self.text().get(behind..first).unwrap_or_default();
        let comments = between
            .lines()
            .map(str::trim_start)
            .all(|line| line.is_empty() || line.starts_with('#'));
        if comments { behind.min(first) } else { first }
    }

    /// Inserts lines at the start of a line, or after a last line that has no line end.
    pub(crate) fn add_lines(&mut self, place: usize, lines: &[String]) {
        let text = self.text();
        let column = lines
            .first()
            .map_or(0, |line| line.len() - line.trim_start().len());
        let open = place == text.len() && !text.is_empty() && !text.ends_with('\n');
        let joined = lines.join(self.newline);
        let joined = match self.newline {
            "\n" => joined,
            newline => joined.replace("\r\n", "\n").replace('\n', newline),
        };
        let text = match open {
            true => format!("{}{joined}", self.newline),
            false => format!("{joined}{}", self.newline),
        };
        self.edits.insert_lines(place, text, column);
    }

    /// The offset of the dash of an item of a block list.
    pub(super) fn dash(&self, list: Id, index: usize) -> Option<usize> {
        let Kind::List(items) = &self.tree.node(list).kind else {
            return None;
        };
        let from = match index.checked_sub(1) {
            Some(before) => self.tree.node(items[before]).end,
            None => self.before_list(list),
        };
        let to = self.tree.node(*items.get(index)?).start;
        dash_between(self.text(), from, to)
    }

    /// Where to start the search for the first dash of a list: after the key, or at the item that
    /// contains it.
    fn before_list(&self, list: Id) -> usize {
        let node = self.tree.node(list);
        let parent = node.parent.map(|parent| &self.tree.node(parent).kind);
        match parent {
            Some(Kind::Map(entries)) => entries
                .iter()
                .find(|(_, value)| *value == list)
                .map_or(node.start, |(key, _)| self.tree.node(*key).end),
            _ => node.start,
        }
    }
}

/// An entry of a map from key to end of value.
pub(crate) fn span_of(tree: &Tree<'_>, key: Id, value: Id) -> (usize, usize) {
    spans(tree, &[(key, value)])[0]
}

/// The entries of a map from key to end of value.
pub(super) fn spans(tree: &Tree<'_>, entries: &[(Id, Id)]) -> Vec<(usize, usize)> {
    let span = |(key, value): &(Id, Id)| {
        let (key, value) = (tree.node(*key), tree.node(*value));
        let mut end = key.end.max(value.end);
        if is_null(value) && value.start == value.end {
            // The colon of `a:` belongs to the entry.
            let rest = &tree.text[key.end..];
            let colon = rest.find(':').filter(|at| rest[..*at].trim().is_empty());
            end = colon.map_or(end, |at| key.end + at + 1);
        }
        (key.start, end)
    };
    entries.iter().map(span).collect()
}

fn is_json(tree: &Tree<'_>) -> bool {
    let Some(root) = tree.nodes.first() else {
        return false;
    };
    let Kind::Map(entries) = &root.kind else {
        return false;
    };
    let quoted = |(key, _): &(Id, Id)| tree.text[tree.node(*key).start..].starts_with('"');
    root.flow && entries.iter().all(quoted)
}

/// The first dash of a list between two offsets: comments, anchors and tags may be before it.
fn dash_between(text: &str, from: usize, to: usize) -> Option<usize> {
    let mut at = from;
    while at < to {
        let rest = &text[at..to];
        let c = rest.chars().next()?;
        match c {
            '-' => return Some(at),
            '#' => at += rest.find('\n').unwrap_or(rest.len()),
            '&' | '!' => at += rest.find([' ', '\n', '\r']).unwrap_or(rest.len()),
            c => at += c.len_utf8(),
        }
    }
    // An empty item begins after its own dash.
    text[..to].rfind('-').filter(|dash| *dash >= from)
}

/// The start of the line of this byte.
pub(crate) fn line_start(text: &str, at: usize) -> usize {
    let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    match text[start..at].starts_with('\u{feff}') {
        true => start + '\u{feff}'.len_utf8(),
        false => start,
    }
}

/// The start of the next line; an offset at the start of a line is returned as it is.
pub(crate) fn line_behind(text: &str, at: usize) -> usize {
    if at > 0 && text[..at].ends_with('\n') {
        return at;
    }
    text[at..].find('\n').map_or(text.len(), |end| at + end + 1)
}
