//! Outrigger: listeners, routing, upstreams, lifecycle and command line.
//!
//! Imports point one way: control → serve → listener → edge → connection → worker → view → chain → forward → upstream.

mod admin;
mod chain;
pub mod cli;
mod codec;
mod connection;
mod control;
mod edge;
pub mod evaluation;
mod ext_auth;
mod forward;
mod jwks;
mod listener;
mod mirror;
mod monitoring;
mod rate_limit;
mod respond;
mod serve;
mod snapshot;
mod telemetry;
mod tls;
mod upstream;
mod view;
mod worker;

/// Entrances for the fuzz targets; no part of what others may use.
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::{
        codec::http2::fuzzing::{Understood, take_frames},
        codec::http2::hpack::fuzzing::{Blocks, read_blocks},
        listener::http1::fuzzing::{Received, Requests, read_requests, read_requests_cut_at},
        upstream::http1::fuzzing::{Read, read_answer, written_head},
    };
}
