//! The file as it is written: one type per block, each reading itself from nodes.
//!
//! A type here knows keys, types and ranges of single values. It reads no files, fills in no defaults
//! and resolves no references; that is `validate`. The doc comments are the descriptions that editors
//! show, so each says meaning, unit, default and range.

mod file;
mod route;

pub(crate) use file::File;
pub use file::json_schema;
pub(crate) use route::{DefaultsBlock, RouteBlock};
