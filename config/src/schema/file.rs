//! The file as a whole.

use crate::{
    app::AppBlock,
    block::{At, Entries, Int, block, json},
    lifecycle::LifecycleBlock,
    listener::ListenerBlock,
    provider::JwtProviderBlock,
    rate_limit::RateLimitBlock,
    redis::RedisBlock,
    reloading::ReloadBlock,
    schema::{DefaultsBlock, RouteBlock},
    server::ServerOrOff,
    telemetry::TelemetryBlock,
    upstream::UpstreamBlock,
    workers::WorkersValue,
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
        /// Where requests come in. Default: one inbound listener on port 8000, named `in-8000`.
        "listeners" listeners: Vec<At<ListenerBlock>>,
        /// Who issues the tokens that clients present. Declaring one makes a token mandatory on every inbound route that does not say otherwise. Names are DNS labels; `app`, `mtls` and `none` are reserved.
        "jwtProviders" jwt_providers: Entries<JwtProviderBlock>,
        /// Named groups of endpoints outside this pod. Names are DNS labels; `app`, `mtls` and `none` are reserved.
        "upstreams" upstreams: Entries<UpstreamBlock>,
        /// Limits that routes name in their own `rateLimits`. Names are DNS labels in which capitals may stand.
        "rateLimits" rate_limits: Entries<RateLimitBlock>,
        /// The server of limits with `store: redis`.
        "redis" redis: RedisBlock,
        /// What every route inherits and may override key by key.
        "defaults" defaults: DefaultsBlock,
        /// Which requests go where. The most specific match wins; file order only decides between equals. Default: everything to the app.
        "routes" routes: Vec<At<RouteBlock>>,
        /// The access log.
        "telemetry" telemetry: TelemetryBlock,
        /// The server of /livez, /readyz, /startupz and /metrics, or `off`. Default `[::]:9902`, which also takes IPv4. A change needs a restart.
        "status" status: ServerOrOff,
        /// The admin server, loopback only, or `off`. Default 127.0.0.1:9901. A change needs a restart.
        "admin" admin: ServerOrOff,
        /// When the file is read again.
        "reload" reload: ReloadBlock,
        /// How long draining and shutting down may take. The sum must stay under the pod's grace period.
        "lifecycle" lifecycle: LifecycleBlock,
    }
    later ["logs", "monitor", "overload", "shadow"]
}

/// The JSON Schema (2020-12) of a configuration file. It accepts every file that the reader accepts, and
/// refuses unknown keys, wrong types and misspelt words; references and ranges across keys are left to
/// the loader.
pub fn json_schema() -> serde_json::Value {
    json::root::<File>("Outrigger configuration, version 1")
}
