//! `rateLimits` of a route and of `defaults`: names of limits.

use crate::{
    block::{At, name, problem::Report},
    listener::direction::Direction,
    part::id::RateLimitId,
    rate_limit::RateLimitKey,
    route::{
        auth::{Asking, Auth},
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

/// What a route names itself: each must be able to count something.
pub(crate) fn own(
    names: &Names,
    auth: &Auth,
    asking: &Asking<'_>,
    report: &mut Report,
) -> Vec<RateLimitId> {
    let context = asking.context;
    let mut ids = Vec::new();
    for (id, written) in resolved(Some(names), context, report) {
        ids.push(id);
        let limit = &context.rate_limits[id.0 as usize];
        if let Some((message, help)) = never_counts(&limit.key, auth, asking) {
            let message = format!("`{}` counts by {message}", limit.name);
            report.error(&written.place, "never-matches", message, help);
        }
    }
    ids
}

/// What a route inherits: of inbound routes those that can count something there.
pub(crate) fn inherited(
    names: Option<&Names>,
    auth: &Auth,
    asking: &Asking<'_>,
    report: &mut Report,
) -> Vec<RateLimitId> {
    let names = names.filter(|_| asking.direction == Direction::Inbound);
    let mut ids = named(names, asking.context, report);
    ids.retain(|id| {
        never_counts(&asking.context.rate_limits[id.0 as usize].key, auth, asking).is_none()
    });
    ids
}

/// Why no request of a route can have a key: what it counts by, and what to do.
fn never_counts(
    key: &RateLimitKey,
    auth: &Auth,
    asking: &Asking<'_>,
) -> Option<(String, &'static str)> {
    match key {
        RateLimitKey::Claim(_) if auth.requirement.providers().next().is_none() => Some((
            "a claim, and this route takes no token".to_owned(),
            "name a token provider in `auth` of the route, or take the limit away",
        )),
        RateLimitKey::SubjectAltName if !asking.may_have_certificate() => Some((
            "the client's certificate, and no listener of this route asks for one".to_owned(),
            "add `tls.clientAuth` to the listener, or take the limit away",
        )),
        RateLimitKey::Header(name) if asking.direction == Direction::Inbound => {
            let mut carried = asking
                .context
                .providers
                .iter()
                .flat_map(|provider| &provider.claim_headers);
            carried.any(|header| header.name == *name).then(|| {
                let message =
                    format!("`{name}` of `claimHeaders`, which is taken away from every client");
                (message, "count by the claim: `key: { claim: … }`")
            })
        }
        _ => None,
    }
}
