//! The file as it is written: one type per block, each reading itself from nodes.
//!
//! A type here knows keys, types and ranges of single values. It reads no files, fills in no defaults
//! and resolves no references; that is `validate`. The doc comments are the descriptions that editors
//! show, so each says meaning, unit, default and range.

mod app;
mod block;
mod file;
mod json;
mod listener;
mod operations;
mod read;
mod route;
mod tls;
mod upstream;
mod value;
mod words;

pub(crate) use app::{AppBlock, ReadinessBlock};
pub(crate) use file::File;
pub use json::json_schema;
pub(crate) use listener::{
    ClientAddressBlock, LimitsBlock, ListenerBlock, ListenerTimeoutsBlock, PathsBlock,
};
pub(crate) use operations::{
    AccessLogBlock, LifecycleBlock, ReloadBlock, ServerOrOff, TelemetryBlock, WorkersValue,
};
pub(crate) use read::{At, Read, Reader};
pub(crate) use route::{
    BackendRefBlock, DefaultsBlock, DirectResponseBlock, HeaderChangesBlock, MatchBlock, PathMatchBlock,
    PathRewriteBlock, RedirectBlock, RouteBlock, RouteTimeoutsBlock, UrlRewriteBlock, ValueMatchBlock,
};
pub(crate) use tls::{ClientAuthBlock, SniBlock, TlsBlock};
pub(crate) use upstream::{ConnectionsBlock, EndpointBlock, UpstreamBlock};
pub(crate) use value::{Either, Entries, Flag, Int, Share, Size, Time, Word, Words, word_of};
