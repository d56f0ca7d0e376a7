//! `authorize` of a route: rules, and detection of shadowed rules.

use std::sync::Arc;

use http::Method;
use serde_json::Value;

use crate::{
    block::{
        At, Entries, OneOrMany, Word, block,
        field::word,
        name,
        problem::{Place, Report},
        show::{self, Object, list, text},
        words,
    },
    part::{
        cidr::{self, Cidr},
        claim::{self, ClaimMatch},
        method,
        value_match::{MatchValue, ValueMatch},
        words::Mode,
    },
    route::auth::{Auth, AuthContext, may_have_token},
};

block! {
    /// Authorization rules: `deny` beats `allow`. With any `allow` rule, a request that matches
    /// none of them is rejected.
    AuthorizeBlock {
        /// `enforce`, or `report`: requests that fail are forwarded, logged and counted. Default
        /// enforce.
        "mode" mode: Word<Mode>,
        /// The rules, at least one.
        "rules" rules: Vec<At<RuleBlock>>,
    }
    required ["rules"]
}

block! {
    /// One rule.
    RuleBlock {
        /// A DNS label, unique in the route; logged when the rule rejects a request.
        "name" name: String,
        /// `allow` or `deny`.
        "action" action: Word<RuleAction>,
        /// Conditions, all of which must match. Default: every request.
        "when" when: WhenBlock,
    }
    required ["name", "action"]
}

block! {
    /// Conditions of a rule, all of which must match.
    WhenBlock {
        /// Methods, one of which must match.
        "methods" methods: Vec<At<String>>,
        /// Scopes, all of which the token must have (`scope`, or `scp`).
        "scopes" scopes: Vec<At<String>>,
        /// Claims of the token, all of which must match: a string is the exact value, a list
        /// contains alternatives. An array in the token matches when one of its elements does.
        "claims" claims: Entries<OneOrMany<MatchValue>>,
        /// Condition on the client certificate.
        "clientCert" client_cert: ClientCertBlock,
        /// Address ranges, one of which must contain the client address.
        "sourceCIDRs" source_cidrs: Vec<At<String>>,
    }
}

block! {
    /// Condition on the client certificate.
    ClientCertBlock {
        /// URI and DNS names, one of which must be in the certificate. `*` is one segment between
        /// slashes (dots, in a DNS name), `**` any number.
        "subjectAltNames" subject_alt_names: Vec<At<String>>,
    }
    required ["subjectAltNames"]
}

/// `authorize` of a route: deny beats allow; with any allow rule, a request without a match is
/// denied.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Authorize {
    /// Whether a request that fails is rejected or only counted.
    pub mode: Mode,
    /// The rules in file order; at least one.
    pub rules: Vec<AuthorizeRule>,
}

impl Authorize {
    /// Creates it from these rules.
    pub fn new(mode: Mode, rules: Vec<AuthorizeRule>) -> Self {
        Self { mode, rules }
    }
}

/// One rule of `authorize`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuthorizeRule {
    /// Unique within its route; logged when the rule rejects a request.
    pub name: Arc<str>,
    /// What it does with a request that matches.
    pub action: RuleAction,
    /// Methods, one of which must match; empty matches all.
    pub methods: Vec<Method>,
    /// Scopes, all of which the token must have (`scope`, or `scp`); empty requires none.
    pub scopes: Vec<Arc<str>>,
    /// Claims, all of which must match.
    pub claims: Vec<ClaimMatch>,
    /// Names, one of which must be in the client certificate; empty matches all.
    pub subject_alt_names: Vec<SanPattern>,
    /// Ranges, one of which must contain the client address; empty matches all.
    pub source_cidrs: Vec<Cidr>,
}

impl AuthorizeRule {
    /// A rule that matches every request; the other fields are public.
    pub fn new(name: Arc<str>, action: RuleAction) -> Self {
        Self {
            name,
            action,
            methods: Vec::new(),
            scopes: Vec::new(),
            claims: Vec::new(),
            subject_alt_names: Vec::new(),
            source_cidrs: Vec::new(),
        }
    }
}

