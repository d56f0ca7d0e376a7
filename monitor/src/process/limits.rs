//! Open descriptors of a process and how many it may have.

use std::{fs, path::Path};

use procfs_core::{
    FromBufRead,
    process::{LimitValue, Limits},
};

use crate::roots::read;

/// Open descriptors and their limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Descriptors {
    pub(super) open: u64,
    pub(super) limit: u64,
}

/// `None` for a process of another user, whose descriptors cannot be counted, and for one without a limit.
pub(super) fn descriptors(folder: &Path) -> Option<Descriptors> {
    let open = fs::read_dir(folder.join("fd")).ok()?;
    // The folder may be opened and yet not be read.
    let open = open.collect::<Result<Vec<_>, _>>().ok()?.len() as u64;
    let limits = Limits::from_buf_read(&read(&folder.join("limits"))?[..]).ok()?;
    match limits.max_open_files.soft_limit {
        LimitValue::Value(limit) => Some(Descriptors { open, limit }),
        LimitValue::Unlimited => None,
    }
}
