//! Calls back when a file may have changed.
//!
//! A watch on the file itself dies with the file when it is renamed over, and never sees a `..data` swap.
//! So the directories of every link on the way are watched, and looked up again after each event.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode},
};

use crate::files::chain::{self, Entries};

/// Watches files until it is dropped.
#[derive(Debug)]
pub struct Watcher {
    // Dropping the last handle closes the channel, which ends the thread.
    shared: Arc<Shared>,
    signal: SyncSender<()>,
}

#[derive(Debug)]
struct Shared {
    paths: Mutex<BTreeSet<PathBuf>>,
    notify: Mutex<RecommendedWatcher>,
    entries: Arc<Mutex<Entries>>,
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
        let entries: Arc<Mutex<Entries>> = Arc::default();
        // One waiting signal is enough: it stands for everything that happens until it is taken.
        let (signal, receiver) = sync_channel(1);
        let notify =
            notify::recommended_watcher(handler(entries.clone(), signal.clone())).map_err(io_error)?;
        let paths = Mutex::new(absolute(paths)?);
        let shared = Arc::new(Shared { paths, notify: Mutex::new(notify), entries });
        shared.follow(&lock(&shared.paths))?;
        let weak = Arc::downgrade(&shared);
        thread::Builder::new()
            .name("config-watch".to_owned())
            .spawn(move || deliver(&receiver, &weak, &on_change))?;
        Ok(Self { shared, signal })
    }

    /// Watches these files from now on, and no others. When one is new, `on_change` runs once: it may have changed
    /// between its reading and now.
    ///
    /// # Errors
    /// A directory cannot be watched; the others are.
    pub fn set(&self, paths: impl IntoIterator<Item = impl AsRef<Path>>) -> io::Result<()> {
        let now = absolute(paths)?;
        let mut known = lock(&self.shared.paths);
        if *known == now {
            return Ok(());
        }
        let more = !now.is_subset(&known);
        *known = now;
        let followed = self.shared.follow(&known);
        if more {
            // Full: a signal is waiting already.
            let _ = self.signal.try_send(());
        }
        followed
    }
}

fn absolute(paths: impl IntoIterator<Item = impl AsRef<Path>>) -> io::Result<BTreeSet<PathBuf>> {
    paths.into_iter().map(std::path::absolute).collect()
}

impl Shared {
    /// Watches the directories that matter now, and no others. The paths stay locked meanwhile, so that the set which
    /// was given last is also the one that is watched in the end.
    fn follow(&self, paths: &BTreeSet<PathBuf>) -> io::Result<()> {
        let mut now = Entries::new();
        let mut result = Ok(());
        for path in paths {
            match chain::follow(path, |link| fs::read_link(link).ok()) {
                Ok(chain) => {
                    for (directory, mut names) in chain.entries {
                        now.entry(directory).or_default().append(&mut names);
                    }
                }
                Err(error) => result = Err(error),
            }
        }
        let before = std::mem::replace(&mut *lock(&self.entries), now.clone());
        let mut notify = lock(&self.notify);
        for gone in before.keys().filter(|directory| !now.contains_key(*directory)) {
            // A deleted directory has lost its watch already.
            let _ = notify.unwatch(gone);
        }
        // Also the known ones: one that was deleted and made again is another directory. And all of them,
        // even if one is gone by now: what removed it is an event in another.
        let watch =
            |directory: &PathBuf| notify.watch(directory, RecursiveMode::NonRecursive).map_err(io_error);
        now.keys().map(watch).fold(result, io::Result::and)
    }
}

fn handler(
    entries: Arc<Mutex<Entries>>,
    sender: SyncSender<()>,
) -> impl FnMut(notify::Result<Event>) + Send + 'static {
    move |event| {
        // Events that were lost may have been ours.
        if event.map_or(true, |event| concerns(&event, &lock(&entries))) {
            // Full: a signal is waiting already. Closed: nobody listens any more.
            let _ = sender.try_send(());
        }
    }
}

/// Whether an event is about an entry that decides; our own reading is not.
fn concerns(event: &Event, entries: &Entries) -> bool {
    let wrote = AccessKind::Close(AccessMode::Write);
    if matches!(event.kind, EventKind::Access(kind) if kind != wrote) {
        return false;
    }
    let decides = |path: &PathBuf| {
        let parent = path.parent().and_then(|parent| entries.get(parent));
        let named = parent.zip(path.file_name()).is_some_and(|(names, name)| names.contains(name));
        named || entries.contains_key(path)
    };
    event.need_rescan() || event.paths.is_empty() || event.paths.iter().any(decides)
}

fn deliver(receiver: &Receiver<()>, shared: &Weak<Shared>, on_change: &impl Fn()) {
    while receiver.recv().is_ok() {
        let Some(shared) = shared.upgrade() else { return };
        // When a directory is gone for a moment, its parent's watch tells of its return; polling stands by.
        let _ = shared.follow(&lock(&shared.paths));
        drop(shared);
        on_change();
    }
}

/// A panic elsewhere leaves nothing half-done in what is locked here.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn io_error(error: notify::Error) -> io::Error {
    match error.kind {
        notify::ErrorKind::Io(error) => error,
        _ => io::Error::other(error),
    }
}
