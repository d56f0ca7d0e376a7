//! Every kind of change to a file that the configuration names is noticed, and certificate and key
//! stay a pair.

// Helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

mod certificates;

use std::{
    fs,
    os::unix::fs::symlink,
    path::PathBuf,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, sync_channel},
    },
    thread,
    time::Duration,
};

use outrigger_config::{LoadError, Loaded, Reloader, Source, Watcher};
use rcgen::{CertifiedIssuer, KeyPair};
use tempfile::TempDir;

/// A test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

const CONFIG: &str = "app: { port: 8080 }\nstatus: { address: \"[::]:9902\" }\n\
    listeners: [{ port: 8443, tls: { certFile: tls/tls.crt, keyFile: tls/tls.key } }]\n";

fn unset(_: &str) -> Option<String> {
    None
}

/// Certificates by number: the number is the first server name.
struct Issuer(CertifiedIssuer<'static, KeyPair>);

impl Issuer {
    fn new() -> Self {
        Self(certificates::authority("Test CA"))
    }

    /// A certificate and its key.
    fn pair(&self, number: usize) -> [(&'static str, String); 2] {
        let key = KeyPair::generate().unwrap();
        let params = certificates::server_params(&[&format!("n{number}.example.com")]);
        [
            ("tls.crt", params.signed_by(&key, &self.0).unwrap().pem()),
            ("tls.key", key.serialize_pem()),
        ]
    }
}

/// The number of the certificate in a configuration.
fn number(loaded: &Loaded) -> usize {
    let leaf = &loaded.config.listeners[0]
        .tls
        .as_ref()
        .unwrap()
        .certificate
        .chain[0];
    let (_, leaf) = x509_parser::parse_x509_certificate(leaf).unwrap();
    let name = leaf
        .subject()
        .iter_common_name()
        .next()
        .unwrap()
        .as_str()
        .unwrap()
        .to_owned();
    name.trim_start_matches('n')
        .split('.')
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

/// A volume as the kubelet writes it: `NAME -> ..data/NAME`, `..data -> ..GENERATION`.
struct Volume {
    root: PathBuf,
    generation: usize,
}

impl Volume {
    fn new(root: PathBuf, files: &[(&str, String)]) -> Self {
        fs::create_dir(&root).unwrap();
        let mut volume = Self {
            root,
            generation: 0,
        };
        volume.swap(files);
        for (name, _) in files {
            symlink(format!("..data/{name}"), volume.root.join(name)).unwrap();
        }
        volume
    }

    fn swap(&mut self, files: &[(&str, String)]) {
        let old = self.root.join(format!("..{}", self.generation));
        self.generation += 1;
        let name = format!("..{}", self.generation);
        fs::create_dir(self.root.join(&name)).unwrap();
        for (file, content) in files {
            fs::write(self.root.join(&name).join(file), content).unwrap();
        }
        symlink(&name, self.root.join("..data_tmp")).unwrap();
        fs::rename(self.root.join("..data_tmp"), self.root.join("..data")).unwrap();
        // The kubelet removes the old generation at once.
        let _ = fs::remove_dir_all(old);
    }
}

/// A folder with a configuration and `tls/`.
fn folder(config: &str, files: &[(&str, String)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), config).unwrap();
    fs::create_dir(folder.path().join("tls")).unwrap();
    write(&folder, files);
    folder
}

fn write(folder: &TempDir, files: &[(&str, String)]) {
    for (name, content) in files {
        fs::write(folder.path().join("tls").join(name), content).unwrap();
    }
}

fn reloader(folder: &TempDir) -> Reloader {
    let source = Source::new(folder.path().join("a.yaml"));
    let loaded = source
        .load(&unset)
        .unwrap_or_else(|error| panic!("{}", error.render(false)));
    Reloader::new(source, &loaded)
}

fn watch(reloader: &Reloader) -> (Watcher, Receiver<()>) {
    let (sender, receiver) = sync_channel(1000);
    let watcher = Watcher::start(reloader.files(), move || {
        // A full channel is fine: the test checks the files anyway.
        let _ = sender.try_send(());
    })
    .unwrap();
    (watcher, receiver)
}

/// Receives events, and loads after each, until the certificate is this one. Returns the number of
/// rejected loads.
fn until(
    expected: usize,
    reloader: &mut Reloader,
    watcher: &Watcher,
    events: &Receiver<()>,
) -> usize {
    let mut refused = 0;
    loop {
        events
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|_| panic!("no event for {expected}"));
        let looked = reloader.if_changed(&unset);
        watcher.set(reloader.files()).unwrap();
        match looked {
            Ok(Some(loaded)) if number(&loaded) == expected => return refused,
            Ok(_) => {}
            Err(LoadError::Rejected { .. }) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Codes of the problems of a load.
fn codes(looked: Result<Option<Loaded>, LoadError>) -> Vec<&'static str> {
    looked
        .unwrap_err()
        .problems()
        .iter()
        .map(|problem| problem.code)
        .collect()
}

#[test]
fn each_swap_of_a_secret_is_noticed_and_never_refused() {
    let issuer = Issuer::new();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), CONFIG).unwrap();
    let mut volume = Volume::new(folder.path().join("tls"), &issuer.pair(0));
    let mut reloader = reloader(&folder);
    let (watcher, events) = watch(&reloader);
    for number in 1..=20 {
        volume.swap(&issuer.pair(number));
        assert_eq!(until(number, &mut reloader, &watcher, &events), 0);
    }
}

#[test]
fn after_a_hundred_swaps_in_a_row_the_last_pair_is_loaded() {
    let issuer = Issuer::new();
    let pairs: Vec<_> = (0..=100).map(|number| issuer.pair(number)).collect();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), CONFIG).unwrap();
    let mut volume = Volume::new(folder.path().join("tls"), &pairs[0]);
    let mut reloader = reloader(&folder);
    let (watcher, events) = watch(&reloader);
    pairs[1..].iter().for_each(|pair| volume.swap(pair));
    assert_eq!(until(100, &mut reloader, &watcher, &events), 0);
}

