//! The same with third-party TLS: openssl, curl and testssl.sh, where they are installed.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use super::Setup;
use crate::support::{
    is_there,
    pki::{Ca, DAY, Wanted},
    wait_for,
};

/// How long testssl.sh may take; it connects many hundred times.
const SCAN: Duration = Duration::from_secs(900);

const REQUIRED: &str = "      clientAuth: { caFiles: [clients.crt] }\n";

/// A listener that wants a certificate, a good client's `client.crt` and a stranger's `stranger.crt`.
fn mutual() -> Setup {
    Setup::start(REQUIRED, |folder, ca| {
        let clients = Ca::new("Clients");
        std::fs::write(folder.join("ca.crt"), ca.pem()).unwrap();
        std::fs::write(folder.join("clients.crt"), clients.pem()).unwrap();
        clients
            .sign(Wanted::client("orders"))
            .write(folder, "client");
        Ca::new("Strangers")
            .sign(Wanted::client("orders"))
            .write(folder, "stranger");
    })
}

/// openssl's client; it asks one question and is given a moment to hear the answer.
fn openssl(setup: &Setup, arguments: &[&str]) -> String {
    let mut child = Command::new("openssl")
        .args([
            "s_client",
            "-connect",
            &setup.address().to_string(),
            "-servername",
            "localhost",
        ])
        .args(["-CAfile", "ca.crt", "-verify_return_error"])
        .args(arguments)
        .current_dir(setup.proxy.folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let asked = thread::spawn(move || {
        // It exits when it is rejected, and then gets no response.
        let _ = stdin.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        thread::sleep(Duration::from_secs(1));
    });
    let output = child.wait_with_output().unwrap();
    asked.join().unwrap();
    said(&output)
}

fn said(output: &Output) -> String {
    [&output.stdout[..], &output.stderr]
        .map(String::from_utf8_lossy)
        .concat()
}

#[test]
fn openssl_is_served_resumed_and_refused() {
    if !is_there("openssl") {
        return;
    }
    let setup = mutual();
    let client = ["-cert", "client.crt", "-key", "client.key"];
    for version in ["-tls1_2", "-tls1_3"] {
        let text = openssl(
            &setup,
            &[&client[..], &[version, "-sess_out", "session"]].concat(),
        );
        assert!(
            text.contains("Hello, world!") && text.contains("New, TLSv1."),
            "{text}"
        );
        let text = openssl(
            &setup,
            &[&client[..], &[version, "-sess_in", "session"]].concat(),
        );
        assert!(
            text.contains("Hello, world!") && text.contains("Reused, TLSv1."),
            "{text}"
        );
        let text = openssl(&setup, &[version]);
        assert!(
            text.contains("alert") && !text.contains("Hello"),
            "without certificate: {text}"
        );
        let text = openssl(
            &setup,
            &[version, "-cert", "stranger.crt", "-key", "stranger.key"],
        );
        assert!(
            text.contains("unknown ca") && !text.contains("Hello"),
            "{text}"
        );
    }
    let text = openssl(&setup, &[&client[..], &["-alpn", "h2,http/1.1"]].concat());
    assert!(text.contains("ALPN protocol: h2"), "{text}");
    for old in ["-tls1_1", "-tls1"] {
        let text = openssl(
            &setup,
            &[&client[..], &[old, "-cipher", "DEFAULT@SECLEVEL=0"]].concat(),
        );
        assert!(!text.contains("Hello"), "{text}");
    }
    assert_eq!(
        (
            setup.handshakes("resumed", ""),
            setup.failed("no_certificate")
        ),
        (2.0, 2.0)
    );
    assert_eq!(
        (setup.failed("unknown_ca"), setup.failed("protocol_version")),
        (2.0, 2.0)
    );
}

fn curl(setup: &Setup, arguments: &[&str]) -> String {
    let output = Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--include",
            "--max-time",
            "20",
            "--cacert",
            "ca.crt",
        ])
        .args(arguments)
        .current_dir(setup.proxy.folder())
        .output()
        .unwrap();
    said(&output)
}

