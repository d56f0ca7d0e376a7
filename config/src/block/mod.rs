//! The foundation of all blocks of the file; nothing here knows a specific block.
//!
//! The text becomes a tree of nodes with source positions ([`node`]). A block, defined once by
//! [`block!`], reads itself from the nodes ([`read`], [`value`]) and reports problems
//! ([`problem`]). The same definition yields its JSON Schema ([`json`]). [`field`] and [`name`]
//! help to validate values, [`show`] renders accepted values.

mod define;
pub(crate) mod environment;
pub(crate) mod field;
pub(crate) mod json;
pub(crate) mod name;
pub(crate) mod node;
mod percent;
pub(crate) mod problem;
pub(crate) mod read;
pub(crate) mod show;
pub(crate) mod source_text;
pub(crate) mod value;

pub(crate) use define::{block, shown};
pub use environment::{Environment, ProcessEnvironment};
pub use percent::Percent;
pub(crate) use read::{At, Read, Reader};
pub use source_text::SourceText;
pub(crate) use source_text::Span;
pub(crate) use value::{
    Either, Entries, Flag, Int, OneOrMany, Share, Size, Time, Word, Words, inline_schema, word_of,
    words,
};