/// What a rule does with a request that matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RuleAction {
    /// Allows it, unless another rule denies it.
    Allow,
    /// Rejects it.
    Deny,
}

words! {
    RuleAction { "allow" => Allow, "deny" => Deny }
}

/// A name of a certificate: `*` is one segment between slashes (or dots, in a DNS name), `**` any number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SanPattern(Arc<str>);

impl SanPattern {
    /// A validated pattern.
    pub fn new(pattern: impl Into<Arc<str>>) -> Self {
        Self(pattern.into())
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Validates the rules of one route, whose `auth` determines which credentials are known.
pub(crate) fn accept(
    written: &At<AuthorizeBlock>,
    auth: &Auth,
    asking: &AuthContext<'_>,
    report: &mut Report,
) -> Authorize {
    let block = &written.value;
    let items = block.rules.as_ref().map_or(&[][..], |rules| &rules.value);
    if let Some(empty) = block.rules.as_ref().filter(|rules| rules.value.is_empty()) {
        let help = "add a rule, or remove `authorize` to allow every request that passes `auth`";
        report.error(
            &empty.place,
            "empty-list",
            "the list of rules is empty",
            help,
        );
    }
    let mut rules: Vec<AuthorizeRule> = Vec::with_capacity(items.len());
    let mut taken = name::UsedNames::of("rule");
    for item in items {
        if let Some(name) = &item.value.name {
            name::check(&name.value, &name.place, report);
            taken.take(&name.value, &name.place, report);
        }
        if let Some(when) = &item.value.when {
            check_conditions(&when.value, auth, asking, report);
        }
        rules.push(rule(&item.value, report));
    }
    if !report.has_errors() {
        unreachable(&rules, items, report);
    }
    Authorize::new(word(&block.mode, Mode::Enforce), rules)
}

fn rule(block: &RuleBlock, report: &mut Report) -> AuthorizeRule {
    let name = block.name.as_ref().map_or("", |name| &name.value);
    // A placeholder for a rejected value.
    let action = word(&block.action, RuleAction::Deny);
    let mut rule = AuthorizeRule::new(name.into(), action);
    let Some(when) = block.when.as_ref().map(|when| &when.value) else {
        return rule;
    };
    rule.methods = method::list(when.methods.as_ref(), report);
    rule.scopes = scopes(when.scopes.as_ref(), report);
    rule.claims = claim::any_matches(when.claims.as_ref(), report);
    rule.subject_alt_names = when.client_cert.as_ref().map_or_else(Vec::new, |block| {
        let names = listed(block.value.subject_alt_names.as_ref(), report);
        names
            .into_iter()
            .filter_map(|name| san_pattern(name, report))
            .collect()
    });
    let ranges = listed(when.source_cidrs.as_ref(), report);
    rule.source_cidrs = ranges
        .into_iter()
        .filter_map(|range| cidr::accept(&range.value, &range.place, report))
        .collect();
    rule
}

/// Reports conditions that no request of the route can fulfil.
fn check_conditions(when: &WhenBlock, auth: &Auth, asking: &AuthContext<'_>, report: &mut Report) {
    let of_token = [
        ("scopes", when.scopes.as_ref().map(|at| &at.place)),
        ("claims", when.claims.as_ref().map(|at| &at.place)),
    ];
    for (key, place) in of_token {
        if let Some(place) = place.filter(|_| !may_have_token(auth)) {
            let message = format!("`{key}` require a token, but `auth` of this route accepts none");
            let help = "add `auth: { anyOf: […] }` with a token provider to the route";
            report.error(place, "no-token", message, help);
        }
    }
    if let Some(cert) = when
        .client_cert
        .as_ref()
        .filter(|_| !asking.may_have_certificate())
    {
        let message = "no listener of this route requests a client certificate";
        let help = "add `tls.clientAuth` to a listener of the route";
        report.error(&cert.place, "no-client-auth", message, help);
    }
}

fn scopes(written: Option<&At<Vec<At<String>>>>, report: &mut Report) -> Vec<Arc<str>> {
    let mut scopes = Vec::new();
    for item in listed(written, report) {
        // RFC 6749 section 3.3: visible ASCII except `"` and `\`.
        let good = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
        if item.value.is_empty() || !item.value.bytes().all(good) {
            let message = format!("{:?} is not a valid scope", item.value);
            report.error(
                &item.place,
                "bad-scope",
                message,
                "write each scope as a separate item",
            );
        }
        scopes.push(item.value.as_str().into());
    }
    scopes
}

fn san_pattern(item: &At<String>, report: &mut Report) -> Option<SanPattern> {
    let text = item.value.as_str();
    let separator = if text.contains(['/', ':']) { '/' } else { '.' };
    let whole = |segment: &str| matches!(segment, "*" | "**") || !segment.contains('*');
    let visible = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    if text.contains('@') && !text.contains(['/', ':']) {
        let message = "rules match URI and DNS names of a certificate, and this is neither";
        report.error(
            &item.place,
            "bad-san",
            message,
            "write for example spiffe://prod/ns/ops/sa/* or *.example.com",
        );
        return None;
    }
    if visible && text.split(separator).all(whole) {
        return Some(SanPattern::new(text));
    }
    let message = format!("{text:?} is not a valid pattern of a certificate name");
    let help = "`*` matches a whole segment, `**` any number of segments: spiffe://prod/ns/*/sa/api, *.example.com";
    report.error(&item.place, "bad-san", message, help);
    None
}

/// The items of a list that may be absent but not empty, without duplicates.
fn listed<'a>(
    written: Option<&'a At<Vec<At<String>>>>,
    report: &mut Report,
) -> Vec<&'a At<String>> {
    let Some(written) = written else {
        return Vec::new();
    };
    if written.value.is_empty() {
        let help = "add an item, or remove the key for no condition";
        report.error(&written.place, "empty-list", "the list is empty", help);
    }
    name::each_once(&written.value, report)
}

