//! Warnings about accepted settings that do not have the expected effect.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr},
};

use crate::{
    block::{
        name,
        problem::{Place, Report},
    },
    file::{Config, File},
    listener::Listener,
    part::{hostname::Hostname, url::EndpointAddress},
    route::{
        Route,
        action::Action,
        matches::{PathMatch, RouteMatch},
        redirect::Redirect,
        rewrite::PathRewrite,
    },
};

/// Warns about upstreams and rate limits that no route uses, about endpoints that are a listener of
/// this proxy, and about redirects to themselves.
pub(crate) fn check(file: &File, config: &Config, report: &mut Report) {
    unused_upstreams(file, config, report);
    unused_rate_limits(file, config, report);
    own_listeners(file, config, report);
    redirects(file, config, report);
}

fn unused_upstreams(file: &File, config: &Config, report: &mut Report) {
    let mut used = vec![false; config.upstreams.len()];
    for route in &config.routes {
        let mirror = route.request_mirror.iter().map(|mirror| mirror.upstream);
        let backends = match &route.action {
            Action::Forward(backends) => &backends[..],
            Action::Redirect(_) | Action::Respond(_) => &[],
        };
        for id in backends
            .iter()
            .map(|backend| backend.upstream)
            .chain(mirror)
        {
            if let Some(used) = used.get_mut(id.0 as usize) {
                *used = true;
            }
        }
    }
    let ids = name::by_name(&config.upstreams, |upstream| &upstream.name);
    for (key, _) in file.upstreams.iter().flat_map(|written| &written.value.0) {
        if ids.get(&*key.value).is_some_and(|id| !used[*id as usize]) {
            let message = format!("no route uses the upstream `{}`", key.value);
            let help = format!(
                "use it in a route: `backendRefs: [{}]`; or remove it",
                key.value
            );
            report.warning(&key.place, "unused-upstream", message, help);
        }
    }
}

fn unused_rate_limits(file: &File, config: &Config, report: &mut Report) {
    let ids = name::by_name(&config.rate_limits, |limit| &limit.name);
    let used: HashSet<u32> = config
        .routes
        .iter()
        .flat_map(|route| &route.rate_limits)
        .map(|id| id.0)
        .collect();
    for (key, _) in file.rate_limits.iter().flat_map(|written| &written.value.0) {
        let Some(id) = ids.get(&*key.value) else {
            continue;
        };
        if !used.contains(id) {
            let message = format!("no route uses the rate limit `{}`", key.value);
            let help = format!(
                "use it in a route or in `defaults`: `rateLimits: [{}]`; or remove it",
                key.value
            );
            report.warning(&key.place, "unused-rate-limit", message, help);
        }
    }
}

fn own_listeners(file: &File, config: &Config, report: &mut Report) {
    let ids = name::by_name(&config.upstreams, |upstream| &upstream.name);
    for (key, block) in file.upstreams.iter().flat_map(|written| &written.value.0) {
        let Some(upstream) = ids
            .get(&*key.value)
            .map(|id| &config.upstreams[*id as usize])
        else {
            continue;
        };
        let places = block
            .value
            .endpoints
            .iter()
            .flat_map(|written| &written.value);
        for (endpoint, written) in upstream.endpoints.iter().zip(places) {
            let Some(listener) = config
                .listeners
                .iter()
                .find(|one| is_at(one, &endpoint.address))
            else {
                continue;
            };
            let message = format!(
                "this endpoint of upstream `{}` is the listener `{}` of this proxy: a request may loop",
                key.value, listener.name
            );
            let help = "write the address of the service itself";
            report.warning(&written.place, "own-listener", message, help);
        }
    }
}

/// Whether a connection to this address reaches the listener. Other addresses of the pod are not
/// known here.
fn is_at(listener: &Listener, address: &EndpointAddress) -> bool {
    let (ip, port) = match address {
        EndpointAddress::Socket(socket) => (socket.ip(), socket.port()),
        EndpointAddress::Host { name, port } if &**name == "localhost" => {
            (Ipv4Addr::LOCALHOST.into(), *port)
        }
        EndpointAddress::Host { .. } | EndpointAddress::Unix(_) => return false,
    };
    let own = listener.address.socket;
    let is_local = |ip: IpAddr| ip.is_loopback() || ip.is_unspecified();
    own.port() == port
        && port != 0
        && (own.ip() == ip || (own.ip().is_unspecified() && is_local(ip)))
}

