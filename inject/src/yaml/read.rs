//! Builds documents from parser events.

use std::collections::{HashMap, HashSet};

use granit_parser::{Event, Parser, ScalarStyle, Span, StructureStyle};

use super::{Document, Id, Kind, Node, Tree};

/// Text that is not YAML, or has a duplicate key.
#[derive(Debug)]
pub(crate) struct Syntax {
    /// From 1.
    pub(crate) line: usize,
    /// From 1.
    pub(crate) column: usize,
    pub(crate) message: String,
}

/// Keys of a map with more keys than this are compared by their hash.
const FEW: usize = 16;

/// Calls `each` with each document of a stream; returns all syntax errors of the text.
pub(crate) fn documents<'a>(text: &'a str, mut each: impl FnMut(Document<'a>)) -> Vec<Syntax> {
    let mut options = granit_parser::options! {};
    options.set_emit_comments(false);
    // Kubernetes accepts JSON with long strings, which the scanner must consider as possible keys.
    options.simple_key_max_lookahead = 1 << 20;
    let mut parser = Parser::new_from_str_with_options(text, options);
    let mut problems = Vec::new();
    let mut building = None;
    while let Some(next) = parser.next_event() {
        match next {
            Ok((event, span)) => {
                if let Some(document) = take(text, &mut building, event, span, &mut problems) {
                    each(document);
                }
            }
            Err(error) => {
                building = None;
                problems.push(Syntax {
                    line: error.marker().line(),
                    column: error.marker().col() + 1,
                    message: error.info(),
                });
                if !parser.proceed_next_document().unwrap_or(false) {
                    break;
                }
            }
        }
    }
    problems
}

fn take<'a>(
    text: &'a str,
    building: &mut Option<Builder<'a>>,
    event: Event<'a>,
    span: Span,
    problems: &mut Vec<Syntax>,
) -> Option<Document<'a>> {
    let bytes = span.byte_range().unwrap_or_default();
    match event {
        Event::DocumentStart(..) => *building = Some(Builder::new(text, bytes.start)),
        Event::DocumentEnd => {
            let builder = building.take()?;
            problems.extend(builder.problems);
            return (!builder.tree.nodes.is_empty()).then_some(Document {
                tree: builder.tree,
                start: builder.start,
            });
        }
        event => {
            if let Some(builder) = building {
                builder.take(event, &span);
            }
        }
    }
    None
}

struct Builder<'a> {
    tree: Tree<'a>,
    start: usize,
    /// Open lists and maps, with the key whose value is missing.
    open: Vec<(Id, Option<Id>)>,
    anchors: HashMap<usize, Id>,
    problems: Vec<Syntax>,
}

impl<'a> Builder<'a> {
    fn new(text: &'a str, start: usize) -> Self {
        Self {
            tree: Tree {
                text,
                nodes: Vec::new(),
            },
            start,
            open: Vec::new(),
            anchors: HashMap::new(),
            problems: Vec::new(),
        }
    }

    fn take(&mut self, event: Event<'a>, span: &Span) {
        match event {
            Event::Scalar(value, style, anchor, _) => {
                let bytes = span.byte_range().unwrap_or_default();
                let end = scalar_end(self.tree.text, bytes.start, bytes.end, style);
                let plain = style == ScalarStyle::Plain;
                self.add(Kind::Scalar(value, plain), span, end, false, anchor);
            }
            Event::Alias(anchor) => {
                let Some(target) = self.anchors.get(&anchor).copied() else {
                    return;
                };
                self.tree.nodes[target].shared = true;
                let end = span.byte_range().unwrap_or_default().end;
                self.add(Kind::Alias(target), span, end, false, 0);
            }
            Event::SequenceStart(style, anchor, _) => {
                self.begin(Kind::List(Vec::new()), span, style, anchor);
            }
            Event::MappingStart(style, anchor, _) => {
                self.begin(Kind::Map(Vec::new()), span, style, anchor);
            }
            Event::SequenceEnd | Event::MappingEnd => self.finish(span),
            _ => {}
        }
    }

