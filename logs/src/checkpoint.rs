//! What survives a restart: how far each file was acknowledged by every sink, and how far each sink is in the spool.
//!
//! One file, replaced atomically, with a checksum. It never says more than what was acknowledged, so an old one costs
//! repetitions and loses nothing. One that cannot be used is set aside, never fatal. The directory belongs to one process, which
//! a lock makes sure of.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::{FlockOperation, flock};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::source::{
    identity::{Content, FileId, Head, Verified},
    state::FileState,
    unix_now,
};

const FILE: &str = "checkpoint";
const LOCK: &str = "lock";
const MAGIC: &str = "outrigger-checkpoint 1";

/// How often what was written is forced to the disk; in between a crash of the machine costs repetitions.
const SYNC: Duration = Duration::from_secs(5);

/// What survives a restart.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Checkpoint {
    /// The files of each source.
    pub sources: BTreeMap<String, Vec<FileState>>,
    /// The number of the next chunk of each sink.
    pub sinks: BTreeMap<String, u64>,
}

/// Why a state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It cannot be made or written.
    #[error(
        "stateDir {path}: {source}; it must be a directory that this process may write, such as an emptyDir"
    )]
    Unwritable {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process holds its lock.
    #[error("stateDir {path} is used by another process; give each its own")]
    Shared {
        /// The directory.
        path: PathBuf,
    },
}

/// The checkpoint file of a state directory, which is locked as long as this lives.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
    synced: Option<Instant>,
    _lock: File,
}

impl Store {
    /// Locks the directory, which is made if it is missing, and reads what the last run left.
    ///
    /// # Errors
    /// It cannot be written, or another process uses it.
    pub fn open(directory: &Path) -> Result<(Self, Checkpoint), StateError> {
        let unwritable = |source| StateError::Unwritable {
            path: directory.to_owned(),
            source,
        };
        // Records wait in there; they are for this user alone.
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(directory).map_err(unwritable)?;
        let options = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .clone();
        let lock = options.open(directory.join(LOCK)).map_err(unwritable)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|error| {
            if error == rustix::io::Errno::WOULDBLOCK {
                let path = directory.to_owned();
                return StateError::Shared { path };
            }
            unwritable(error.into())
        })?;
        let store = Self {
            directory: directory.to_owned(),
            synced: None,
            _lock: lock,
        };
        let checkpoint = store.load();
        Ok((store, checkpoint))
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn load(&self) -> Checkpoint {
        let path = self.directory.join(FILE);
        let problem = match fs::read(&path) {
            Ok(bytes) => match decode(&bytes) {
                Some(checkpoint) => return checkpoint,
                None => "it is damaged or was written by another program".to_owned(),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Checkpoint::default(),
            Err(error) => error.to_string(),
        };
        let aside = format!("{FILE}.unusable-{}", unix_now() / 1_000_000_000);
        let moved = fs::rename(&path, self.directory.join(&aside));
        tracing::error!(
            file = %path.display(), %problem, set_aside_as = %aside, moved = moved.is_ok(),
            "logs: the checkpoint cannot be used; files are read from where startAt says, so lines may be sent again"
        );
        Checkpoint::default()
    }

    /// Replaces the checkpoint.
    ///
    /// # Errors
    /// It could not be written; the old one is still there.
    pub fn save(&mut self, checkpoint: &Checkpoint, now: Instant, last: bool) -> io::Result<()> {
        let path = self.directory.join(FILE);
        let new = self.directory.join("checkpoint.new");
        let mut file = File::create(&new)?;
        file.write_all(&encode(checkpoint))?;
        let due = self
            .synced
            .is_none_or(|at| now.saturating_duration_since(at) >= SYNC);
        if due || last {
            file.sync_data()?;
            self.synced = Some(now);
        }
        fs::rename(&new, &path)
    }
}

/// The bytes of a checkpoint file.
pub fn encode(checkpoint: &Checkpoint) -> Vec<u8> {
    let sources: BTreeMap<&String, Vec<Value>> = checkpoint
        .sources
        .iter()
        .map(|(name, files)| (name, files.iter().map(file).collect()))
        .collect();
    let body = json!({ "sources": sources, "sinks": checkpoint.sinks }).to_string();
    let crc = crc32fast::hash(body.as_bytes());
    format!("{MAGIC} {crc:08x} {}\n{body}\n", body.len()).into_bytes()
}

/// Reads the bytes of a checkpoint file; `None` when they are damaged or something else.
pub fn decode(bytes: &[u8]) -> Option<Checkpoint> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, rest) = text.split_once('\n')?;
    let (crc, length) = head.strip_prefix(MAGIC)?.trim_start().split_once(' ')?;
    let body = rest.get(..length.parse().ok()?)?;
    if u32::from_str_radix(crc, 16).ok()? != crc32fast::hash(body.as_bytes()) {
        return None;
    }
    let body: Value = serde_json::from_str(body).ok()?;
    let mut checkpoint = Checkpoint::default();
    for (name, files) in body["sources"].as_object()? {
        let files = files.as_array()?.iter().map(state);
        checkpoint
            .sources
            .insert(name.clone(), files.collect::<Option<_>>()?);
    }
    for (name, next) in body["sinks"].as_object()? {
        checkpoint.sinks.insert(name.clone(), next.as_u64()?);
    }
    Some(checkpoint)
}

