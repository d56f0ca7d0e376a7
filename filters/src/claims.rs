//! Verified claims, as seen by the steps that decide by them: route choice and authorization.
//!
//! The code that verifies tokens implements [`Claims`]; a token that was not verified is never
//! behind it.

use std::sync::Arc;

use outrigger_config::model::{ClaimMatch, ClaimPath, ValueMatch};
use regex::Regex;

/// The claims of a verified token.
pub trait Claims {
    /// Whether the token has the claim; `null` counts as missing.
    fn has(&self, claim: &ClaimPath) -> bool;

    /// Whether `holds` accepts the claim's value: a string as it is, a number or boolean as JSON
    /// writes it, an array if one of its elements is accepted. An object is never accepted.
    fn any(&self, claim: &ClaimPath, holds: &mut dyn FnMut(&str) -> bool) -> bool;

    /// Whether this scope was granted: `scope` split at spaces, or `scp`.
    fn has_scope(&self, scope: &str) -> bool;
}

/// A match on one claim, with its regular expressions compiled.
#[derive(Debug, Clone)]
pub struct ClaimRule {
    claim: ClaimPath,
    present: bool,
    texts: Vec<Arc<str>>,
    patterns: Vec<Regex>,
}

impl ClaimRule {
    /// Compiles an accepted match.
    pub fn new(accepted: &ClaimMatch) -> Self {
        let mut rule = Self {
            claim: accepted.claim.clone(),
            present: false,
            texts: Vec::new(),
            patterns: Vec::new(),
        };
        for value in &accepted.any_of {
            match value {
                ValueMatch::Present => rule.present = true,
                ValueMatch::Exact(text) => rule.texts.push(Arc::clone(text)),
                ValueMatch::Regex(pattern) => rule.patterns.push(pattern.compile()),
            }
        }
        rule
    }

    /// Whether these claims satisfy it.
    pub fn holds(&self, claims: &dyn Claims) -> bool {
        if self.present && claims.has(&self.claim) {
            return true;
        }
        let one = |value: &str| {
            self.texts.iter().any(|text| **text == *value)
                || self.patterns.iter().any(|pattern| pattern.is_match(value))
        };
        claims.any(&self.claim, &mut { one })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use outrigger_config::model::Pattern;
    use serde_json::{Value, json};

    use super::*;

    /// Claims for a test.
    pub(crate) struct TestClaims(pub(crate) Value);

    impl TestClaims {
        fn value(&self, claim: &ClaimPath) -> Option<&Value> {
            claim
                .members()
                .iter()
                .try_fold(&self.0, |value, member| value.get(&**member))
        }
    }

    impl Claims for TestClaims {
        fn has(&self, claim: &ClaimPath) -> bool {
            self.value(claim).is_some_and(|value| !value.is_null())
        }

        fn any(&self, claim: &ClaimPath, holds: &mut dyn FnMut(&str) -> bool) -> bool {
            let mut one = |value: &Value| match value {
                Value::String(text) => holds(text),
                Value::Number(_) | Value::Bool(_) => holds(&value.to_string()),
                _ => false,
            };
            match self.value(claim) {
                Some(Value::Array(values)) => values.iter().any(one),
                Some(value) => one(value),
                None => false,
            }
        }

        fn has_scope(&self, scope: &str) -> bool {
            self.0["scope"]
                .as_str()
                .is_some_and(|all| all.split(' ').any(|one| one == scope))
        }
    }

    pub(crate) fn path(members: &[&str]) -> ClaimPath {
        ClaimPath::new(
            members
                .iter()
                .map(|&member| member.into())
                .collect::<Vec<Arc<str>>>(),
        )
    }

    pub(crate) fn exact(text: &str) -> ValueMatch {
        ValueMatch::Exact(text.into())
    }

    #[test]
    fn one_of_the_values_must_be_the_claims_or_one_of_its_elements() {
        let claims = TestClaims(json!({
            "plan": "beta", "level": 3, "admin": true, "groups": ["sre", "dev"], "org": {"tenant": "a"},
            "a.b": "dotted", "none": null, "empty": [],
        }));
        let regex = |source| ValueMatch::Regex(Pattern::new(source).unwrap());
        for (claim, any_of, expected) in [
            (&["plan"][..], vec![exact("beta")], true),
            (&["plan"], vec![exact("alpha"), exact("beta")], true),
            (&["plan"], vec![exact("bet")], false),
            (&["plan"], vec![regex("b.*")], true),
            (&["plan"], vec![regex("b")], false),
            (&["plan"], vec![ValueMatch::Present], true),
            (&["level"], vec![exact("3")], true),
            (&["admin"], vec![exact("true")], true),
            (&["groups"], vec![exact("dev")], true),
            (&["groups"], vec![exact("ops")], false),
            (&["groups"], vec![exact("sre,dev")], false),
            (&["org", "tenant"], vec![exact("a")], true),
            (&["org"], vec![regex(".*")], false),
            (&["org"], vec![ValueMatch::Present], true),
            (&["a.b"], vec![exact("dotted")], true),
            (&["a", "b"], vec![exact("dotted")], false),
            (&["none"], vec![ValueMatch::Present], false),
            (&["none"], vec![exact("null")], false),
            (&["empty"], vec![regex(".*")], false),
            (&["absent"], vec![ValueMatch::Present, regex(".*")], false),
        ] {
            let rule = ClaimRule::new(&ClaimMatch::new(path(claim), any_of.clone()));
            assert_eq!(rule.holds(&claims), expected, "{claim:?} {any_of:?}");
        }
    }
}
