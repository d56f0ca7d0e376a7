//! Every kind of change to the file is noticed, and the last content is loaded.

// Helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, sync_channel},
    time::Duration,
};

use outrigger_config::{LoadError, Reloader, Source, Watcher, cannot_update, load_path};

/// A test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

fn unset(_: &str) -> Option<String> {
    None
}

fn text(port: u16) -> String {
    format!("app: {{ port: {port} }}\n")
}

/// The app port in the current file.
fn port(reloader: &mut Reloader) -> Option<u16> {
    let loaded = reloader.if_changed(&unset).unwrap()?;
    let authority = loaded.config.upstreams[0].endpoints[0].authority.clone();
    authority
        .rsplit(':')
        .next()
        .and_then(|port| port.parse().ok())
}

fn watch(path: &Path) -> (Watcher, Receiver<()>) {
    let (sender, receiver) = sync_channel(1000);
    let watcher = Watcher::start([path], move || {
        // A full channel is fine: the test checks the file anyway.
        let _ = sender.try_send(());
    })
    .unwrap();
    (watcher, receiver)
}

/// Receives events until the file has the port `expected`.
fn until(expected: u16, reloader: &mut Reloader, events: &Receiver<()>) {
    loop {
        events
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|_| panic!("no event for {expected}"));
        if port(reloader) == Some(expected) {
            return;
        }
    }
}

fn reloader(path: &Path) -> Reloader {
    Reloader::new(Source::new(path), &load_path(path, &unset).unwrap())
}

/// A volume as the kubelet writes it: `a.yaml -> ..data/a.yaml`, `..data -> ..GENERATION`.
struct Volume {
    root: PathBuf,
    generation: u16,
}

impl Volume {
    fn new(root: &Path, port: u16) -> Self {
        let mut volume = Self {
            root: root.to_owned(),
            generation: 0,
        };
        volume.swap(port);
        symlink("..data/a.yaml", root.join("a.yaml")).unwrap();
        volume
    }

    fn swap(&mut self, port: u16) {
        let old = self.root.join(format!("..{}", self.generation));
        self.generation += 1;
        let name = format!("..{}", self.generation);
        fs::create_dir(self.root.join(&name)).unwrap();
        fs::write(self.root.join(&name).join("a.yaml"), text(port)).unwrap();
        symlink(&name, self.root.join("..data_tmp")).unwrap();
        fs::rename(self.root.join("..data_tmp"), self.root.join("..data")).unwrap();
        // The kubelet removes the old generation at once.
        let _ = fs::remove_dir_all(old);
    }
}

#[test]
fn after_a_hundred_swaps_in_a_row_the_last_one_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let mut volume = Volume::new(folder.path(), 1000);
    let path = folder.path().join("a.yaml");
    let mut reloader = reloader(&path);
    let (_watcher, events) = watch(&path);
    for port in 1001..=1100 {
        volume.swap(port);
    }
    until(1100, &mut reloader, &events);
}

#[test]
fn each_of_a_hundred_swaps_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let mut volume = Volume::new(folder.path(), 1000);
    let path = folder.path().join("a.yaml");
    let mut reloader = reloader(&path);
    let (_watcher, events) = watch(&path);
    for port in 1001..=1100 {
        volume.swap(port);
        until(port, &mut reloader, &events);
    }
}

#[test]
fn a_file_in_the_newest_generation_may_be_edited_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let mut volume = Volume::new(folder.path(), 1000);
    let path = folder.path().join("a.yaml");
    let mut reloader = reloader(&path);
    let (_watcher, events) = watch(&path);
    volume.swap(1001);
    until(1001, &mut reloader, &events);
    fs::write(&path, text(1002)).unwrap();
    until(1002, &mut reloader, &events);
}

#[test]
fn a_file_renamed_over_is_noticed_again_and_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.yaml");
    fs::write(&path, text(1000)).unwrap();
    let mut reloader = reloader(&path);
    let (_watcher, events) = watch(&path);
    for port in 1001..=1020 {
        fs::write(folder.path().join("new"), text(port)).unwrap();
        fs::rename(folder.path().join("new"), &path).unwrap();
        until(port, &mut reloader, &events);
    }
}