#[test]
fn a_load_during_swaps_sees_a_pair() {
    let issuer = Issuer::new();
    let pairs: Vec<_> = (0..=100).map(|number| issuer.pair(number)).collect();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), CONFIG).unwrap();
    let mut volume = Volume::new(folder.path().join("tls"), &pairs[0]);
    let mut reloader = reloader(&folder);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for pair in &pairs[1..] {
                volume.swap(pair);
                // Real swaps are seconds apart, not microseconds: other work happens in between.
                thread::yield_now();
            }
            done.store(true, Ordering::SeqCst);
        });
        let mut loads = 0;
        while !done.load(Ordering::SeqCst) {
            let loaded = reloader
                .always(&unset)
                .unwrap_or_else(|error| panic!("{}", error.render(false)));
            assert!(number(&loaded) <= 100);
            loads += 1;
        }
        assert!(loads > 0);
    });
    assert_eq!(number(&reloader.always(&unset).unwrap()), 100);
}

#[test]
fn files_renamed_over_one_after_the_other_are_taken_when_they_fit() {
    let issuer = Issuer::new();
    let folder = folder(CONFIG, &issuer.pair(0));
    let mut reloader = reloader(&folder);
    let (watcher, events) = watch(&reloader);
    for number in 1..=10 {
        for (name, content) in issuer.pair(number) {
            fs::write(folder.path().join("tls/new"), content).unwrap();
            fs::rename(
                folder.path().join("tls/new"),
                folder.path().join("tls").join(name),
            )
            .unwrap();
        }
        until(number, &mut reloader, &watcher, &events);
    }
}

#[test]
fn files_edited_in_place_are_taken_when_they_fit() {
    let issuer = Issuer::new();
    let folder = folder(CONFIG, &issuer.pair(0));
    let mut reloader = reloader(&folder);
    let (watcher, events) = watch(&reloader);
    for number in 1..=10 {
        write(&folder, &issuer.pair(number));
        until(number, &mut reloader, &watcher, &events);
    }
}

#[test]
fn a_key_without_its_certificate_is_refused_once_until_the_certificate_is_there() {
    let issuer = Issuer::new();
    let folder = folder(CONFIG, &issuer.pair(0));
    let mut reloader = reloader(&folder);
    let [certificate, key] = issuer.pair(1);
    write(&folder, &[key]);
    assert_eq!(codes(reloader.if_changed(&unset)), ["key-mismatch"]);
    assert!(reloader.if_changed(&unset).unwrap().is_none());
    write(&folder, &[certificate]);
    assert_eq!(number(&reloader.if_changed(&unset).unwrap().unwrap()), 1);
    assert!(reloader.if_changed(&unset).unwrap().is_none());
}

#[test]
fn a_deleted_file_is_refused_once_and_its_return_is_noticed() {
    let issuer = Issuer::new();
    let folder = folder(CONFIG, &issuer.pair(0));
    let mut reloader = reloader(&folder);
    let (watcher, events) = watch(&reloader);
    fs::remove_file(folder.path().join("tls/tls.key")).unwrap();
    events.recv_timeout(PATIENCE).unwrap();
    assert_eq!(codes(reloader.if_changed(&unset)), ["unreadable-file"]);
    watcher.set(reloader.files()).unwrap();
    assert!(reloader.if_changed(&unset).unwrap().is_none());
    write(&folder, &issuer.pair(1));
    until(1, &mut reloader, &watcher, &events);
}

#[test]
fn the_folder_of_a_volume_may_go_and_come_back() {
    let issuer = Issuer::new();
    let folder = folder(CONFIG, &issuer.pair(0));
    let mut reloader = reloader(&folder);
    let (watcher, events) = watch(&reloader);
    fs::rename(folder.path().join("tls"), folder.path().join("gone")).unwrap();
    events.recv_timeout(PATIENCE).unwrap();
    assert_eq!(codes(reloader.if_changed(&unset)), ["unreadable-file"; 2]);
    watcher.set(reloader.files()).unwrap();
    fs::create_dir(folder.path().join("tls")).unwrap();
    write(&folder, &issuer.pair(1));
    until(1, &mut reloader, &watcher, &events);
}

