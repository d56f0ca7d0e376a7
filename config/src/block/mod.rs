//! What every block of the file stands on; nothing here knows any block.
//!
//! A text becomes a tree of nodes that know where they stand ([`node`]); a block, defined once by [`block!`], reads
//! itself from them ([`read`], [`value`]) and pushes what is wrong ([`problem`]); the same definition gives its JSON
//! Schema ([`json`]). [`field`] and [`name`] are for checking what was read, [`show`] for writing what was accepted.

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
