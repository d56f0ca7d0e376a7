//! Reads, checks, watches and shows Outrigger's one configuration file.
//!
//! A setting has three lives: `schema` is what was written, [`model`] is what was accepted, and the
//! runtime in `outrigger-filters` and `outrigger` is what serves requests. Each step only goes forward.

mod app;
mod block;
mod diff;
mod files;
pub mod jwks;
mod lifecycle;
mod listener;
mod load;
pub mod model;
mod part;
mod provider;
mod rate_limit;
mod redis;
mod reload;
mod reloading;
mod render;
mod route;
mod schema;
mod secret;
mod server;
pub mod strict_json;
mod telemetry;
mod tls;
mod upstream;
mod validate;
mod workers;

pub use block::{
    Environment, ProcessEnvironment, SourceText,
    problem::{Problem, Severity, render_json, render_text},
};
pub use diff::{Changes, Names, diff};
pub use files::Fingerprint;
pub use load::{LoadError, Loaded, default_config, load_path, load_str};
pub use reload::{Reloader, Source, Watcher, cannot_update};
pub use render::{effective_json, effective_yaml};
pub use schema::json_schema;
