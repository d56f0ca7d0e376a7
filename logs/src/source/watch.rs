//! What the kernel says of directories (inotify(7)): that something was written, came, went or moved.
//!
//! It is a hint only. Events get lost when the queue is full, watches have a limit (`fs.inotify.max_user_watches`), and
//! network file systems tell nothing: a slow poll finds what was missed, and a quicker one is used while not every
//! directory can be watched.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    io,
    mem::MaybeUninit,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags},
    io::Errno,
};
use tokio::io::{Interest, unix::AsyncFd};

const EVENTS: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);

/// Bytes of events that are taken at once.
const ROOM: usize = 16 * 1024;

/// What happened.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Files that were written.
    pub written: BTreeSet<PathBuf>,
    /// Files that came, by creation or by a rename.
    pub appeared: BTreeSet<PathBuf>,
    /// Entries of directories came, went or moved, or it is not known what happened.
    pub entries: bool,
}

/// Watches directories.
#[derive(Debug)]
pub struct Watch {
    /// `None` when the kernel gives none.
    inotify: Option<AsyncFd<OwnedFd>>,
    watched: BTreeMap<i32, PathBuf>,
    /// Whether a directory cannot be watched.
    incomplete: bool,
    /// It was told that polling is all there is.
    told: bool,
}

impl Watch {
    /// Watches nothing yet. To be called within a runtime.
    pub fn new() -> Self {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
            .map_err(io::Error::from)
            .and_then(register);
        let inotify = inotify
            .inspect_err(|error| {
                tracing::warn!(%error, "logs: no inotify, so log files are polled once a second; raise fs.inotify.max_user_instances");
            })
            .ok();
        Self {
            told: inotify.is_none(),
            incomplete: inotify.is_none(),
            inotify,
            watched: BTreeMap::new(),
        }
    }

    /// Whether a directory is not watched, so that only polling finds what happens there.
    pub fn is_incomplete(&self) -> bool {
        self.incomplete
    }

    /// Watches these directories from now on, and no others. Also the known ones again: one that was deleted and
    /// made again is another directory.
    pub fn set(&mut self, directories: &BTreeSet<PathBuf>) {
        let Some(inotify) = &self.inotify else { return };
        let mut watched = BTreeMap::new();
        let mut failure = None;
        for directory in directories {
            match inotify::add_watch(inotify.get_ref(), directory, EVENTS) {
                Ok(watch) => drop(watched.insert(watch, directory.clone())),
                // It has not come yet; its parent is watched, or the poll finds it.
                Err(Errno::NOENT | Errno::NOTDIR) => failure = failure.or(Some(None)),
                Err(error) => failure = Some(Some((directory, error))),
            }
        }
        for gone in self.watched.keys().filter(|one| !watched.contains_key(one)) {
            // A deleted directory has lost its watch already.
            let _ = inotify::remove_watch(inotify.get_ref(), *gone);
        }
        self.watched = watched;
        self.incomplete = failure.is_some();
        if let Some(Some((directory, error))) = failure.filter(|_| !self.told) {
            self.told = true;
            tracing::warn!(
                directory = %directory.display(), %error,
                "logs: the directory cannot be watched, so it is polled once a second; raise fs.inotify.max_user_watches"
            );
        }
    }

    /// Waits until there is something to [`take`](Self::take); for ever without inotify.
    pub async fn changed(&self) {
        match &self.inotify {
            Some(inotify) => {
                // Readiness stays until `take` has found nothing more.
                let _ = inotify.readable().await;
            }
            None => std::future::pending().await,
        }
    }

    /// Takes all news there are.
    pub fn take(&mut self) -> News {
        let mut news = News::default();
        let Some(inotify) = &self.inotify else {
            return news;
        };
        let _ = inotify.try_io(Interest::READABLE, |fd| {
            let mut room = [MaybeUninit::uninit(); ROOM];
            let mut events = Reader::new(fd, &mut room);
            loop {
                match events.next() {
                    Ok(event) => {
                        let name = event.file_name().map(|name| name.to_bytes());
                        note(&self.watched, event.wd(), name, event.events(), &mut news);
                    }
                    Err(Errno::INTR) => {}
                    // That there is nothing more; this clears the readiness.
                    Err(error) => return Err::<(), _>(error.into()),
                }
            }
        });
        news
    }
}

#[expect(
    deprecated,
    reason = "its successor is unsafe, which this workspace forbids; an OwnedFd stays open and the same, as it asks"
)]
fn register(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Interest::READABLE)
}

impl Default for Watch {
    fn default() -> Self {
        Self::new()
    }
}

fn note(
    watched: &BTreeMap<i32, PathBuf>,
    watch: i32,
    name: Option<&[u8]>,
    what: ReadFlags,
    news: &mut News,
) {
    let directory: Option<&Path> = watched.get(&watch).map(PathBuf::as_path);
    match (directory, name) {
        (Some(directory), Some(name)) if what == ReadFlags::MODIFY => {
            news.written.insert(directory.join(OsStr::from_bytes(name)));
        }
        (Some(directory), Some(name)) => {
            if what.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO) {
                let path = directory.join(OsStr::from_bytes(name));
                news.appeared.insert(path);
            }
            news.entries = true;
        }
        (None, _) if !what.contains(ReadFlags::QUEUE_OVERFLOW) => {} // of a watch that was removed
        _ => news.entries = true,
    }
}
