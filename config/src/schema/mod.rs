//! The file as it is written: one type per block, each reading itself from nodes.
//!
//! A type here knows keys, types and ranges of single values. It reads no files, fills in no defaults
//! and resolves no references; that is `validate`. The doc comments are the descriptions that editors
//! show, so each says meaning, unit, default and range.

mod file;
mod jwt;
mod rate_limit;
mod route;
mod secret;
mod tls;
mod upstream;
mod words;

pub(crate) use file::File;
pub use file::json_schema;
pub(crate) use jwt::{CredentialsBlock, JwksBlock, JwtProviderBlock, TokenLocationBlock};
pub(crate) use rate_limit::{RateLimitBlock, RateLimitKeyBlock, RedisBlock};
pub(crate) use route::{DefaultsBlock, RouteBlock};
pub(crate) use secret::{SecretRef, SecretSpec};
pub(crate) use tls::{ClientAuthBlock, SniBlock, TlsBlock, UpstreamTlsBlock};
pub(crate) use upstream::UpstreamBlock;
pub(crate) use words::{PlainKey, SharedStore};
