//! The changes of a reload, as text for the log.

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use crate::{
    file::Config,
    part::id::ProviderId,
    route::{
        Route,
        action::Action,
        auth::{Credential, Requirement},
    },
};

/// The difference between two configurations, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changes {
    /// Listeners.
    pub listeners: Names,
    /// Token providers; a provider whose key set or secret was replaced counts as changed.
    pub jwt_providers: Names,
    /// Upstreams, including `app`.
    pub upstreams: Names,
    /// Rate limits.
    pub rate_limits: Names,
    /// Routes.
    pub routes: Names,
    /// Other blocks that take effect at once: `readiness`, `redis`, `telemetry`, `logs`, `reload`, `lifecycle`, `monitor`.
    pub settings: Vec<&'static str>,
    /// Keys that only a restart changes: `workers`, `status`, `admin`, `logs.stateDir`.
    pub needs_restart: Vec<&'static str>,
}

/// Names that were added, removed or changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Names {
    /// Only in the new configuration.
    pub added: Vec<String>,
    /// Only in the old one.
    pub removed: Vec<String>,
    /// In both, and different.
    pub changed: Vec<String>,
}

/// Compares two configurations.
pub fn diff(old: &Config, new: &Config) -> Changes {
    let routes = names(
        &old.routes,
        &new.routes,
        |route| &route.name,
        |a, b| same_route(old, a, new, b),
    );
    Changes {
        listeners: names(
            &old.listeners,
            &new.listeners,
            |listener| &listener.name,
            PartialEq::eq,
        ),
        jwt_providers: names(
            &old.jwt_providers,
            &new.jwt_providers,
            |provider| &provider.name,
            PartialEq::eq,
        ),
        upstreams: names(
            &old.upstreams,
            &new.upstreams,
            |upstream| &upstream.name,
            PartialEq::eq,
        ),
        rate_limits: names(
            &old.rate_limits,
            &new.rate_limits,
            |limit| &limit.name,
            PartialEq::eq,
        ),
        routes,
        settings: keys([
            (
                "readiness",
                old.app.as_ref().map(|a| &a.readiness) != new.app.as_ref().map(|a| &a.readiness),
            ),
            ("redis", old.redis != new.redis),
            ("telemetry", old.telemetry != new.telemetry),
            ("logs", old.logs != new.logs),
            ("reload", old.reload != new.reload),
            ("lifecycle", old.lifecycle != new.lifecycle),
            ("monitor", old.monitor != new.monitor),
        ]),
        needs_restart: keys([
            ("workers", old.workers != new.workers),
            ("status", old.status != new.status),
            ("admin", old.admin != new.admin),
            ("logs.stateDir", other_state_dir(old, new)),
        ]),
    }
}

/// A state directory is locked and read once; one that appears or goes with its block is no change.
fn other_state_dir(old: &Config, new: &Config) -> bool {
    let directories = old.logs.as_ref().zip(new.logs.as_ref());
    directories.is_some_and(|(old, new)| old.state_dir != new.state_dir)
}

fn keys<const N: usize>(keys: [(&'static str, bool); N]) -> Vec<&'static str> {
    keys.into_iter()
        .filter(|(_, differs)| *differs)
        .map(|(key, _)| key)
        .collect()
}

fn names<T>(
    old: &[T],
    new: &[T],
    name: impl Fn(&T) -> &str,
    same: impl Fn(&T, &T) -> bool,
) -> Names {
    let known: HashMap<&str, &T> = old.iter().map(|item| (name(item), item)).collect();
    let mut names = Names::default();
    for item in new {
        match known.get(name(item)) {
            None => names.added.push(name(item).to_owned()),
            Some(old) if !same(old, item) => names.changed.push(name(item).to_owned()),
            Some(_) => {}
        }
    }
    let left: HashSet<&str> = new.iter().map(&name).collect();
    let gone = old.iter().filter(|item| !left.contains(name(item)));
    names.removed = gone.map(|item| name(item).to_owned()).collect();
    names
}

/// Compares two routes by the names of the items that they refer to: indexes shift when an item is
/// added before.
fn same_route(old: &Config, a: &Route, new: &Config, b: &Route) -> bool {
    let listeners = |config: &Config, route: &Route| -> Vec<_> {
        route
            .listeners
            .iter()
            .map(|id| config.listener(*id).name.clone())
            .collect()
    };
    let backends = |config: &Config, route: &Route| match &route.action {
        Action::Forward(backends) => backends
            .iter()
            .map(|item| (config.upstream(item.upstream).name.clone(), item.weight))
            .collect(),
        Action::Redirect(_) | Action::Respond(_) => Vec::new(),
    };
    let credentials = |config: &Config, route: &Route| -> Vec<_> {
        let token = |id: &ProviderId| Some(config.jwt_provider(*id).name.clone());
        let credential = |credential: &Credential| match credential {
            Credential::Token(id) => token(id),
            Credential::Mtls => None,
        };
        match &route.auth.requirement {
            Requirement::None => Vec::new(),
            Requirement::AnyOf(list) | Requirement::AllOf(list) => {
                list.iter().map(credential).collect()
            }
            Requirement::Optional(list) => list.iter().map(token).collect(),
        }
    };
    let limits = |config: &Config, route: &Route| -> Vec<_> {
        route
            .rate_limits
            .iter()
            .map(|id| config.rate_limit(*id).name.clone())
            .collect()
    };
    let mirror = |config: &Config, route: &Route| {
        let mirror = route.request_mirror.as_ref()?;
        Some((
            config.upstream(mirror.upstream).name.clone(),
            mirror.percent,
        ))
    };
    let without_references = |route: &Route| {
        let mut route = route.clone();
        route.listeners.clear();
        route.rate_limits.clear();
        route.request_mirror = None;
        if let Action::Forward(backends) = &mut route.action {
            backends.clear();
        }
        match &mut route.auth.requirement {
            Requirement::None => {}
            Requirement::AnyOf(list) | Requirement::AllOf(list) => list.clear(),
            Requirement::Optional(list) => list.clear(),
        }
        route
    };
    listeners(old, a) == listeners(new, b)
        && backends(old, a) == backends(new, b)
        && mirror(old, a) == mirror(new, b)
        && limits(old, a) == limits(new, b)
        && credentials(old, a) == credentials(new, b)
        && without_references(a) == without_references(b)
}

// === impl Changes ===

impl Changes {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        for (kind, names) in [
            ("listeners", &self.listeners),
            ("jwtProviders", &self.jwt_providers),
            ("upstreams", &self.upstreams),
            ("rateLimits", &self.rate_limits),
            ("routes", &self.routes),
        ] {
            let signed = [
                ("+", &names.added),
                ("-", &names.removed),
                ("~", &names.changed),
            ];
            let words = signed
                .iter()
                .flat_map(|(sign, list)| list.iter().map(move |name| format!(" {sign}{name}")));
            let words: String = words.collect();
            if !words.is_empty() {
                parts.push(format!("{kind}{words}"));
            }
        }
        if !self.settings.is_empty() {
            parts.push(format!("changed {}", self.settings.join(", ")));
        }
        if !self.needs_restart.is_empty() {
            parts.push(format!(
                "pending restart: {}",
                self.needs_restart.join(", ")
            ));
        }
        f.write_str(if parts.is_empty() {
            "nothing changed"
        } else {
            ""
        })?;
        f.write_str(&parts.join("; "))
    }
}
