//! Puts the Outrigger sidecar into Kubernetes manifests, and takes it out again.
//!
//! Manifests in, manifests out, and no cluster. The text is spliced, never written anew: what an injection does not need to
//! change stays as it is, byte for byte. What it does change is written down in an annotation (`outrigger/injected`), so
//! that [`uninject`] restores every byte. This crate knows nothing of proxying; `outrigger-config` checks the configuration
//! of `--config`, and nothing else.

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
