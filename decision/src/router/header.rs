//! A condition on a header: one of its values must match, so that repeated fields cannot hide a
//! value.
//!
//! Fields that the proxy writes itself are matched as the app will receive them. Only
//! `x-forwarded-host` is matched in canonical form, so that no spelling of it bypasses a condition.

use std::sync::Arc;

use http::HeaderName;
use outrigger_config::model::{HeaderMatch, ValueMatch};
use outrigger_filters::{host, owned_headers};
use regex::Regex;

use super::Head;

#[derive(Debug, Clone)]
pub(super) struct HeaderRule {
    name: HeaderName,
    /// The proxy writes this field.
    owned: bool,
    value: ValueRule,
}

/// The value that a header or a query parameter must have.
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
        Self {
            name: accepted.name.clone(),
            owned: owned_headers::owns(accepted.name.as_str()),
            value: ValueRule::new(&accepted.value),
        }
    }

    pub(super) fn holds(&self, head: &Head<'_>) -> bool {
        head.headers
            .get_all(&self.name)
            .iter()
            .any(|value| self.takes(value.as_bytes()))
            || (self.owned && self.takes_own(head))
    }

    fn takes_own(&self, head: &Head<'_>) -> bool {
        let Some(value) = head.own.and_then(|own| own.get(&self.name)) else {
            return false;
        };
        if self.name != owned_headers::X_FORWARDED_HOST {
            return self.takes(value);
        }
        let one_form = |text| host::canonical(text, head.scheme);
        let Ok(sent) = std::str::from_utf8(value).map(one_form) else {
            return self.takes(value);
        };
        match &self.value {
            ValueRule::Exact(text) => sent == one_form(text),
            _ => self.takes(sent.as_bytes()),
        }
    }

    fn takes(&self, value: &[u8]) -> bool {
        match &self.value {
            ValueRule::Present => true,
            ValueRule::Exact(text) => value == text.as_bytes(),
            ValueRule::Regex(regex) => {
                std::str::from_utf8(value).is_ok_and(|text| regex.is_match(text))
            }
        }
    }
}
