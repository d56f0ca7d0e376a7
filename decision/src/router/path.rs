//! The paths of one host: exact, template, regex, prefix, in this order.

use std::cmp::Reverse;

use outrigger_config::model::PathMatch;
use regex::Regex;

use super::{
    Choice, Search,
    lookup::{TextMap, lengths},
    rule::{Rule, Rules, first, sort},
    template::Templates,
};
use crate::{Trace, trace::Lost};

/// The rules of one host by path.
#[derive(Debug, Clone, Default)]
pub(super) struct Paths {
    exact: TextMap<Rules>,
    templates: Templates,
    /// Longer sources first. Tried one by one: a regex that does not match usually fails at its
    /// first byte.
    regexes: Vec<RegexRule>,
    /// Without trailing slash.
    prefixes: TextMap<Rules>,
    prefix_lengths: Box<[usize]>,
    /// The rules of the prefix `/`, which matches every path.
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

    /// The most specific rule that matches the head.
    #[inline]
    pub(super) fn find<T: Trace>(&self, search: &Search<'_, T>) -> Option<Choice> {
        self.exact(search)
            .or_else(|| self.template(search))
            .or_else(|| self.regex(search))
            .or_else(|| self.prefix(search))
            .or_else(|| search.settle(first(&self.all, search)?, Some(0)))
    }

    #[inline]
    fn exact<T: Trace>(&self, search: &Search<'_, T>) -> Option<Choice> {
        if self.exact.is_empty() {
            return None;
        }
        let rules = self.exact.get(search.head.path)?;
        search.settle(first(rules, search)?, None)
    }

    #[inline]
    fn template<T: Trace>(&self, search: &Search<'_, T>) -> Option<Choice> {
        if self.templates.is_empty() {
            return None;
        }
        search.settle(self.templates.find(search)?, None)
    }

    #[inline]
    fn regex<T: Trace>(&self, search: &Search<'_, T>) -> Option<Choice> {
        self.regexes
            .iter()
            .find_map(|entry| search.settle(entry.takes(search)?, None))
    }

    /// Only the lengths of existing prefixes are tried, so a long path costs no more than a short
    /// one.
    #[inline]
    fn prefix<T: Trace>(&self, search: &Search<'_, T>) -> Option<Choice> {
        let path = search.head.path;
        self.prefix_lengths
            .iter()
            .filter(|length| {
                let next = path.as_bytes().get(**length);
                next.map_or(path.len() == **length, |byte| *byte == b'/')
            })
            .find_map(|length| {
                let rules = self.prefixes.get(path.get(..*length)?)?;
                search.settle(first(rules, search)?, Some(*length))
            })
    }
}

impl RegexRule {
    /// The rule, if it matches. The other conditions are cheaper than the regex and are checked
    /// first, except with a trace, which must report only rules whose path matches.
    #[inline]
    fn takes<T: Trace>(&self, search: &Search<'_, T>) -> Option<&Rule> {
        let head = search.head;
        let is_match = || self.regex.is_match(head.path);
        if T::LISTENS && !is_match() {
            return None;
        }
        let rule = &self.rule;
        match rule.lost(head) {
            Some(lost) => rule.tell(lost, search),
            None if !is_match() => {}
            None if rule.has_claims(head) => return Some(rule),
            None => rule.tell(Lost::Claims, search),
        }
        None
    }
}
