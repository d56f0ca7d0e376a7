//! `/proc/net/unix`: the app's Unix socket, the connections to it, and those that it has not accepted yet.

use std::{
    ffi::OsStr,
    io::{self, BufRead},
    os::unix::ffi::OsStrExt,
    path::Path,
};

use procfs_core::{
    FromBufRead,
    net::{UnixNetEntries, UnixState},
};

use super::Sockets;

/// The parser skips the line of headings.
const HEADING: &[u8] = b"heading\n";

/// The place of `established` among the states.
const ESTABLISHED: usize = 0;

/// The flag of a socket that listens (`__SO_ACCEPTCON`), in the column of flags.
const ACCEPTS: &[u8] = b"00010000";

/// Adds what the file says about the app's socket. A container may see the socket's folder under another path than the app
/// does, so that the name of the file decides where no path is the same.
pub(super) fn read(mut file: impl BufRead, path: &Path, sockets: &mut Sockets) -> io::Result<()> {
    let (mut same, mut alike) = (Sockets::default(), Sockets::default());
    let mut line = Vec::new();
    loop {
        line.clear();
        if file.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let Some(written) = written_path(&line) else {
            continue;
        };
        if written == path {
            add(&line, &mut same);
        } else if written.file_name().is_some() && written.file_name() == path.file_name() {
            add(&line, &mut alike);
        }
    }
    *sockets = if same.listeners > 0 { same } else { alike };
    Ok(())
}

/// What stands behind the seven columns; it may have spaces.
fn written_path(line: &[u8]) -> Option<&Path> {
    let mut rest = line.trim_ascii_end();
    for _ in 0..7 {
        rest = rest.trim_ascii_start();
        let end = rest.iter().position(|byte| *byte == b' ')?;
        rest = &rest[end..];
    }
    Some(Path::new(OsStr::from_bytes(rest.trim_ascii_start())))
}

fn add(line: &[u8], sockets: &mut Sockets) {
    let listens = line
        .split(|byte| *byte == b' ')
        .any(|column| column == ACCEPTS);
    let text = [HEADING, line].concat();
    let Ok(UnixNetEntries(entries)) = UnixNetEntries::from_buf_read(&text[..]) else {
        return;
    };
    for entry in entries {
        match entry.state {
            _ if listens => {
                sockets.listeners += 1;
                sockets.waiting.get_or_insert_default();
                sockets.inodes.push(entry.inode);
            }
            // Connected, and no process has it yet: it waits to be accepted.
            UnixState::CONNECTING => *sockets.waiting.get_or_insert_default() += 1,
            UnixState::CONNECTED => sockets.connections[ESTABLISHED] += 1,
            _ => {}
        }
    }
}
