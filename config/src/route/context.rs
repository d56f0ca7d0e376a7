//! The parts of the file that routes refer to, which are validated before them.

use std::collections::HashMap;

use crate::{
    block::{
        name,
        problem::{Place, Report},
    },
    listener::{Listener, direction::Direction},
    part::id::{ListenerId, UpstreamId},
    provider::JwtProvider,
    rate_limit::RateLimit,
    upstream::Upstream,
};

/// The parts that routes refer to.
pub(crate) struct Context<'a> {
    pub(crate) listeners: &'a [Listener],
    pub(crate) upstreams: &'a [Upstream],
    pub(crate) providers: &'a [JwtProvider],
    pub(crate) rate_limits: &'a [RateLimit],
    pub(crate) has_app: bool,
    /// The index of each upstream.
    pub(crate) upstream_ids: HashMap<&'a str, u32>,
    /// The index of each limit.
    pub(crate) rate_limit_ids: HashMap<&'a str, u32>,
}

impl Context<'_> {
    pub(crate) fn inbound(&self) -> Vec<ListenerId> {
        self.ids()
            .filter(|(_, l)| l.direction == Direction::Inbound)
            .map(|(id, _)| id)
            .collect()
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = (ListenerId, &Listener)> {
        (0..).map(ListenerId).zip(self.listeners)
    }

    pub(crate) fn listener(&self, id: ListenerId) -> &Listener {
        &self.listeners[id.0 as usize]
    }

    /// Whether a listener requests client certificates.
    pub(crate) fn requests_certificates(&self, id: ListenerId) -> bool {
        self.listener(id)
            .tls
            .as_ref()
            .is_some_and(|tls| tls.client_auth.is_some())
    }
}

/// The upstream of this name.
pub(crate) fn upstream(
    name: &str,
    place: &Place,
    context: &Context<'_>,
    report: &mut Report,
) -> Option<UpstreamId> {
    let found = context.upstream_ids.get(name).copied();
    if found.is_none() {
        unresolved(name, place, context, report);
    }
    found.map(UpstreamId)
}

fn unresolved(name: &str, place: &Place, context: &Context<'_>, report: &mut Report) {
    if name == "app" {
        let help = "add `app: { port: 8080 }` with the port of the application in this pod";
        report.error(
            place,
            "unresolved-reference",
            "`app` is not configured",
            help,
        );
    } else {
        let known = context.upstreams.iter().map(|upstream| &*upstream.name);
        name::unresolved("upstream", name, place, known, report);
    }
}

/// The lists that accepted routes refer to.
pub(crate) struct Lists<'a> {
    pub(crate) listeners: &'a [Listener],
    pub(crate) upstreams: &'a [Upstream],
    pub(crate) providers: &'a [JwtProvider],
    pub(crate) rate_limits: &'a [RateLimit],
}

impl Lists<'_> {
    /// The name of an upstream.
    pub(crate) fn upstream(&self, id: UpstreamId) -> &str {
        &self.upstreams[id.0 as usize].name
    }
}
