//! Against a third-party identity provider: the npm package `oidc-provider`. Skipped, with a
//! message, without Node.js or the package.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::support::{
    Proxy,
    live::free_port,
    origin,
    tokens::{Signer, claims_of},
    wait_for,
    wire::{Wire, status},
};

/// The version that this was written with.
const PACKAGE: &str = "oidc-provider@8.8.1";

/// Where the package is kept from one run to the next; `None` where it cannot be had.
fn modules() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("oidc-provider");
    if folder
        .join("node_modules/oidc-provider/package.json")
        .exists()
        && runs("node")
    {
        return Some(folder);
    }
    if !runs("node") || !runs("npm") {
        return None;
    }
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("package.json"), "{\"private\":true}").unwrap();
    let mut install = Command::new("npm");
    install.args([
        "install",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "--fetch-timeout=20000",
        PACKAGE,
    ]);
    let installed = install
        .current_dir(&folder)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    installed.status.success().then_some(folder)
}

fn runs(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
}

/// The provider as a process; killed when it is dropped.
struct Provider(Child);

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Provider {
    /// Signs with the first of these keys and publishes all.
    fn start(modules: &Path, keys: &Path, port: u16, kids: &[&str]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/oidc/provider.mjs");
        let mut command = Command::new("node");
        command
            .arg(script)
            .arg(keys)
            .arg(port.to_string())
            .args(kids)
            .env("MODULES", modules);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let told = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut told = told.map_while(Result::ok);
        assert!(told.any(|line| line == "listening"), "the provider ended");
        std::thread::spawn(move || told.for_each(drop)); // or it would wait for a reader
        Self(child)
    }
}

/// A token by the client credentials grant (RFC 6749 section 4.4).
fn token(port: u16) -> String {
    let form = "grant_type=client_credentials&client_id=service&client_secret=of-the-service&scope=orders.read";
    let mut wire = Wire::connect(([127, 0, 0, 1], port).into());
    let (head, body) = wire.ask(&format!(
        "POST /token HTTP/1.1\r\nhost: localhost:{port}\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         content-length: {}\r\n\r\n{form}",
        form.len()
    ));
    assert_eq!(status(&head), 200, "{head}{body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    body["access_token"].as_str().unwrap().to_owned()
}

#[test]
fn a_real_provider_is_discovered_rotates_its_keys_and_goes_away() {
    let Some(modules) = modules() else {
        eprintln!("SKIPPED: node and npm are not there, or {PACKAGE} cannot be installed");
        return;
    };
    let (origin, port, keys) = (origin(), free_port(), tempfile::tempdir().unwrap());
    let issuer = format!("http://localhost:{port}");
    let proxy = Proxy::start(&format!(
        "app: {{ port: {} }}\nlisteners: [{{ port: 0 }}]\njwtProviders:\n  op:\n    issuer: {issuer}\n    \
         audiences: [orders-api]\n    jwks: {{ allowInsecure: true, refresh: 2s }}\n    tokenTypes: [at+jwt]\n\
         routes:\n- name: app\n  authorize: {{ rules: [{{ name: readers, action: allow, when: {{ scopes: [orders.read] }} }}] }}\n",
        origin.address().port()
    ));
    let ask = |token: &str| {
        let mut wire = Wire::connect(proxy.inbound());
        status(
            &wire
                .ask(&format!(
                    "GET / HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\r\n"
                ))
                .0,
        )
    };
    // Unavailable at the start: 503, and no request is accepted.
    let header = r#"{"alg":"ES256","kid":"stranger","typ":"at+jwt"}"#;
    let stranger = Signer::new("stranger").raw(header, &claims_of(&issuer).to_string());
    assert_eq!(ask(&stranger), 503);

    let first = Provider::start(&modules, keys.path(), port, &["old"]);
    let old = token(port);
    wait_for("the keys of a provider that came late", || {
        (ask(&old) == 200).then_some(())
    });
    assert_eq!(ask(&stranger), 401);

    // The key changes: what was signed with either is good while both are published.
    drop(first);
    let second = Provider::start(&modules, keys.path(), port, &["new", "old"]);
    let new = token(port);
    wait_for("the new key", || (ask(&new) == 200).then_some(()));
    assert_eq!((ask(&old), ask(&stranger)), (200, 401));

    // Down later: the last good keys stay.
    drop(second);
    let failed = r#"outrigger_jwks_fetches_total{provider="op",result="connect"}"#;
    let before = proxy.metric(failed);
    wait_for("a fetch that fails", || {
        (proxy.metric(failed) > before).then_some(())
    });
    assert_eq!((ask(&old), ask(&new), ask(&stranger)), (200, 200, 401));

    // Back without the old key: it is refused, although its tokens have not expired.
    let _third = Provider::start(&modules, keys.path(), port, &["new"]);
    wait_for("the old key to be gone", || {
        (ask(&old) == 401).then_some(())
    });
    assert_eq!(ask(&new), 200);
}