#[test]
fn a_file_that_only_a_refused_configuration_names_is_watched() {
    let issuer = Issuer::new();
    let folder = folder(CONFIG, &issuer.pair(0));
    let mut reloader = reloader(&folder);
    let (watcher, events) = watch(&reloader);
    fs::write(
        folder.path().join("a.yaml"),
        CONFIG.replace("tls/", "other/"),
    )
    .unwrap();
    // Between truncation and writing the file is empty, which is rejected as well.
    while reloader.files().len() < 3 || !reloader.files()[1].ends_with("other/tls.crt") {
        events.recv_timeout(PATIENCE).unwrap();
        let _ = reloader.if_changed(&unset);
    }
    watcher.set(reloader.files()).unwrap();
    while events.try_recv().is_ok() {}
    fs::create_dir(folder.path().join("other")).unwrap();
    for (name, content) in issuer.pair(1) {
        fs::write(folder.path().join("other").join(name), content).unwrap();
    }
    until(1, &mut reloader, &watcher, &events);
}

#[test]
fn what_is_named_first_leads_to_one_more_look_and_what_is_named_no_more_to_none() {
    let issuer = Issuer::new();
    let folder = folder(CONFIG, &issuer.pair(0));
    let mut reloader = reloader(&folder);
    let config = folder.path().join("a.yaml");
    let (sender, events) = sync_channel(1000);
    let watcher = Watcher::start([&config], move || {
        let _ = sender.try_send(());
    })
    .unwrap();
    // A change between the load and the start of the watch causes no event.
    write(&folder, &issuer.pair(1));
    watcher.set(reloader.files()).unwrap();
    until(1, &mut reloader, &watcher, &events);

    watcher.set([&config]).unwrap();
    while events.try_recv().is_ok() {}
    write(&folder, &issuer.pair(2));
    fs::write(folder.path().join("new"), CONFIG.replace("8443", "8444")).unwrap();
    fs::rename(folder.path().join("new"), &config).unwrap();
    // Events are ordered: the first one is about the configuration.
    events.recv_timeout(PATIENCE).unwrap();
    let loaded = reloader.if_changed(&unset).unwrap().unwrap();
    assert_eq!(
        (
            number(&loaded),
            loaded.config.listeners[0].address.socket.port()
        ),
        (2, 8444)
    );
}

#[test]
fn what_cannot_be_watched_leaves_the_rest_watched() {
    let issuer = Issuer::new();
    let folder = folder(CONFIG, &issuer.pair(0));
    let mut reloader = reloader(&folder);
    let (watcher, events) = watch(&reloader);
    symlink("loop.crt", folder.path().join("tls/loop.crt")).unwrap();
    let config = folder.path().join("a.yaml");
    let write_config = |text: String| {
        fs::write(folder.path().join("new"), text).unwrap();
        fs::rename(folder.path().join("new"), &config).unwrap();
    };
    write_config(CONFIG.replace("tls.crt", "loop.crt"));
    events.recv_timeout(PATIENCE).unwrap();
    assert_eq!(codes(reloader.if_changed(&unset)), ["unreadable-file"]);
    assert!(watcher.set(reloader.files()).is_err());
    write(&folder, &issuer.pair(1));
    write_config(CONFIG.to_owned());
    until(1, &mut reloader, &watcher, &events);
}

#[test]
fn a_changed_ca_or_revocation_list_is_a_new_configuration() {
    let folder = folder("", &[]);
    let yaml = "app: { port: 8080 }\nlisteners: [{ port: 8443, tls: { bundleFile: tls/bundle.pem, \
        clientAuth: { caFiles: [tls/ca.crt], crlFiles: [tls/ca.crl] } } }]\n";
    let ca = certificates::write(&folder.path().join("tls"), &["a.example.com"]);
    fs::write(folder.path().join("a.yaml"), yaml).unwrap();
    let mut reloader = reloader(&folder);
    let names: Vec<_> = reloader
        .files()
        .iter()
        .map(|file| file.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["a.yaml", "bundle.pem", "ca.crt", "ca.crl"]);

    write(
        &folder,
        &[("ca.crl", certificates::revocation_list(&ca, 60))],
    );
    assert!(reloader.if_changed(&unset).unwrap().is_some());
    let more = ca.pem() + &certificates::authority("Next CA").pem();
    write(&folder, &[("ca.crt", more)]);
    let loaded = reloader.if_changed(&unset).unwrap().unwrap();
    let tls = loaded.config.listeners[0].tls.as_ref().unwrap();
    assert_eq!(tls.client_auth.as_ref().unwrap().ca_certificates.len(), 2);
    assert!(reloader.if_changed(&unset).unwrap().is_none());
}
