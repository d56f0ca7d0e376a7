//! `paths` of a listener: how request paths are made canonical.

use crate::{
    block::{
        Flag, Word, block,
        field::{flag, word},
    },
    part::path::EncodedSlash,
};

block! {
    /// How request paths are made canonical.
    PathsBlock {
        /// What happens to %2f in a path: `reject` (400) or `keep`. Default reject.
        "encodedSlash" encoded_slash: Word<EncodedSlash>,
        /// Whether // becomes /. Default true.
        "mergeSlashes" merge_slashes: Flag,
    }
    shown_as PathRules
}

/// How request paths are made canonical.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PathRules {
    /// What happens to `%2f`. Default reject.
    pub encoded_slash: EncodedSlash,
    /// Whether `//` becomes `/`. Default true.
    pub merge_slashes: bool,
}

impl Default for PathRules {
    /// The strict form: `%2f` is refused, `//` is merged.
    fn default() -> Self {
        Self {
            encoded_slash: EncodedSlash::Reject,
            merge_slashes: true,
        }
    }
}

/// Checks what was written.
pub(crate) fn accept(block: Option<&PathsBlock>) -> PathRules {
    PathRules {
        encoded_slash: block.map_or(EncodedSlash::Reject, |block| {
            word(&block.encoded_slash, EncodedSlash::Reject)
        }),
        merge_slashes: block.is_none_or(|block| flag(&block.merge_slashes, true)),
    }
}