/// Warns about rules that are shadowed by another rule.
fn unreachable(rules: &[AuthorizeRule], items: &[At<RuleBlock>], report: &mut Report) {
    for (index, rule) in rules.iter().enumerate() {
        let wider = rules.iter().enumerate().find(|(other, wide)| {
            let beats = wide.action == RuleAction::Deny && rule.action == RuleAction::Allow;
            let earlier = wide.action == rule.action && *other < index;
            (beats || earlier) && covers(wide, rule)
        });
        let Some((_, wide)) = wider else { continue };
        let place = |item: &At<RuleBlock>| -> Place {
            item.value
                .name
                .as_ref()
                .map_or_else(|| item.place.clone(), |name| name.place.clone())
        };
        let message = format!(
            "the rule `{}` is shadowed by the rule `{}`, which matches all its requests",
            rule.name, wide.name
        );
        let help = match wide.action == rule.action {
            true => "remove it, or restrict the other rule",
            false => "a deny rule beats every allow rule: restrict it, or remove this one",
        };
        report.warning(&place(&items[index]), "shadowed-rule", message, help);
    }
}

/// Whether `wide` matches every request that `narrow` matches.
fn covers(wide: &AuthorizeRule, narrow: &AuthorizeRule) -> bool {
    one_of(&wide.methods, &narrow.methods, Method::eq)
        && wide
            .scopes
            .iter()
            .all(|scope| narrow.scopes.contains(scope))
        && wide
            .claims
            .iter()
            .all(|claim| narrow.claims.iter().any(|other| claim_covers(claim, other)))
        && one_of(
            &wide.subject_alt_names,
            &narrow.subject_alt_names,
            |wide, narrow| wide.as_str() == "**" || wide == narrow,
        )
        && one_of(
            &wide.source_cidrs,
            &narrow.source_cidrs,
            |wide: &Cidr, narrow: &Cidr| {
                wide.network.is_ipv4() == narrow.network.is_ipv4()
                    && wide.prefix <= narrow.prefix
                    && wide.contains(narrow.network)
            },
        )
}

