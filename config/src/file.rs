//! The file as a whole: its keys, the accepted configuration, and how it is rendered.
//!
//! The rendered form is a file again, with every default filled in: loading it gives an equal
//! configuration. A secret is rendered as its source; no code here sees its content.

use serde_json::{Map, Value, json};

use crate::{
    app::{self, App, AppBlock},
    block::{At, Entries, Int, block, json},
    lifecycle::{Lifecycle, LifecycleBlock},
    listener::{self, Listener, ListenerBlock},
    logs::{self, Logs, LogsBlock},
    monitor::{self, Monitor, MonitorBlock},
    part::id::{ListenerId, ProviderId, RateLimitId, RouteId, UpstreamId},
    provider::{self, JwtProvider, JwtProviderBlock},
    rate_limit::{self, RateLimit, RateLimitBlock},
    redis::{self, Redis, RedisBlock},
    reloading::{Reload, ReloadBlock},
    route::{self, Route, RouteBlock, context::Lists, defaults::DefaultsBlock},
    server::{self, ServerAddress, ServerOrOff},
    telemetry::{self, Telemetry, TelemetryBlock},
    upstream::{self, Upstream, UpstreamBlock},
    workers::{self, Workers, WorkersValue},
};

block! {
    /// The one configuration file of an Outrigger sidecar. `app` or `upstreams` is required.
    File {
        /// Version of the vocabulary. Default and only value: 1.
        "version" version: Int<1, 1>,
        /// Worker threads: `auto` (the CPUs this process may use, at most 2) or 1 to 64. Default auto. A change needs a restart.
        "workers" workers: WorkersValue,
        /// The application in this pod. It defines the upstream named `app`.
        "app" app: AppBlock,
        /// Listeners. Default: one inbound listener on port 8000, named `in-8000`.
        "listeners" listeners: Vec<At<ListenerBlock>>,
        /// Issuers of the tokens that clients present. With a provider, every inbound route
        /// requires a token unless it overrides `auth`. Names are DNS labels; `app`, `mtls` and
        /// `none` are reserved.
        "jwtProviders" jwt_providers: Entries<JwtProviderBlock>,
        /// Named groups of endpoints outside this pod. Names are DNS labels; `app`, `mtls` and `none` are reserved.
        "upstreams" upstreams: Entries<UpstreamBlock>,
        /// Limits that routes refer to in `rateLimits`. Names are DNS labels; upper-case letters
        /// are allowed.
        "rateLimits" rate_limits: Entries<RateLimitBlock>,
        /// The Redis server for limits with `store: redis`.
        "redis" redis: RedisBlock,
        /// Settings that every route inherits and may override key by key.
        "defaults" defaults: DefaultsBlock,
        /// Routes. The most specific match wins; file order decides only between equal ones.
        /// Default: all requests go to the app.
        "routes" routes: Vec<At<RouteBlock>>,
        /// The access log.
        "telemetry" telemetry: TelemetryBlock,
        /// The log shipper: which log files go where.
        "logs" logs: LogsBlock,
        /// The server of /livez, /readyz, /startupz and /metrics, or `off`. Default `[::]:9902`, which also takes IPv4. A change needs a restart.
        "status" status: ServerOrOff,
        /// The admin server, loopback only, or `off`. Default 127.0.0.1:9901. A change needs a restart.
        "admin" admin: ServerOrOff,
        /// When the file is reloaded.
        "reload" reload: ReloadBlock,
        /// Durations of drain and shutdown. Their sum must be less than the pod's grace period.
        "lifecycle" lifecycle: LifecycleBlock,
        /// What `/metrics` says of the app beside its traffic. Default: nothing but whether it is up.
        "monitor" monitor: MonitorBlock,
    }
    later ["overload", "shadow"]
}

/// The JSON Schema (2020-12) of a configuration file. It accepts every file that the reader
/// accepts, and rejects unknown keys, wrong types and misspelled keywords. References and ranges
/// across keys are checked by the loader only.
pub fn json_schema() -> Value {
    json::root::<File>("Outrigger configuration, version 1")
}

