//! Calls back when a file may have changed.
//!
//! A watch on the file itself dies with the file when it is renamed over, and never sees a `..data` swap.
//! So the directories of every link on the way are watched, and looked up again after each event.
//!
//! The kernel is asked (inotify(7)) for entries that come, go, move or were closed after writing, and for nothing
//! else: a neighbour that is written all the time, a log in the same folder, wakes nobody.

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

/// What an entry of a directory must do to be told. A change of permissions may make a file readable.
const TOLD: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);

/// Room for some events; more are read in the next round.
const EVENTS: usize = 4096;

/// Watches files until it is dropped.
#[derive(Debug)]
pub struct Watcher(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    paths: Mutex<BTreeSet<PathBuf>>,
    watched: Mutex<Watched>,
    inotify: OwnedFd,
    /// Wakes the thread: there are more paths, or it is to end.
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
    /// Watches `paths`, which need not exist yet. `on_change` runs on a thread of its own, once or more after
    /// each change; it says that a content *may* have changed. Bursts are not merged: debounce them.
    /// What changed earlier is not told, so start before the first load, or look once more afterwards.
    ///
    /// # Errors
    /// The system has no more watches to give, or a directory cannot be watched.
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

    /// Watches these files from now on, and no others. When one is new, `on_change` runs once: it may have changed
    /// between its reading and now.
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
        // It can only be full, and then the thread is awake already.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }

    fn run(&self, on_change: &impl Fn()) {
        loop {
            let mut ready = [
                PollFd::new(&self.inotify, PollFlags::IN),
                PollFd::new(&self.wake, PollFlags::IN),
            ];
            if poll(&mut ready, None).is_err_and(|error| error != Errno::INTR) {
                return; // nothing that a retry could mend; polling by the clock stands by
            }
            let woken = rustix::io::read(&self.wake, &mut [0; 8]).is_ok();
            if self.ended.load(Relaxed) {
                return;
            }
            if self.has_news() || woken {
                // When a directory is gone for a moment, its parent's watch tells of its return; polling stands by.
                let _ = self.follow(&lock(&self.paths));
                on_change();
            }
        }
    }

    /// Takes all events there are; whether one is about an entry that decides.
    fn has_news(&self) -> bool {
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

    /// Watches the directories that matter now, and no others. The paths stay locked meanwhile, so that the set which
    /// was given last is also the one that is watched in the end.
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
        // Also the known ones: one that was deleted and made again is another directory. And all of them,
        // even if one is gone by now: what removed it is an event in another.
        let mut by_watch = BTreeMap::new();
        let mut watched = lock(&self.watched);
        for directory in entries.keys() {
            match inotify::add_watch(&self.inotify, directory, TOLD) {
                Ok(watch) => drop(by_watch.insert(watch, directory.clone())),
                Err(error) => result = Err(error.into()),
            }
        }
        for gone in watched
            .by_watch
            .keys()
            .filter(|watch| !by_watch.contains_key(watch))
        {
            // A deleted directory has lost its watch already.
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

/// A panic elsewhere leaves nothing half-done in what is locked here.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