fn redirects(file: &File, config: &Config, report: &mut Report) {
    let Some(written) = &file.routes else { return };
    for (index, (route, item)) in config.routes.iter().zip(&written.value).enumerate() {
        let Action::Redirect(redirect) = &route.action else {
            continue;
        };
        let is_loop = |route_match: &RouteMatch| {
            Target::of(config, route, redirect, route_match).is_some_and(|target| {
                !matched_by_another_route(config, index, route_match, &target)
            })
        };
        if !route.matches.iter().any(is_loop) {
            continue;
        }
        let block = item.value.request_redirect.as_ref();
        let place: &Place = block.map_or(&item.place, |block| &block.place);
        let message = format!(
            "the redirect of route `{}` leads to the same route again, which is a loop",
            route.name
        );
        let help = "change `scheme`, `hostname` or `path` so that another route or service matches";
        report.warning(place, "redirect-loop", message, help);
    }
}

/// The target of a redirect, when the redirect may match it again. `path` is absent when the
/// redirect does not change it.
struct Target<'a> {
    path: Option<&'a str>,
    host: Option<&'a str>,
}

impl<'a> Target<'a> {
    fn of(
        config: &Config,
        route: &Route,
        redirect: &'a Redirect,
        route_match: &RouteMatch,
    ) -> Option<Self> {
        // A match with further conditions may differ for the redirected request.
        let only_path = route_match.method.is_none()
            && route_match.headers.is_empty()
            && route_match.query_params.is_empty()
            && route_match.claims.is_empty();
        let same_scheme = route.listeners.iter().any(|id| {
            let own = if config.listener(*id).tls.is_some() {
                "https"
            } else {
                "http"
            };
            redirect
                .scheme
                .as_deref()
                .is_none_or(|scheme| scheme == own)
        });
        let same_host = redirect
            .hostname
            .as_deref()
            .is_none_or(|host| matches_host(&route.hostnames, host));
        if !only_path || !same_scheme || !same_host || redirect.port.is_some() {
            return None;
        }
        let path = redirect.path.as_ref().map(|path| match path {
            PathRewrite::ReplaceFull(path) | PathRewrite::ReplacePrefixMatch(path) => &**path,
        });
        let host = redirect.hostname.as_deref();
        path.is_none_or(|path| matches_path(&route_match.path, path))
            .then_some(Self { path, host })
    }
}

fn matches_host(hostnames: &[Hostname], host: &str) -> bool {
    hostnames.is_empty()
        || hostnames.iter().any(|one| match one {
            Hostname::Exact(name) => **name == *host,
            Hostname::Wildcard(suffix) => host.ends_with(&**suffix),
        })
}

/// Whether one host may match both; wildcards are not compared.
fn may_share_host(one: &[Hostname], other: &[Hostname]) -> bool {
    let is_open = |names: &[Hostname]| {
        names.is_empty()
            || names
                .iter()
                .any(|name| matches!(name, Hostname::Wildcard(_)))
    };
    is_open(one) || is_open(other) || one.iter().any(|name| other.contains(name))
}

/// Whether it certainly matches the path; templates and expressions are not evaluated.
fn matches_path(path_match: &PathMatch, path: &str) -> bool {
    match path_match {
        PathMatch::Exact(exact) => **exact == *path,
        PathMatch::Prefix(prefix) => {
            let rest = path.strip_prefix(prefix.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
        PathMatch::Template(_) | PathMatch::Regex(_) => false,
    }
}

/// Whether another route may match the target, so that the loop is not certain.
fn matched_by_another_route(
    config: &Config,
    index: usize,
    own: &RouteMatch,
    target: &Target<'_>,
) -> bool {
    let route = &config.routes[index];
    let others = config
        .routes
        .iter()
        .enumerate()
        .filter(|(other, _)| *other != index);
    others.map(|(_, other)| other).any(|other| {
        // A route for every host has a lower priority than one that names the host.
        let yields = other.hostnames.is_empty() && !route.hostnames.is_empty();
        let other_hosts = !other.hostnames.is_empty() && other.hostnames != route.hostnames;
        let meets = other
            .listeners
            .iter()
            .any(|listener| route.listeners.contains(listener));
        let host = match target.host {
            Some(host) => matches_host(&other.hostnames, host),
            None => may_share_host(&other.hostnames, &route.hostnames),
        };
        meets
            && host
            && !yields
            && other
                .matches
                .iter()
                .any(|one| may_win(one, own, target, other_hosts))
    })
}

fn may_win(other: &RouteMatch, own: &RouteMatch, target: &Target<'_>, other_hosts: bool) -> bool {
    // With the same host and path it is the same request, which this route matched before.
    let Some(path) = target.path else {
        return other_hosts && target.host.is_some();
    };
    let unknown = matches!(other.path, PathMatch::Template(_) | PathMatch::Regex(_));
    let is_wider = match (&other.path, &own.path) {
        (PathMatch::Prefix(other), PathMatch::Prefix(own)) => other.len() < own.len(),
        (PathMatch::Prefix(_), PathMatch::Exact(_)) => true,
        _ => false,
    };
    (unknown || matches_path(&other.path, path)) && (other_hosts || !is_wider)
}
