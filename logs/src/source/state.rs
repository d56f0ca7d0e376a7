//! What a checkpoint keeps of a file.

use super::identity::{Content, FileId, Verified};

/// What is known of a file for the next start.
#[derive(Debug, Clone, PartialEq)]
pub struct FileState {
    /// The file, as sinks know it. Never 0.
    pub key: u64,
    /// Where it was last.
    pub path: Box<str>,
    /// Where the system keeps it.
    pub id: FileId,
    /// When it was made, in nanoseconds since 1970, where the file system knows.
    pub created: Option<i64>,
    /// What was read. In a checkpoint: what every sink has acknowledged.
    pub content: Content,
    /// Up to here every sink has acknowledged, and what was verified up to there.
    pub acked: (u64, Verified),
    /// Since when it has not been there, in seconds since 1970.
    pub gone: Option<u64>,
}

impl FileState {
    /// As it stands in a checkpoint.
    #[must_use]
    pub fn committed(&self) -> Self {
        let mut state = self.clone();
        state.content.offset = self.acked.0;
        state.content.verified = self.acked.1;
        state
    }
}
