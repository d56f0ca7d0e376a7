//! Outrigger: listeners, routing, upstreams, lifecycle and command line.

pub mod router;