/// One whole accepted configuration.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// How many worker threads serve requests.
    pub workers: Workers,
    /// The application in this pod, when the file declares one. It is also the upstream named `app`.
    pub app: Option<App>,
    /// Listeners in file order; at least one.
    pub listeners: Vec<Listener>,
    /// Upstreams: `app` first when there is one, then in file order.
    pub upstreams: Vec<Upstream>,
    /// Token providers in file order.
    pub jwt_providers: Vec<JwtProvider>,
    /// Limits that routes name, in file order.
    pub rate_limits: Vec<RateLimit>,
    /// The Redis server for limits that all pods share.
    pub redis: Option<Redis>,
    /// Routes in file order. A file without routes has one, named `app`, that sends all requests to
    /// the app.
    pub routes: Vec<Route>,
    /// Access log and metrics.
    pub telemetry: Telemetry,
    /// Which log files are shipped where.
    pub logs: Option<Logs>,
    /// Where `/livez /readyz /startupz /metrics` are served; `None` for `status: off`.
    pub status: Option<ServerAddress>,
    /// Where the admin server listens, loopback only; `None` for `admin: off`.
    pub admin: Option<ServerAddress>,
    /// When and how the file is reloaded.
    pub reload: Reload,
    /// Drain and shutdown times.
    pub lifecycle: Lifecycle,
    /// What is read of the app, and asked of it, from outside.
    pub monitor: Option<Monitor>,
}

impl Config {
    /// The listener with this index.
    pub fn listener(&self, id: ListenerId) -> &Listener {
        &self.listeners[id.0 as usize]
    }

    /// The upstream with this index.
    pub fn upstream(&self, id: UpstreamId) -> &Upstream {
        &self.upstreams[id.0 as usize]
    }

    /// The token provider with this index.
    pub fn jwt_provider(&self, id: ProviderId) -> &JwtProvider {
        &self.jwt_providers[id.0 as usize]
    }

    /// The limit with this index.
    pub fn rate_limit(&self, id: RateLimitId) -> &RateLimit {
        &self.rate_limits[id.0 as usize]
    }

    /// The route with this index.
    pub fn route(&self, id: RouteId) -> &Route {
        &self.routes[id.0 as usize]
    }
}

/// The effective configuration as JSON with the keys of the file.
pub fn effective_json(config: &Config) -> Value {
    let mut root = Map::new();
    root.insert("version".to_owned(), 1.into());
    root.insert("workers".to_owned(), workers::show(config.workers));
    if let Some(app) = &config.app {
        root.insert("app".to_owned(), app::show(app));
    }
    let listeners = config.listeners.iter().map(listener::show).collect();
    root.insert("listeners".to_owned(), listeners);
    let providers: Map<_, _> = config.jwt_providers.iter().map(provider::show).collect();
    if !providers.is_empty() {
        root.insert("jwtProviders".to_owned(), providers.into());
    }
    let upstreams: Map<_, _> = config.upstreams.iter().filter_map(upstream::show).collect();
    if !upstreams.is_empty() {
        root.insert("upstreams".to_owned(), upstreams.into());
    }
    let rate_limits: Map<_, _> = config.rate_limits.iter().map(rate_limit::show).collect();
    if !rate_limits.is_empty() {
        root.insert("rateLimits".to_owned(), rate_limits.into());
    }
    if let Some(redis) = &config.redis {
        root.insert("redis".to_owned(), redis::show(redis));
    }
    let lists = Lists {
        listeners: &config.listeners,
        upstreams: &config.upstreams,
        providers: &config.jwt_providers,
        rate_limits: &config.rate_limits,
    };
    root.insert(
        "routes".to_owned(),
        config
            .routes
            .iter()
            .map(|item| route::show(item, &lists))
            .collect(),
    );
    root.insert("telemetry".to_owned(), telemetry::show(&config.telemetry));
    if let Some(logs) = &config.logs {
        root.insert("logs".to_owned(), logs::show(logs));
    }
    root.insert("status".to_owned(), server::show(config.status));
    root.insert("admin".to_owned(), server::show(config.admin));
    root.insert("reload".to_owned(), config.reload.show().into());
    root.insert("lifecycle".to_owned(), config.lifecycle.show().into());
    if let Some(monitor) = &config.monitor {
        root.insert("monitor".to_owned(), monitor::show(monitor));
    }
    json!(root)
}

/// The effective configuration as YAML; loading it gives an equal one.
pub fn effective_yaml(config: &Config) -> String {
    serde_saphyr::to_string(&effective_json(config)).expect("JSON is written as YAML without fail")
}
