//! A condition on a header: one of its values must hold, so that several lines cannot hide one.

use std::sync::Arc;

use http::{HeaderMap, HeaderName};
use outrigger_config::model::{HeaderMatch, ValueMatch};
use regex::Regex;

#[derive(Debug, Clone)]
pub(super) struct HeaderRule {
    name: HeaderName,
    value: ValueRule,
}

/// What a header or a query parameter must be.
#[derive(Debug, Clone)]
pub(super) enum ValueRule {
    Present,
    Exact(Arc<str>),
    Regex(Regex),
}

impl ValueRule {
    pub(super) fn new(accepted: &ValueMatch) -> Self {
        match accepted {
            ValueMatch::Present => Self::Present,
            ValueMatch::Exact(text) => Self::Exact(text.clone()),
            ValueMatch::Regex(pattern) => Self::Regex(pattern.compile()),
        }
    }
}

impl HeaderRule {
    pub(super) fn new(accepted: &HeaderMatch) -> Self {
        Self { name: accepted.name.clone(), value: ValueRule::new(&accepted.value) }
    }

    pub(super) fn holds(&self, headers: &HeaderMap) -> bool {
        headers.get_all(&self.name).iter().any(|value| match &self.value {
            ValueRule::Present => true,
            ValueRule::Exact(text) => value.as_bytes() == text.as_bytes(),
            ValueRule::Regex(regex) => {
                std::str::from_utf8(value.as_bytes()).is_ok_and(|text| regex.is_match(text))
            }
        })
    }
}
