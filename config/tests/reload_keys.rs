//! Key sets and secrets in their own files: a change is a new configuration, a renewed bearer token
//! is not.

// Helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

use std::{fs, path::Path};

use outrigger_config::{
    LoadError, Loaded, Reloader, Source, diff,
    model::{Config, KeySource},
};
use tempfile::TempDir;

const CONFIG: &str = "
app: { port: 8080 }
jwtProviders:
  partner: { issuer: https://id.partner.example/, audiences: [a], jwks: { file: keys.json } }
  shared: { issuer: shared, audiences: [a], secret: { file: secret } }
  cluster:
    issuer: https://kubernetes.default.svc
    audiences: [a]
    jwks: { credentials: { bearerToken: { file: token } } }
";

const SECRET: &str = "0123456789abcdef0123456789abcdef\n";
const KEYS: &str = include_str!("files/jwks.json");

fn unset(_: &str) -> Option<String> {
    None
}

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (name, content) in files {
        fs::write(folder.join(name), content).unwrap();
    }
}

fn start() -> (TempDir, Reloader, Config) {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        ("a.yaml", CONFIG),
        ("keys.json", KEYS),
        ("secret", SECRET),
        ("token", "first"),
    ];
    write(folder.path(), &files);
    let source = Source::new(folder.path().join("a.yaml"));
    let loaded = source
        .load(&unset)
        .unwrap_or_else(|error| panic!("{}", error.render(false)));
    let reloader = Reloader::new(source, &loaded);
    (folder, reloader, loaded.config)
}

fn changed(reloader: &mut Reloader) -> Option<Loaded> {
    reloader
        .if_changed(&unset)
        .unwrap_or_else(|error| panic!("{}", error.render(false)))
}

#[test]
fn a_new_key_set_or_secret_is_a_new_configuration() {
    let (folder, mut reloader, mut config) = start();
    assert!(changed(&mut reloader).is_none());
    let other = SECRET.replace('0', "f");
    for (files, expected) in [
        (
            [("keys.json", &*KEYS.replace("rfc-8037", "another"))],
            "jwtProviders ~partner",
        ),
        ([("secret", &*other)], "jwtProviders ~shared"),
    ] {
        write(folder.path(), &files);
        let loaded = changed(&mut reloader).unwrap();
        assert_eq!(diff(&config, &loaded.config).to_string(), expected);
        config = loaded.config;
        assert!(changed(&mut reloader).is_none());
    }
    let KeySource::Secret(secret) = &config.jwt_providers[1].keys else {
        panic!()
    };
    assert_eq!(secret.expose(), other.trim_end().as_bytes());
}

#[test]
fn a_renewed_bearer_token_reloads_nothing() {
    let (folder, mut reloader, _) = start();
    write(folder.path(), &[("token", "second")]);
    assert!(changed(&mut reloader).is_none());
    assert!(!reloader.files().iter().any(|path| path.ends_with("token")));
}

/// docs/security.md 23: an invalid file keeps the old configuration, is reported once, and is
/// loaded again at the next change.
#[test]
fn a_key_set_that_is_broken_or_gone_is_refused_until_it_is_mended() {
    let (folder, mut reloader, config) = start();
    let refused =
        |looked: Result<Option<Loaded>, LoadError>| looked.unwrap_err().problems()[0].code;
    write(folder.path(), &[("keys.json", "<html>Bad gateway</html>")]);
    assert_eq!(refused(reloader.if_changed(&unset)), "bad-jwks");
    assert!(
        changed(&mut reloader).is_none(),
        "the same content is not reported twice"
    );
    fs::remove_file(folder.path().join("keys.json")).unwrap();
    assert_eq!(refused(reloader.if_changed(&unset)), "unreadable-file");
    write(folder.path(), &[("keys.json", KEYS)]);
    assert_eq!(changed(&mut reloader).unwrap().config, config);
}

#[test]
fn a_bearer_token_that_is_missing_is_waited_for() {
    let (folder, mut reloader, config) = start();
    fs::remove_file(folder.path().join("token")).unwrap();
    assert!(
        changed(&mut reloader).is_none(),
        "what runs reads it at each use"
    );
    assert_eq!(
        reloader.always(&unset).unwrap_err().problems()[0].code,
        "unreadable-file"
    );
    write(folder.path(), &[("token", "third")]);
    assert_eq!(changed(&mut reloader).unwrap().config, config);
}
