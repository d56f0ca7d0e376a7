//! The paths of one host: exact, template, regex, prefix, in this order.

use std::cmp::Reverse;

use outrigger_config::model::PathMatch;
use regex::Regex;

use super::{
    Choice, Head,
    lookup::{TextMap, lengths},
    rule::{Rule, Rules, first, sort},
    template::Templates,
};

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
    pub(super) fn find(&self, head: &Head<'_>) -> Option<Choice> {
        self.exact(head)
            .or_else(|| self.template(head))
            .or_else(|| self.regex(head))
            .or_else(|| self.prefix(head))
            .or_else(|| first(&self.all, head).map(|rule| rule.choice(Some(0))))
    }

    fn exact(&self, head: &Head<'_>) -> Option<Choice> {
        if self.exact.is_empty() {
            return None;
        }
        self.exact
            .get(head.path)
            .and_then(|rules| first(rules, head))
            .map(|rule| rule.choice(None))
    }

    fn template(&self, head: &Head<'_>) -> Option<Choice> {
        if self.templates.is_empty() {
            return None;
        }
        self.templates.find(head).map(|rule| rule.choice(None))
    }

    fn regex(&self, head: &Head<'_>) -> Option<Choice> {
        // The other conditions are cheaper than the regex.
        self.regexes
            .iter()
            .find(|entry| {
                entry.rule.holds(head)
                    && entry.regex.is_match(head.path)
                    && entry.rule.has_claims(head)
            })
            .map(|entry| entry.rule.choice(None))
    }

    /// Only lengths that some prefix has are tried, so a long path costs no more than a short one.
    fn prefix(&self, head: &Head<'_>) -> Option<Choice> {
        let path = head.path.as_bytes();
        self.prefix_lengths
            .iter()
            .filter(|length| {
                path.get(**length)
                    .map_or(path.len() == **length, |byte| *byte == b'/')
            })
            .find_map(|length| {
                let rules = self.prefixes.get(head.path.get(..*length)?)?;
                first(rules, head).map(|rule| rule.choice(Some(*length)))
            })
    }
}
