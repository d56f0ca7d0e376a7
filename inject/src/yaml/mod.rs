//! YAML and JSON text as a tree of spans, and edits of the text that leave every other byte as it
//! is.
//!
//! The parser is `granit-parser`, which reports the byte range of each event. The tree is never
//! written back: [`splice`] turns a change ("this key into that map") into edits of the text, and
//! [`edit`] applies them.

pub(crate) mod edit;
mod read;
mod remove;
mod scalar;
pub(crate) mod splice;
pub(crate) mod value;

use std::borrow::Cow;

pub(crate) use read::{Syntax, documents};
pub(crate) use scalar::{boolean, integer, is_null};

/// A node of a [`Tree`].
pub(crate) type Id = usize;

/// How many merge keys (`<<`) are followed in a row.
const MERGES: usize = 8;

/// One document of a stream.
pub(crate) struct Document<'a> {
    pub(crate) tree: Tree<'a>,
    /// The position of `---`, or the start of the content.
    pub(crate) start: usize,
}

/// The nodes of one document; the first one is its root.
pub(crate) struct Tree<'a> {
    pub(crate) text: &'a str,
    pub(crate) nodes: Vec<Node<'a>>,
}

/// A value and its byte range.
pub(crate) struct Node<'a> {
    pub(crate) kind: Kind<'a>,
    /// The first byte; for a block list or map the first byte of its first key or item.
    pub(crate) start: usize,
    /// The byte after its content, without spaces and comments.
    pub(crate) end: usize,
    /// From 1.
    pub(crate) line: usize,
    /// Characters from the start of the line; keys of a block map begin here.
    pub(crate) column: usize,
    /// Written with braces or brackets, or inside of them.
    pub(crate) flow: bool,
    pub(crate) parent: Option<Id>,
    /// Whether it has an anchor that an alias refers to.
    pub(crate) shared: bool,
}

/// The type and content of a node.
pub(crate) enum Kind<'a> {
    /// The value with escapes resolved, and whether it is plain: only then it may be a number, a
    /// boolean or null.
    Scalar(Cow<'a, str>, bool),
    List(Vec<Id>),
    Map(Vec<(Id, Id)>),
    /// The node that `*name` refers to.
    Alias(Id),
}

/// An entry of a map, and its origin.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) key: Id,
    /// The value as written: may be an alias.
    pub(crate) value: Id,
    /// It is in this map itself, not from a merge key.
    pub(crate) own: bool,
}

impl<'a> Tree<'a> {
    pub(crate) fn node(&self, id: Id) -> &Node<'a> {
        &self.nodes[id]
    }

    /// The node itself, or the target of an alias.
    pub(crate) fn resolved(&self, id: Id) -> Id {
        match self.nodes[id].kind {
            Kind::Alias(target) => target,
            _ => id,
        }
    }

    /// The entries of a map, merged ones after its own; none for anything else.
    pub(crate) fn entries(&self, map: Id) -> Vec<Entry> {
        let mut found = Vec::new();
        self.collect(self.resolved(map), true, 0, &mut found);
        found
    }

    fn collect(&self, map: Id, own: bool, depth: usize, found: &mut Vec<Entry>) {
        let Kind::Map(entries) = &self.nodes[map].kind else {
            return;
        };
        let (merges, plain): (Vec<_>, Vec<_>) = entries
            .iter()
            .copied()
            .partition(|(key, _)| self.is_merge(*key));
        for (key, value) in plain {
            let name = self.scalar(key);
            if own || !found.iter().any(|one| self.scalar(one.key) == name) {
                found.push(Entry { key, value, own });
            }
        }
        if depth == MERGES {
            return;
        }
        for (_, value) in merges {
            let target = self.resolved(value);
            match &self.nodes[target].kind {
                Kind::List(items) => items
                    .iter()
                    .for_each(|item| self.collect(self.resolved(*item), false, depth + 1, found)),
                _ => self.collect(target, false, depth + 1, found),
            }
        }
    }

    fn is_merge(&self, key: Id) -> bool {
        matches!(&self.nodes[key].kind, Kind::Scalar(text, true) if text == "<<")
    }

    /// The entry with this name, own or merged.
    pub(crate) fn entry(&self, map: Id, name: &str) -> Option<Entry> {
        let map = self.resolved(map);
        let Kind::Map(entries) = &self.nodes[map].kind else {
            return None;
        };
        let own = entries
            .iter()
            .find(|(key, _)| self.scalar(*key) == Some(name));
        if let Some((key, value)) = own {
            return Some(Entry {
                key: *key,
                value: *value,
                own: true,
            });
        }
        if !entries.iter().any(|(key, _)| self.is_merge(*key)) {
            return None;
        }
        self.entries(map)
            .into_iter()
            .find(|one| self.scalar(one.key) == Some(name))
    }

    /// The value with this name, aliases resolved; `None` also for null.
    pub(crate) fn get(&self, map: Id, name: &str) -> Option<Id> {
        let value = self.resolved(self.entry(map, name)?.value);
        (!is_null(self.node(value))).then_some(value)
    }

    /// The value at the end of a path of names.
    pub(crate) fn path(&self, from: Id, names: &[&str]) -> Option<Id> {
        names.iter().try_fold(from, |map, name| self.get(map, name))
    }

    /// The items of a list; none for anything else.
    pub(crate) fn items(&self, list: Id) -> &[Id] {
        match &self.nodes[self.resolved(list)].kind {
            Kind::List(items) => items,
            _ => &[],
        }
    }

    /// The text of a scalar, aliases resolved.
    pub(crate) fn scalar(&self, id: Id) -> Option<&str> {
        match &self.nodes[self.resolved(id)].kind {
            Kind::Scalar(text, _) => Some(text),
            _ => None,
        }
    }

    /// The text of the scalar with this name.
    pub(crate) fn text_of(&self, map: Id, name: &str) -> Option<&str> {
        self.scalar(self.get(map, name)?)
    }

    pub(crate) fn is_map(&self, id: Id) -> bool {
        matches!(self.nodes[self.resolved(id)].kind, Kind::Map(_))
    }

    /// A node that must not be changed, because an alias refers to it: this one, or one around it.
    pub(crate) fn shared_around(&self, id: Id) -> Option<Id> {
        let mut at = Some(id);
        while let Some(here) = at {
            if self.nodes[here].shared {
                return Some(here);
            }
            at = self.nodes[here].parent;
        }
        None
    }
}
