//! Inserts the Outrigger sidecar into Kubernetes manifests, and removes it again.
//!
//! Manifests in, manifests out, without a cluster. The text is edited, never formatted again:
//! everything that an injection does not need to change stays as it is, byte for byte. The changes
//! are recorded in an annotation (`outrigger/injected`), so that [`uninject`] restores every byte.
//! This crate contains no proxy code; it uses `outrigger-config` only to check the configuration of
//! `--config`.

mod annotate;
mod beside;
mod config_map;
mod configuration;
mod input;
mod object;
mod options;
mod place;
mod pod;
mod problem;
mod quantity;
mod record;
mod report;
mod run;
mod service;
mod stream;
mod undo;
mod untouched;
mod yaml;

pub use configuration::Configuration;
pub use input::{Input, Output};
pub use options::{ConfigSource, Options, Resources};
pub use problem::Problem;
pub use report::{Action, Line};
pub use run::inject;
pub use undo::uninject;