    fn begin(&mut self, kind: Kind<'a>, span: &Span, style: StructureStyle, anchor: usize) {
        let end = span.byte_range().unwrap_or_default().end;
        let flow = style == StructureStyle::Flow;
        let id = self.add(kind, span, end, flow, anchor);
        self.open.push((id, None));
    }

    fn add(&mut self, kind: Kind<'a>, span: &Span, end: usize, flow: bool, anchor: usize) -> Id {
        let id = self.tree.nodes.len();
        let parent = self.open.last().map(|(parent, _)| *parent);
        let flow = flow || parent.is_some_and(|parent| self.tree.nodes[parent].flow);
        let start = span.byte_range().unwrap_or_default().start;
        self.tree.nodes.push(Node {
            kind,
            start,
            end,
            line: span.start.line(),
            column: span.start.col(),
            flow,
            parent,
            shared: false,
        });
        if anchor != 0 {
            self.anchors.insert(anchor, id);
        }
        let Some((parent, waiting)) = self.open.last_mut() else {
            return id;
        };
        match &mut self.tree.nodes[*parent].kind {
            Kind::List(items) => items.push(id),
            Kind::Map(entries) => match waiting.take() {
                None => *waiting = Some(id),
                Some(key) => entries.push((key, id)),
            },
            Kind::Scalar(..) | Kind::Alias(_) => {}
        }
        id
    }

    fn finish(&mut self, span: &Span) {
        let Some((id, _)) = self.open.pop() else {
            return;
        };
        let node = &self.tree.nodes[id];
        let last = match &node.kind {
            Kind::List(items) => items.last().copied(),
            Kind::Map(entries) => entries.last().map(|(key, value)| {
                if self.tree.nodes[*value].end > self.tree.nodes[*key].end {
                    *value
                } else {
                    *key
                }
            }),
            Kind::Scalar(..) | Kind::Alias(_) => None,
        };
        let closing = span.byte_range().unwrap_or_default();
        // Flow collections end with a bracket, block collections with their last child.
        let end = match last {
            _ if !closing.is_empty() => closing.end,
            Some(last) => self.tree.nodes[last].end,
            None => closing.start,
        };
        self.tree.nodes[id].end = end;
        self.find_duplicates(id);
    }

    fn find_duplicates(&mut self, id: Id) {
        let Kind::Map(entries) = &self.tree.nodes[id].kind else {
            return;
        };
        let names = entries
            .iter()
            .filter_map(|(key, _)| Some((*key, self.tree.scalar(*key)?)));
        let mut twice = Vec::new();
        if entries.len() <= FEW {
            let names: Vec<_> = names.collect();
            for (index, (key, name)) in names.iter().enumerate() {
                if names[..index].iter().any(|(_, before)| before == name) {
                    twice.push((*key, (*name).to_owned()));
                }
            }
        } else {
            let mut seen = HashSet::new();
            let again = names.filter(|(_, name)| !seen.insert(*name));
            twice.extend(again.map(|(key, name)| (key, name.to_owned())));
        }
        self.problems.extend(twice.into_iter().map(|(key, name)| {
            let node = &self.tree.nodes[key];
            Syntax {
                line: node.line,
                column: node.column + 1,
                message: format!("the key {name:?} stands in this map twice"),
            }
        }));
    }
}

/// The span of a block scalar extends to the next token. Its trailing blank lines belong to it only
/// if it keeps them (`|+`).
fn scalar_end(text: &str, start: usize, end: usize, style: ScalarStyle) -> usize {
    if !matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) {
        return end;
    }
    let body = &text[start..end];
    let header = text[..start].trim_end_matches([' ', '\n', '\r']);
    let header = header.rsplit('\n').next().unwrap_or_default();
    let keeps = header.rsplit(['|', '>']).next().is_some_and(|rest| {
        rest.split('#')
            .next()
            .is_some_and(|flags| flags.contains('+'))
    });
    if keeps {
        let last = body.rfind('\n').map_or(body.len(), |at| at + 1);
        let rest = &body[last..];
        let whole = if rest.trim().is_empty() {
            last
        } else {
            body.len()
        };
        return start + whole;
    }
    start + body.trim_end().len()
}
