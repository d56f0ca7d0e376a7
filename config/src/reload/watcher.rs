//! Calls back when a file may have changed.
//!
//! A watch on the file itself ends when the file is renamed over, and never sees a `..data` swap.
//! So the directories of every link on the way are watched, and resolved again after each event.
//!
//! The kernel reports (inotify(7)) only entries that are created, deleted, moved or closed after
//! writing. So a log file in the same folder that is written all the time causes no wake-ups.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs, io,
    mem::MaybeUninit,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, eventfd, poll},
    fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags},
    io::Errno,
};

use crate::files::chain::{self, Entries};

/// The inotify events to watch. A change of permissions may make a file readable.
const WATCHED_EVENTS: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);

/// Buffer for some events; the rest is read in the next round.
const EVENTS: usize = 4096;

/// Watches files until it is dropped.
#[derive(Debug)]
pub struct Watcher(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    paths: Mutex<BTreeSet<PathBuf>>,
    watched: Mutex<Watched>,
    inotify: OwnedFd,
    /// Wakes the thread when paths were added, or when it must end.
    wake: OwnedFd,
    ended: AtomicBool,
}

/// The directories that are watched now.
#[derive(Debug, Default)]
struct Watched {
    entries: Entries,
    by_watch: BTreeMap<i32, PathBuf>,
}

impl Watcher {
    /// Watches `paths`, which need not exist yet. `on_change` runs on a separate thread, at least
    /// once after each change; it means that a content *may* have changed. Bursts are not merged:
    /// debounce them. Earlier changes are not reported, so start before the first load, or check
    /// once more afterwards.
    ///
    /// # Errors
    /// The system has no more watches, or a directory cannot be watched.
    pub fn start(
        paths: impl IntoIterator<Item = impl AsRef<Path>>,
        on_change: impl Fn() + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            paths: Mutex::new(absolute(paths)?),
            watched: Mutex::default(),
            inotify: inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?,
            wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            ended: AtomicBool::new(false),
        });
        shared.follow(&lock(&shared.paths))?;
        let watching = Arc::clone(&shared);
        thread::Builder::new()
            .name("config-watch".to_owned())
            .spawn(move || watching.run(&on_change))?;
        Ok(Self(shared))
    }

    /// Watches these files from now on, and no others. When one is new, `on_change` runs once: it
    /// may have changed since it was read.
    ///
    /// # Errors
    /// A directory cannot be watched; the others are.
    pub fn set(&self, paths: impl IntoIterator<Item = impl AsRef<Path>>) -> io::Result<()> {
        let now = absolute(paths)?;
        let mut known = lock(&self.0.paths);
        if *known == now {
            return Ok(());
        }
        let more = !now.is_subset(&known);
        *known = now;
        let followed = self.0.follow(&known);
        if more {
            self.0.wake_up();
        }
        followed
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.ended.store(true, Relaxed);
        self.0.wake_up();
    }
}

fn absolute(paths: impl IntoIterator<Item = impl AsRef<Path>>) -> io::Result<BTreeSet<PathBuf>> {
    paths.into_iter().map(std::path::absolute).collect()
}

impl Shared {
    fn wake_up(&self) {
        // The write fails only when the counter is full, and then the thread is already awake.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }

    fn run(&self, on_change: &impl Fn()) {
        loop {
            let mut ready = [
                PollFd::new(&self.inotify, PollFlags::IN),
                PollFd::new(&self.wake, PollFlags::IN),
            ];
            if poll(&mut ready, None).is_err_and(|error| error != Errno::INTR) {
                return; // a retry would not help; polling still detects changes
            }
            let woken = rustix::io::read(&self.wake, &mut [0; 8]).is_ok();
            if self.ended.load(Relaxed) {
                return;
            }
            if self.has_relevant_events() || woken {
                // When a directory is missing for a moment, its parent's watch reports its return;
                // polling covers the rest.
                let _ = self.follow(&lock(&self.paths));
                on_change();
            }
        }
    }

    /// Reads all pending events; returns whether one is about a relevant entry.
    fn has_relevant_events(&self) -> bool {
        let mut room = [MaybeUninit::uninit(); EVENTS];
        let mut events = Reader::new(&self.inotify, &mut room);
        let mut watched = lock(&self.watched);
        let mut news = false;
        loop {
            match events.next() {
                Ok(event) => {
                    let name = event
                        .file_name()
                        .map(|name| OsStr::from_bytes(name.to_bytes()));
                    news |= watched.concerns(event.wd(), name, event.events());
                }
                Err(Errno::INTR) => {}
                Err(_) => return news, // usually that there are no more for now
            }
        }
    }

    /// Watches the relevant directories, and no others. The paths stay locked meanwhile, so that
    /// the last given set is the one that is watched in the end.
    fn follow(&self, paths: &BTreeSet<PathBuf>) -> io::Result<()> {
        let mut entries = Entries::new();
        let mut result = Ok(());
        for path in paths {
            match chain::follow(path, |link| fs::read_link(link).ok()) {
                Ok(chain) => {
                    for (directory, mut names) in chain.entries {
                        entries.entry(directory).or_default().append(&mut names);
                    }
                }
                Err(error) => result = Err(error),
            }
        }
        // Known directories too: one that was deleted and created again is a new directory. And all
        // of them, even if one is gone by now: its removal is an event in another one.
        let mut by_watch = BTreeMap::new();
        let mut watched = lock(&self.watched);
        for directory in entries.keys() {
            match inotify::add_watch(&self.inotify, directory, WATCHED_EVENTS) {
                Ok(watch) => drop(by_watch.insert(watch, directory.clone())),
                Err(error) => result = Err(error.into()),
            }
        }
        for gone in watched
            .by_watch
            .keys()
            .filter(|watch| !by_watch.contains_key(watch))
        {
            // The kernel has already removed the watch of a deleted directory.
            let _ = inotify::remove_watch(&self.inotify, *gone);
        }
        *watched = Watched { entries, by_watch };
        result
    }
}

impl Watched {
    fn concerns(&mut self, watch: i32, name: Option<&OsStr>, what: ReadFlags) -> bool {
        if what.contains(ReadFlags::QUEUE_OVERFLOW) {
            return true; // what was lost may have been ours
        }
        let Some(directory) = self.by_watch.get(&watch) else {
            return false;
        };
        if what.contains(ReadFlags::IGNORED) {
            self.by_watch.remove(&watch);
            return true;
        }
        match name {
            Some(name) => self
                .entries
                .get(directory)
                .is_some_and(|names| names.contains(name)),
            None => true, // the directory itself
        }
    }
}

/// A panic in another thread leaves no inconsistent state in what is locked here.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
