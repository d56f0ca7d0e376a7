//! The effective configuration, as the admin server shows it: every default filled in.
//!
//! What is shown is a file again: loading it gives an equal configuration. Of a secret it says where
//! it comes from; nothing here ever sees its content.

pub(crate) mod route;

use serde_json::{Map, Value, json};

use crate::{
    app, lifecycle, listener, model::Config, provider, rate_limit, redis, reloading, server, telemetry,
    upstream, workers,
};

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
    root.insert("routes".to_owned(), config.routes.iter().map(|item| route::route(config, item)).collect());
    root.insert("telemetry".to_owned(), telemetry::show(&config.telemetry));
    root.insert("status".to_owned(), server::show(config.status));
    root.insert("admin".to_owned(), server::show(config.admin));
    root.insert("reload".to_owned(), reloading::show(&config.reload));
    root.insert("lifecycle".to_owned(), lifecycle::show(&config.lifecycle));
    json!(root)
}

/// The effective configuration as YAML; loading it gives an equal one.
pub fn effective_yaml(config: &Config) -> String {
    serde_saphyr::to_string(&effective_json(config)).expect("JSON is written as YAML without fail")
}