#[test]
fn an_edit_in_place_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.yaml");
    fs::write(&path, text(1000)).unwrap();
    let mut reloader = Reloader::new(Source::new(&path), &load_path(&path, &unset).unwrap());
    let (_watcher, events) = watch(&path);
    for port in 1001..=1010 {
        // Between truncation and writing the file is empty, which is rejected and read again.
        fs::write(&path, text(port)).unwrap();
        loop {
            events.recv_timeout(PATIENCE).unwrap();
            match reloader.if_changed(&unset) {
                Ok(Some(loaded))
                    if loaded.config.upstreams[0].endpoints[0]
                        .authority
                        .ends_with(&port.to_string()) =>
                {
                    break;
                }
                Ok(_) | Err(LoadError::Rejected { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn a_link_to_the_folder_may_be_replaced() {
    let folder = tempfile::tempdir().unwrap();
    for (name, port) in [("one", 1001), ("two", 1002)] {
        fs::create_dir(folder.path().join(name)).unwrap();
        fs::write(folder.path().join(name).join("a.yaml"), text(port)).unwrap();
    }
    symlink("one", folder.path().join("current")).unwrap();
    let path = folder.path().join("current/a.yaml");
    let mut reloader = reloader(&path);
    let (_watcher, events) = watch(&path);
    symlink("two", folder.path().join("next")).unwrap();
    fs::rename(folder.path().join("next"), folder.path().join("current")).unwrap();
    until(1002, &mut reloader, &events);
}

#[test]
fn a_file_that_comes_into_being_later_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("late/a.yaml");
    let (_watcher, events) = watch(&path);
    fs::create_dir(folder.path().join("late")).unwrap();
    events.recv_timeout(PATIENCE).unwrap();
    fs::write(&path, text(1000)).unwrap();
    while load_path(&path, &unset).is_err() {
        events.recv_timeout(PATIENCE).unwrap();
    }
}

#[test]
fn reading_the_file_and_writing_its_neighbours_is_no_event() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.yaml");
    fs::write(&path, text(1000)).unwrap();
    let mut reloader = reloader(&path);
    let (_watcher, events) = watch(&path);
    for number in 0..20 {
        fs::write(folder.path().join(format!("other-{number}")), "x").unwrap();
        assert_eq!(port(&mut reloader), None);
    }
    fs::write(folder.path().join("new"), text(1001)).unwrap();
    fs::rename(folder.path().join("new"), &path).unwrap();
    // Events are ordered, so all earlier ones have been received.
    until(1001, &mut reloader, &events);
}

#[test]
fn a_dropped_watcher_makes_no_calls() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.yaml");
    fs::write(&path, text(1000)).unwrap();
    let (watcher, events) = watch(&path);
    drop(watcher);
    fs::write(&path, text(1001)).unwrap();
    // The callback is dropped with its thread, and the sender with the callback.
    while events.recv_timeout(PATIENCE).is_ok() {}
    assert!(events.try_recv().is_err());
}

#[test]
fn the_same_content_is_neither_loaded_nor_refused_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.yaml");
    fs::write(&path, text(1000)).unwrap();
    let mut reloader = reloader(&path);
    assert!(reloader.if_changed(&unset).unwrap().is_none());
    assert!(reloader.always(&unset).is_ok());

    fs::write(&path, "app: {").unwrap();
    assert!(matches!(
        reloader.if_changed(&unset),
        Err(LoadError::Rejected { .. })
    ));
    assert!(reloader.if_changed(&unset).unwrap().is_none());
    assert!(reloader.always(&unset).is_err());

    fs::remove_file(&path).unwrap();
    assert!(matches!(
        reloader.if_changed(&unset),
        Err(LoadError::Unreadable { .. })
    ));
    assert!(reloader.if_changed(&unset).unwrap().is_none());

    fs::write(&path, text(1000)).unwrap();
    assert_eq!(port(&mut reloader), Some(1000));
}

#[test]
fn an_ordinary_file_can_update() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.yaml");
    fs::write(&path, text(1000)).unwrap();
    assert!(!cannot_update(&path));
    assert!(!cannot_update(&folder.path().join("none")));
}

#[test]
fn a_fingerprint_is_that_of_the_content() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.yaml");
    let hash = |port| {
        fs::write(&path, text(port)).unwrap();
        Source::new(&path).load(&unset).unwrap().hash
    };
    let before = hash(1000);
    assert_eq!(before.to_string().len(), 64);
    assert_ne!(before, hash(1001));
    assert_eq!(before, hash(1000));
}
