//! Reads, checks, watches and shows Outrigger's one configuration file.
//!
//! A setting has three lives: `schema` is what was written, [`model`] is what was accepted, and the
//! runtime in `outrigger-filters` and `outrigger` is what serves requests. Each step only goes forward.

pub mod model;
