//! The paths of one host: exact, template, regex, prefix, in this order.

use std::cmp::Reverse;

use outrigger_config::model::PathMatch;
use regex::Regex;

use super::{
    Asking, Choice,
    lookup::{TextMap, lengths},
    rule::{Rule, Rules, first, sort},
    template::Templates,
};
use crate::{Trace, trace::Lost};

/// What takes a path.
#[derive(Debug, Clone, Default)]
pub(super) struct Paths {
    exact: TextMap<Rules>,
    templates: Templates,
    /// Longer sources first. Tried one by one: a regex that does not fit fails at its first byte.
    regexes: Vec<RegexRule>,
    /// Without trailing slash.
    prefixes: TextMap<Rules>,
    prefix_lengths: Box<[usize]>,
    /// The prefix `/`, which takes every path.
    all: Rules,
}

#[derive(Debug, Clone)]
struct RegexRule {
    regex: Regex,
    source_len: usize,
    rule: Rule,
}

/// A path match with its regex compiled, once for all host names of its route.
pub(super) enum CompiledPath<'a> {
    Plain(&'a PathMatch),
    Regex { regex: Regex, source_len: usize },
}

impl<'a> CompiledPath<'a> {
    pub(super) fn new(accepted: &'a PathMatch) -> Self {
        match accepted {
            PathMatch::Regex(pattern) => Self::Regex {
                regex: pattern.compile(),
                source_len: pattern.as_str().len(),
            },
            plain => Self::Plain(plain),
        }
    }
}

impl Paths {
    /// Adds a rule. Call [`finish`](Self::finish) after the last one.
    pub(super) fn insert(&mut self, path: &CompiledPath<'_>, rule: Rule) {
        match path {
            CompiledPath::Regex { regex, source_len } => {
                self.regexes.push(RegexRule {
                    regex: regex.clone(),
                    source_len: *source_len,
                    rule,
                });
            }
            CompiledPath::Plain(PathMatch::Exact(path)) => {
                self.exact.entry((&**path).into()).or_default().push(rule);
            }
            CompiledPath::Plain(PathMatch::Template(template)) => {
                self.templates.insert(template, rule)
            }
            CompiledPath::Plain(PathMatch::Prefix(prefix)) => {
                match prefix.strip_suffix('/').unwrap_or(prefix) {
                    "" => self.all.push(rule),
                    prefix => self.prefixes.entry(prefix.into()).or_default().push(rule),
                }
            }
            // `new` compiles these.
            CompiledPath::Plain(PathMatch::Regex(_)) => {}
        }
    }

    pub(super) fn finish(&mut self) {
        self.exact
            .values_mut()
            .chain(self.prefixes.values_mut())
            .for_each(sort);
        sort(&mut self.all);
        self.templates.finish();
        self.regexes
            .sort_by_key(|entry| (Reverse(entry.source_len), entry.rule.rank));
        self.prefix_lengths = lengths(&self.prefixes);
    }

    /// The most specific rule that takes the head.
    #[inline]
    pub(super) fn find<T: Trace>(&self, asking: &Asking<'_, T>) -> Option<Choice> {
        self.exact(asking)
            .or_else(|| self.template(asking))
            .or_else(|| self.regex(asking))
            .or_else(|| self.prefix(asking))
            .or_else(|| asking.settle(first(&self.all, asking)?, Some(0)))
    }

    #[inline]
    fn exact<T: Trace>(&self, asking: &Asking<'_, T>) -> Option<Choice> {
        if self.exact.is_empty() {
            return None;
        }
        let rules = self.exact.get(asking.head.path)?;
        asking.settle(first(rules, asking)?, None)
    }

    #[inline]
    fn template<T: Trace>(&self, asking: &Asking<'_, T>) -> Option<Choice> {
        if self.templates.is_empty() {
            return None;
        }
        asking.settle(self.templates.find(asking)?, None)
    }

    #[inline]
    fn regex<T: Trace>(&self, asking: &Asking<'_, T>) -> Option<Choice> {
        self.regexes
            .iter()
            .find_map(|entry| asking.settle(entry.takes(asking)?, None))
    }

    /// Only lengths that some prefix has are tried, so a long path costs no more than a short one.
    #[inline]
    fn prefix<T: Trace>(&self, asking: &Asking<'_, T>) -> Option<Choice> {
        let path = asking.head.path;
        self.prefix_lengths
            .iter()
            .filter(|length| {
                let next = path.as_bytes().get(**length);
                next.map_or(path.len() == **length, |byte| *byte == b'/')
            })
            .find_map(|length| {
                let rules = self.prefixes.get(path.get(..*length)?)?;
                asking.settle(first(rules, asking)?, Some(*length))
            })
    }
}

impl RegexRule {
    /// The rule, where it holds. The other conditions are cheaper than the regex and are looked at before it, unless a trace
    /// is to hear of those alone whose path matches.
    #[inline]
    fn takes<T: Trace>(&self, asking: &Asking<'_, T>) -> Option<&Rule> {
        let head = asking.head;
        let is_match = || self.regex.is_match(head.path);
        if T::LISTENS && !is_match() {
            return None;
        }
        let rule = &self.rule;
        match rule.lost(head) {
            Some(lost) => rule.tell(lost, asking),
            None if !is_match() => {}
            None if rule.has_claims(head) => return Some(rule),
            None => rule.tell(Lost::Claims, asking),
        }
        None
    }
}
