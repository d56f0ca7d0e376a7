//! `authorize` of a route: what an authenticated client may do.
//!
//! Deny rules override allow rules, independent of their order. If a route has allow rules, a
//! request that matches none of them is denied. All keys of `when` must match; of a list one item
//! must match, of scopes all. A rule without `when` matches every request. Claims and scopes are
//! those of verified tokens, names those of a verified certificate: unverified ones are never
//! considered.
//!
//! A denied request gets 403; the response does not name the rule.

mod san;
mod step;

use std::{net::IpAddr, sync::Arc};

use http::Method;
use outrigger_config::model::{self, AuthorizeRule, Cidr, RuleAction};

use self::san::SanRule;
use crate::{
    claims::{ClaimRule, Claims},
    identity::Identity,
    reason::Reason,
};

pub use step::AuthorizeStep;

/// The rules of one route, compiled.
#[derive(Debug, Clone)]
pub struct Rules {
    deny: Vec<Rule>,
    allow: Vec<Rule>,
}

/// What the rules see of a request.
pub struct Subject<'a> {
    /// The method.
    pub method: &'a Method,
    /// The claims of the verified tokens.
    pub claims: &'a dyn Claims,
    /// The client's identity, from its verified certificate.
    pub identity: Option<&'a Identity>,
    /// The client's address.
    pub address: IpAddr,
}

/// The result of the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision<'a> {
    /// The request continues.
    Allow,
    /// The request is rejected.
    Deny {
        /// The deny rule that matched, if one did.
        rule: Option<&'a Arc<str>>,
        /// One of `authorize.…`.
        reason: Reason,
    },
}

impl Rules {
    /// Compiles the accepted rules.
    pub fn new(accepted: &model::Authorize) -> Self {
        let of = |action| {
            let rules = accepted.rules.iter().filter(|rule| rule.action == action);
            rules.map(Rule::new).collect()
        };
        Self {
            deny: of(RuleAction::Deny),
            allow: of(RuleAction::Allow),
        }
    }

    /// Decides about one request.
    pub fn decide(&self, subject: &Subject<'_>) -> Decision<'_> {
        if let Some(rule) = self.deny.iter().find(|rule| rule.takes(subject)) {
            return Decision::Deny {
                rule: Some(&rule.name),
                reason: Reason::AuthorizeDenied,
            };
        }
        if self.allow.is_empty() {
            return Decision::Allow;
        }
        let mut reason = Reason::AuthorizeNotAllowed;
        for rule in self
            .allow
            .iter()
            .filter(|rule| rule.takes_but_for_scopes(subject))
        {
            if rule.has_scopes(subject) {
                return Decision::Allow;
            }
            reason = Reason::AuthorizeInsufficientScope;
        }
        Decision::Deny { rule: None, reason }
    }
}

#[derive(Debug, Clone)]
struct Rule {
    name: Arc<str>,
    methods: Vec<Method>,
    scopes: Vec<Arc<str>>,
    claims: Vec<ClaimRule>,
    names: Vec<SanRule>,
    sources: Vec<Cidr>,
}

impl Rule {
    fn new(accepted: &AuthorizeRule) -> Self {
        Self {
            name: accepted.name.clone(),
            methods: accepted.methods.clone(),
            scopes: accepted.scopes.clone(),
            claims: accepted.claims.iter().map(ClaimRule::new).collect(),
            names: accepted
                .subject_alt_names
                .iter()
                .map(SanRule::new)
                .collect(),
            sources: accepted.source_cidrs.clone(),
        }
    }

    fn takes(&self, subject: &Subject<'_>) -> bool {
        self.takes_but_for_scopes(subject) && self.has_scopes(subject)
    }

    fn takes_but_for_scopes(&self, subject: &Subject<'_>) -> bool {
        let is_named = || {
            subject
                .identity
                .is_some_and(|client| self.names.iter().any(|rule| rule.takes(client)))
        };
        (self.methods.is_empty() || self.methods.contains(subject.method))
            && (self.sources.is_empty()
                || self
                    .sources
                    .iter()
                    .any(|range| range.contains(subject.address)))
            && (self.names.is_empty() || is_named())
            && self.claims.iter().all(|rule| rule.holds(subject.claims))
    }

    fn has_scopes(&self, subject: &Subject<'_>) -> bool {
        self.scopes
            .iter()
            .all(|scope| subject.claims.has_scope(scope))
    }
}

#[cfg(test)]
mod tests;