/// Compares lists of alternatives; an empty list matches everything.
fn one_of<T>(wide: &[T], narrow: &[T], covers: impl Fn(&T, &T) -> bool) -> bool {
    wide.is_empty()
        || (!narrow.is_empty() && narrow.iter().all(|one| wide.iter().any(|w| covers(w, one))))
}

fn claim_covers(wide: &ClaimMatch, narrow: &ClaimMatch) -> bool {
    wide.claim == narrow.claim
        && narrow
            .any_of
            .iter()
            .all(|value| wide.any_of.contains(&ValueMatch::Present) || wide.any_of.contains(value))
}

/// Renders the accepted value.
pub(crate) fn show(authorize: &Authorize) -> Object {
    let rules: Vec<Value> = authorize.rules.iter().map(show_rule).collect();
    Object::new()
        .with("mode", show::word(authorize.mode))
        .with("rules", rules)
}

fn show_rule(rule: &AuthorizeRule) -> Value {
    let cert = list(&rule.subject_alt_names, |name| text(name.as_str()));
    let ranges = list(&rule.source_cidrs, |range| {
        format!("{}/{}", range.network, range.prefix).into()
    });
    let when = Object::new()
        .maybe(
            "methods",
            list(&rule.methods, |method| method.as_str().into()),
        )
        .maybe("scopes", list(&rule.scopes, |scope| text(scope)))
        .maybe("claims", claim::show(&rule.claims))
        .maybe(
            "clientCert",
            cert.map(|names| Object::new().with("subjectAltNames", names)),
        )
        .maybe("sourceCIDRs", ranges);
    Object::new()
        .with("name", &*rule.name)
        .with("action", show::word(rule.action))
        .maybe("when", (!when.is_empty()).then_some(when))
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::claim::ClaimPath;

    fn rule(change: impl FnOnce(&mut AuthorizeRule)) -> AuthorizeRule {
        let mut rule = AuthorizeRule::new("a".into(), RuleAction::Allow);
        change(&mut rule);
        rule
    }

    #[test]
    fn a_rule_covers_another_when_each_of_its_conditions_is_as_wide() {
        let everything = rule(|_| {});
        let get = rule(|rule| rule.methods = vec![Method::GET]);
        let read = rule(|rule| rule.methods = vec![Method::GET, Method::HEAD]);
        let scope = rule(|rule| rule.scopes = vec!["a".into()]);
        let scopes = rule(|rule| rule.scopes = vec!["b".into(), "a".into()]);
        let range = |text: &str, prefix| {
            rule(|rule| rule.source_cidrs = vec![Cidr::new(text.parse().unwrap(), prefix)])
        };
        let san = |text: &str| rule(|rule| rule.subject_alt_names = vec![SanPattern::new(text)]);
        let claim = |values: &[&str]| {
            let any_of = values.iter().map(|value| match *value {
                "" => ValueMatch::Present,
                value => ValueMatch::Exact(value.into()),
            });
            let claim = ClaimPath::new(["groups".into()]);
            let found = ClaimMatch::new(claim, any_of.collect());
            rule(|rule| rule.claims = vec![found])
        };
        for (wide, narrow, expected) in [
            (&everything, &get, true),
            (&everything, &everything, true),
            (&get, &everything, false),
            (&read, &get, true),
            (&get, &read, false),
            (&scope, &scopes, true),
            (&scopes, &scope, false),
            (&scope, &get, false),
            (&range("10.0.0.0", 8), &range("10.1.0.0", 16), true),
            (&range("10.1.0.0", 16), &range("10.0.0.0", 8), false),
            (&range("0.0.0.0", 0), &range("::", 0), false),
            (&san("**"), &san("spiffe://a/*"), true),
            (&san("spiffe://a/*"), &san("spiffe://a/b"), false),
            (&claim(&["a", "b"]), &claim(&["b"]), true),
            (&claim(&[""]), &claim(&["b"]), true),
            (&claim(&["a"]), &claim(&["a", "b"]), false),
        ] {
            assert_eq!(covers(wide, narrow), expected, "{wide:?} {narrow:?}");
        }
    }
}
