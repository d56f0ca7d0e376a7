//! `rateLimits` of a route and of `defaults`: names of limits.

use crate::{
    block::{At, name, problem::Report},
    listener::direction::Direction,
    part::id::RateLimitId,
    rate_limit::RateLimitKey,
    route::{
        auth::{Auth, AuthContext},
        context::Context,
    },
};

type Names = At<Vec<At<String>>>;

/// The limits of these names.
pub(crate) fn named(
    names: Option<&Names>,
    context: &Context<'_>,
    report: &mut Report,
) -> Vec<RateLimitId> {
    resolved(names, context, report)
        .into_iter()
        .map(|(id, _)| id)
        .collect()
}

fn resolved<'a>(
    names: Option<&'a Names>,
    context: &Context<'_>,
    report: &mut Report,
) -> Vec<(RateLimitId, &'a At<String>)> {
    let names = names.map_or(&[][..], |names| &names.value);
    let mut found = Vec::with_capacity(names.len());
    for written in name::each_once(names, report) {
        match context.rate_limit_ids.get(written.value.as_str()) {
            Some(id) => found.push((RateLimitId(*id), written)),
            None => {
                let known = context.rate_limits.iter().map(|limit| &*limit.name);
                name::unresolved("rate limit", &written.value, &written.place, known, report);
            }
        }
    }
    found
}

/// The limits of a route's own list: each must be able to count requests.
pub(crate) fn own(
    names: &Names,
    auth: &Auth,
    asking: &AuthContext<'_>,
    report: &mut Report,
) -> Vec<RateLimitId> {
    let context = asking.context;
    let mut ids = Vec::new();
    for (id, written) in resolved(Some(names), context, report) {
        ids.push(id);
        let limit = &context.rate_limits[id.0 as usize];
        if let Some((message, help)) = why_never_counts(&limit.key, auth, asking) {
            let message = format!("the rate limit `{}` uses {message}", limit.name);
            report.error(&written.place, "never-matches", message, help);
        }
    }
    ids
}

/// The limits that an inbound route inherits: those that can count requests there.
pub(crate) fn inherited(
    names: Option<&Names>,
    auth: &Auth,
    asking: &AuthContext<'_>,
    report: &mut Report,
) -> Vec<RateLimitId> {
    let names = names.filter(|_| asking.direction == Direction::Inbound);
    let mut ids = named(names, asking.context, report);
    ids.retain(|id| {
        why_never_counts(&asking.context.rate_limits[id.0 as usize].key, auth, asking).is_none()
    });
    ids
}

/// Why no request of a route can have the key of a limit: the key, and what to do.
fn why_never_counts(
    key: &RateLimitKey,
    auth: &Auth,
    asking: &AuthContext<'_>,
) -> Option<(String, &'static str)> {
    match key {
        RateLimitKey::Claim(_) if auth.requirement.providers().next().is_none() => Some((
            "a claim, but this route accepts no token".to_owned(),
            "add a token provider to `auth` of the route, or remove the limit",
        )),
        RateLimitKey::SubjectAltName if !asking.may_have_certificate() => Some((
            "the client certificate, but no listener of this route requests one".to_owned(),
            "add `tls.clientAuth` to the listener, or remove the limit",
        )),
        RateLimitKey::Header(name) if asking.direction == Direction::Inbound => {
            let mut carried = asking
                .context
                .providers
                .iter()
                .flat_map(|provider| &provider.claim_headers);
            carried.any(|header| header.name == *name).then(|| {
                let message = format!(
                    "`{name}` of `claimHeaders`, which is removed from all client requests"
                );
                (message, "use the claim: `key: { claim: … }`")
            })
        }
        _ => None,
    }
}
