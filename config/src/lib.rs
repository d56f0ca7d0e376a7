//! Loads, validates, watches and renders Outrigger's configuration file.
//!
//! A setting has three forms: as written, as accepted ([`model`]), and the runtime in
//! `outrigger-filters` and `outrigger`, which serves requests. Each step only goes forward. The
//! first two forms of a block, its validation and its rendering are in one file.

mod app;
mod block;
mod check;
mod diff;
mod file;
mod files;
pub mod jwks;
mod lifecycle;
mod listener;
mod load;
mod logs;
pub mod model;
mod monitor;
mod part;
mod provider;
mod rate_limit;
mod redis;
mod reload;
mod reloading;
mod route;
mod secret;
mod server;
pub mod strict_json;
mod telemetry;
mod tls;
mod upstream;
mod workers;

pub use block::{
    Environment, ProcessEnvironment, SourceText,
    problem::{Problem, Severity, render_json, render_text},
};
pub use diff::{Changes, Names, diff};
pub use file::{effective_json, effective_yaml, json_schema};
pub use files::Fingerprint;
pub use load::{LoadError, Loaded, default_config, load_str};
pub use reload::{Reloader, Source, Watcher, cannot_update, load_path};