fn file(state: &FileState) -> Value {
    let content = &state.content;
    json!({
        "key": format!("{:016x}", state.key),
        "path": state.path,
        "device": state.id.device,
        "inode": state.id.inode,
        "created": state.created,
        "head": [content.head.length, content.head.hash],
        "base": content.base,
        "offset": content.offset,
        "verified": [content.verified.offset, content.verified.crc],
        "gone": state.gone,
    })
}

fn state(value: &Value) -> Option<FileState> {
    let number = |key: &str| value[key].as_u64();
    let verified = Verified {
        offset: value["verified"][0].as_u64()?,
        crc: u32::try_from(value["verified"][1].as_u64()?).ok()?,
    };
    let content = Content {
        head: Head {
            length: u16::try_from(value["head"][0].as_u64()?).ok()?,
            hash: value["head"][1].as_u64()?,
        },
        base: number("base")?,
        verified,
        offset: number("offset")?,
    };
    let key = u64::from_str_radix(value["key"].as_str()?, 16).ok()?;
    // What does not fit together would send reading to a wrong place.
    let fits = content.base <= verified.offset && verified.offset <= content.offset;
    (fits && key != 0).then(|| FileState {
        key,
        path: value["path"].as_str().unwrap_or_default().into(),
        id: FileId {
            device: number("device").unwrap_or(0),
            inode: number("inode").unwrap_or(0),
        },
        created: value["created"].as_i64(),
        content,
        acked: (content.offset, verified),
        gone: number("gone"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Checkpoint {
        let verified = Verified { offset: 90, crc: 7 };
        let content = Content {
            head: Head {
                length: 90,
                hash: u64::MAX,
            },
            base: 10,
            verified,
            offset: 100,
        };
        let state = FileState {
            key: u64::MAX,
            path: "/log/ä.log".into(),
            id: FileId {
                device: 1,
                inode: 2,
            },
            created: Some(-1),
            content,
            acked: (100, verified),
            gone: None,
        };
        Checkpoint {
            sources: [("app".to_owned(), vec![state])].into(),
            sinks: [("elk".to_owned(), 12)].into(),
        }
    }

    #[test]
    fn what_was_saved_is_loaded_and_the_directory_is_locked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let (mut store, none) = Store::open(&path).unwrap();
        assert_eq!(none, Checkpoint::default());
        store.save(&sample(), Instant::now(), true).unwrap();
        let shared = Store::open(&path).unwrap_err();
        assert!(matches!(shared, StateError::Shared { .. }), "{shared}");
        drop(store);
        assert_eq!(Store::open(&path).unwrap().1, sample());
    }

    #[test]
    fn log_30_a_checkpoint_that_is_cut_or_changed_anywhere_is_not_believed() {
        let bytes = encode(&sample());
        assert_eq!(decode(&bytes), Some(sample()));
        for end in 0..bytes.len() - 1 {
            assert_eq!(decode(&bytes[..end]), None, "cut at {end}");
        }
        for at in 0..bytes.len() - 1 {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let decoded = decode(&changed);
            assert!(decoded.is_none_or(|one| one == sample()), "changed at {at}");
        }
    }

    #[test]
    fn log_30_an_unusable_checkpoint_is_set_aside_and_the_next_one_is_written() {
        for is_directory in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join(FILE);
            if is_directory {
                fs::create_dir(&file).unwrap();
                fs::write(file.join("x"), "y").unwrap();
            } else {
                fs::write(&file, "{\"foreign\":1}").unwrap();
            }
            let (mut store, none) = Store::open(folder.path()).unwrap();
            assert_eq!(none, Checkpoint::default());
            store.save(&sample(), Instant::now(), true).unwrap();
            drop(store);
            assert_eq!(Store::open(folder.path()).unwrap().1, sample());
            let names: Vec<_> = fs::read_dir(folder.path())
                .unwrap()
                .map(|one| one.unwrap().file_name().into_string().unwrap())
                .collect();
            assert!(
                names.iter().any(|name| name.contains("unusable")),
                "{names:?}"
            );
        }
    }

    #[test]
    fn a_state_directory_that_cannot_be_made_is_an_error_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Store::open(&file.join("state")).unwrap_err();
        assert!(error.to_string().contains("file/state"), "{error}");
    }
}
