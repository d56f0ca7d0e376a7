//! `paths` of a listener: how request paths are normalized.

use crate::{
    block::{
        Flag, Word, block,
        field::{flag, word},
    },
    part::path::EncodedSlash,
};

block! {
    /// How request paths are normalized.
    PathsBlock {
        /// Handling of %2f in a path: `reject` (400) or `keep`. Default reject.
        "encodedSlash" encoded_slash: Word<EncodedSlash>,
        /// Whether // is merged to /. Default true.
        "mergeSlashes" merge_slashes: Flag,
    }
    shown_as PathRules
}

/// How request paths are normalized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PathRules {
    /// Handling of `%2f`. Default reject.
    pub encoded_slash: EncodedSlash,
    /// Whether `//` is merged to `/`. Default true.
    pub merge_slashes: bool,
}

impl Default for PathRules {
    /// The strict form: `%2f` is rejected, `//` is merged.
    fn default() -> Self {
        Self {
            encoded_slash: EncodedSlash::Reject,
            merge_slashes: true,
        }
    }
}

/// Validates the block.
pub(crate) fn accept(block: Option<&PathsBlock>) -> PathRules {
    PathRules {
        encoded_slash: block.map_or(EncodedSlash::Reject, |block| {
            word(&block.encoded_slash, EncodedSlash::Reject)
        }),
        merge_slashes: block.is_none_or(|block| flag(&block.merge_slashes, true)),
    }
}
