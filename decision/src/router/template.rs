//! Path templates of one host, as a tree of path elements.
//!
//! All templates are equally specific, so the highest-ranked rule of all that match is returned. At
//! each element there are at most two branches, a literal and a variable; a path matches a template
//! that ends with it.

use outrigger_config::model::{PathTemplate, TemplateSegment};

use super::{
    Search,
    lookup::TextMap,
    rule::{Rule, Rules, first, sort},
};
use crate::{Trace, trace::Lost};

/// A node of the tree, for the elements so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Templates {
    rules: Rules,
    literals: TextMap<Self>,
    variable: Option<Box<Self>>,
}

impl Templates {
    pub(super) fn is_empty(&self) -> bool {
        self.literals.is_empty() && self.variable.is_none()
    }

    pub(super) fn insert(&mut self, template: &PathTemplate, rule: Rule) {
        let mut node = self;
        // A path has at least one element, which is empty for `/`.
        if template.segments.is_empty() {
            node = node.literals.entry("".into()).or_default();
        }
        for segment in &template.segments {
            node = match segment {
                TemplateSegment::Literal(text) => {
                    node.literals.entry((&**text).into()).or_default()
                }
                TemplateSegment::Variable(_) => node.variable.get_or_insert_default(),
            };
        }
        node.rules.push(rule);
    }

    pub(super) fn finish(&mut self) {
        sort(&mut self.rules);
        self.literals.values_mut().for_each(Self::finish);
        if let Some(variable) = &mut self.variable {
            variable.finish();
        }
    }

    /// The highest-ranked rule of all templates that match the head's whole path.
    pub(super) fn find<T: Trace>(&self, search: &Search<'_, T>) -> Option<&Rule> {
        self.walk(Some(search.head.path.strip_prefix('/')?), search)
    }

    /// `rest` is the path after the last slash; `None` is the end of the path.
    fn walk<T: Trace>(&self, rest: Option<&str>, search: &Search<'_, T>) -> Option<&Rule> {
        let Some(rest) = rest else {
            return first(&self.rules, search);
        };
        let (element, rest) = match rest.split_once('/') {
            Some((element, rest)) => (element, Some(rest)),
            None => (rest, None),
        };
        let literal = self
            .literals
            .get(element)
            .and_then(|node| node.walk(rest, search));
        let variable = self
            .variable
            .as_ref()
            .filter(|_| !element.is_empty())
            .and_then(|node| node.walk(rest, search));
        let (won, lost) = match (literal, variable) {
            (Some(literal), Some(variable)) if variable.rank < literal.rank => {
                (Some(variable), Some(literal))
            }
            (Some(literal), other) => (Some(literal), other),
            (None, other) => (other, None),
        };
        if let Some(lost) = lost {
            lost.tell(Lost::Precedence, search);
        }
        won
    }
}