#[test]
fn curl_is_served_and_told_why_not() {
    if !is_there("curl") {
        return;
    }
    let setup = mutual();
    let port = setup.address().port();
    let (https, http) = (
        format!("https://127.0.0.1:{port}/"),
        format!("http://127.0.0.1:{port}/"),
    );
    let client = ["--cert", "client.crt", "--key", "client.key"];
    for (version, shown) in [("--http1.1", "HTTP/1.1 200"), ("--http2", "HTTP/2 200")] {
        let text = curl(&setup, &[&client[..], &[version, &https]].concat());
        assert!(
            text.starts_with(shown) && text.ends_with("Hello, world!"),
            "{text}"
        );
    }
    let body = "x".repeat(100_000);
    std::fs::write(setup.proxy.folder().join("body"), &body).unwrap();
    let text = curl(
        &setup,
        &[
            &client[..],
            &["--data-binary", "@body", &format!("{https}echo")],
        ]
        .concat(),
    );
    assert!(text.ends_with(&body));
    let text = curl(&setup, &[&https]);
    assert!(text.contains("alert") && !text.contains("200"), "{text}");
    assert!(curl(&setup, &[&http]).contains("this port speaks TLS"));
}

/// Nothing that it finds is worse than medium, on a listener as it comes.
#[test]
fn testssl_finds_nothing_worse_than_medium() {
    let Some(testssl) = ["testssl", "testssl.sh"]
        .into_iter()
        .find(|name| is_there(name))
    else {
        return;
    };
    let setup = Setup::start("", |folder, ca| {
        std::fs::write(folder.join("ca.crt"), ca.pem()).unwrap();
        // What it would say of the certificate itself is the certificate's fault.
        let server = Wanted::server(&["localhost", "127.0.0.1"]).valid(-DAY, 90 * DAY);
        ca.sign(server.listed_at("http://crl.example/ca.crl"))
            .write(folder, "tls");
    });
    let mut child = Command::new(testssl)
        .args([
            "--quiet",
            "--color",
            "0",
            "--warnings",
            "off",
            "--nodns",
            "none",
            "--add-ca",
            "ca.crt",
        ])
        .args(["--jsonfile", "found.json", &setup.address().to_string()])
        .current_dir(setup.proxy.folder())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (pid, (done, ended)) = (child.id(), std::sync::mpsc::sync_channel::<()>(1));
    let guard = thread::spawn(move || {
        if ended.recv_timeout(SCAN).is_err() {
            let _ = Command::new("kill").arg(pid.to_string()).status();
        }
    });
    let mut text = String::new();
    std::io::Read::read_to_string(child.stdout.as_mut().unwrap(), &mut text).unwrap();
    child.wait().unwrap();
    let _ = done.send(());
    guard.join().unwrap();
    let found = std::fs::read_to_string(setup.proxy.folder().join("found.json"));
    let found: Vec<serde_json::Value> =
        serde_json::from_str(&found.unwrap_or_else(|error| panic!("{error}: {text}"))).unwrap();
    let is = |one: &&serde_json::Value, severities: &[&str]| {
        severities.iter().any(|it| one["severity"] == *it)
    };
    assert!(
        found.iter().filter(|one| is(one, &["OK"])).count() > 20,
        "it looked at something: {text}"
    );
    let bad: Vec<_> = found
        .iter()
        .filter(|one| is(one, &["HIGH", "CRITICAL", "FATAL"]))
        .collect();
    assert!(bad.is_empty(), "{bad:#?}");
    wait_for("the proxy to answer still", || {
        let answer = crate::support::tls::Client::new(&setup.ca).get(setup.address(), "/");
        answer
            .is_ok_and(|answer| answer.status == 200)
            .then_some(())
    });
}
