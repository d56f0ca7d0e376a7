//! Names, by the system's own settings: the proxy sees another `/etc/resolv.conf`, in a mount namespace of its own.
//! What a server may answer stands beside the code (`transport/src/dns/tests.rs`).

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    process::Command,
};

use super::{GET, yaml};
use crate::support::{
    Proxy, command,
    dns::{Dns, Reply},
    keys::KeyServer,
    origin,
    tokens::{ISSUER, jwks, signer},
    wait_for,
    wire::{Wire, status},
    with_servers,
};

/// Whether this user may have a mount namespace and port 53; it is said when not.
fn server() -> Option<Dns> {
    let unshared = Command::new("unshare").args(["-rm", "true"]).output();
    if !unshared.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: unshare -rm is not permitted or not installed");
        return None;
    }
    // Loopback has many addresses; another test may have some.
    for _ in 0..20 {
        let address = Ipv4Addr::new(
            127,
            fastrand::u8(1..),
            fastrand::u8(..),
            fastrand::u8(1..255),
        );
        match Dns::at(SocketAddr::from((address, 53))) {
            Ok(dns) => return Some(dns),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {}
            Err(error) => {
                eprintln!("SKIPPED: port 53 of loopback cannot be bound: {error}");
                return None;
            }
        }
    }
    eprintln!("SKIPPED: no loopback address has port 53 free");
    None
}

/// A proxy that asks this server, and gives up soon.
fn start(dns: &Dns, upstream: &str) -> Proxy {
    start_with(
        dns,
        "search prod.example\noptions timeout:1 attempts:1\n",
        upstream,
    )
}

/// The same with these settings.
fn start_with(dns: &Dns, settings: &str, upstream: &str) -> Proxy {
    let folder = tempfile::tempdir().unwrap();
    let (file, conf) = (
        folder.path().join("outrigger.yaml"),
        folder.path().join("resolv.conf"),
    );
    std::fs::write(&file, with_servers(&yaml(upstream))).unwrap();
    std::fs::write(
        &conf,
        format!("nameserver {}\n{settings}", dns.address.ip()),
    )
    .unwrap();
    let plain = command();
    let mut inside = Command::new("unshare");
    inside
        .args([
            "-rm",
            "sh",
            "-c",
            "mount --bind \"$1\" /etc/resolv.conf && shift && exec \"$@\"",
            "sh",
        ])
        .arg(&conf)
        .arg(plain.get_program())
        .args(["run", "-c"])
        .arg(&file)
        .env_remove("OUTRIGGER_CONFIG")
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    Proxy::spawn(folder, &mut inside)
}

fn endpoint_of_next(proxy: &Proxy, path: &str) -> (u16, String) {
    let (head, _) =
        Wire::connect(proxy.address("out")).ask(&GET.replace(" / ", &format!(" {path} ")));
    let line = proxy.logged(|line| line["path"] == path);
    (
        status(&head),
        line["endpoint"].as_str().unwrap_or_default().to_owned(),
    )
}

#[test]
fn a_host_name_is_asked_for_where_resolv_conf_says() {
    let Some(dns) = server() else { return };
    let origin = origin();
    dns.set(
        "pay.prod.example",
        Reply::Addresses(0, vec![Ipv4Addr::LOCALHOST.into()]),
    );
    let port = origin.address().port();
    let proxy = start(
        &dns,
        &format!("    endpoints: [{{ url: \"http://pay:{port}\" }}]\n"),
    );
    assert_eq!(endpoint_of_next(&proxy, "/"), (200, format!("pay:{port}")));
    assert!(proxy.metric(r#"outrigger_dns_lookups_total{upstream="u",result="ok"}"#) >= 1.0);
    let told = || proxy.status()["upstreams"]["u"]["endpoints"][0]["dns"].clone();
    assert_eq!(
        told()["addresses"],
        serde_json::json!([format!("127.0.0.1:{port}")])
    );
    assert_eq!(told()["ttlSeconds"], 1.0, "of 0");
    assert!(
        told()["lastSuccessAgeSeconds"].as_f64().is_some() && told().get("failure").is_none(),
        "{}",
        told()
    );
    // The server fails; requests still succeed.
    dns.set("pay.prod.example", Reply::Error(2));
    wait_for("the failure to be told", || {
        told().get("failure").is_some().then_some(())
    });
    assert_eq!(
        told()["addresses"],
        serde_json::json!([format!("127.0.0.1:{port}")])
    );
    wait_for("a lookup that fails", || {
        // The name alone, which is tried last, does not exist.
        let count = |result: &str| {
            format!(r#"outrigger_dns_lookups_total{{upstream="u",result="{result}"}}"#)
        };
        (proxy.metric(&count("failed")) + proxy.metric(&count("not_found")) >= 1.0).then_some(())
    });
    assert_eq!(
        endpoint_of_next(&proxy, "/again").0,
        404,
        "the origin's own answer"
    );
}

#[test]
fn endpoints_of_a_name_come_and_go_with_its_answer() {
    let Some(dns) = server() else { return };
    let origin = origin();
    let port = origin.address().port();
    let proxy = start(
        &dns,
        &format!("    dns: {{ name: search.example., port: {port} }}\n"),
    );
    assert_eq!(
        endpoint_of_next(&proxy, "/a"),
        (503, String::new()),
        "nothing is known yet"
    );
    assert_eq!(
        proxy.logged(|line| line["path"] == "/a")["detail"],
        "DNS has returned no endpoint yet"
    );
    dns.set(
        "search.example",
        Reply::Addresses(0, vec![Ipv4Addr::LOCALHOST.into()]),
    );
    let mut number = 0;
    wait_for("the endpoint", || {
        number += 1;
        let (status, endpoint) = endpoint_of_next(&proxy, &format!("/bytes/{number}"));
        (status == 200).then(|| assert_eq!(endpoint, format!("127.0.0.1:{port}")))
    });
    // Another address, without a listener.
    dns.set(
        "search.example",
        Reply::Addresses(0, vec![Ipv4Addr::new(127, 0, 0, 9).into()]),
    );
    wait_for("the other place", || {
        number += 1;
        let (_, endpoint) = endpoint_of_next(&proxy, &format!("/bytes/{number}"));
        (endpoint == format!("127.0.0.9:{port}")).then_some(())
    });
    let told = &proxy.status()["upstreams"]["u"];
    assert_eq!(
        (&told["dns"]["name"], &told["dns"]["type"]),
        (&"search.example.".into(), &"A".into())
    );
    assert_eq!(
        told["endpoints"][0]["endpoint"],
        format!("127.0.0.9:{port}")
    );
}

/// With the resolver's own patience of 5 s for each of three tries.
#[test]
fn a_server_that_never_responds_for_ipv6_causes_no_delay() {
    let Some(dns) = server() else { return };
    let origin = origin();
    let port = origin.address().port();
    let answered = || Reply::Addresses(60, vec![Ipv4Addr::LOCALHOST.into()]);
    dns.set(
        "pay.prod.example",
        Reply::per_family(answered(), Reply::Silence),
    );
    for upstream in [
        format!("endpoints: [{{ url: \"http://pay:{port}\" }}]"),
        format!("dns: {{ name: pay, port: {port} }}"),
    ] {
        let asked = dns.asked().len();
        let proxy = start_with(&dns, "search prod.example\n", &format!("    {upstream}\n"));
        wait_for("the first answer", || {
            let (status, _) = endpoint_of_next(&proxy, "/");
            assert!(status == 200 || status == 503, "{status}");
            (status == 200).then_some(())
        });
        // Repetitions of the one question, not a lookup after the other.
        assert!(
            dns.asked().len() - asked < 20,
            "{:?}",
            &dns.asked()[asked..]
        );
    }
}

#[test]
fn traffic_does_not_move_to_ipv6_while_the_answer_for_ipv4_fails() {
    let Some(dns) = server() else { return };
    let origin = origin();
    let port = origin.address().port();
    let v6 = || Reply::Addresses(0, vec![Ipv6Addr::LOCALHOST.into()]);
    let v4 = || Reply::Addresses(0, vec![Ipv4Addr::LOCALHOST.into()]);
    for failure in [Reply::Error(2), Reply::Error(5), Reply::Silence] {
        dns.set("pay.example", Reply::per_family(v4(), v6()));
        let proxy = start(
            &dns,
            &format!("    dns: {{ name: pay.example., port: {port} }}\n"),
        );
        let place = (200, format!("127.0.0.1:{port}"));
        assert_eq!(endpoint_of_next(&proxy, "/bytes/1"), place);
        dns.set("pay.example", Reply::per_family(failure.clone(), v6()));
        let told = || {
            proxy.status()["upstreams"]["u"]["dns"]["failure"]
                .as_str()
                .map(str::to_owned)
        };
        let failed = wait_for("the failure to be told", told);
        assert!(failed.starts_with("A records: "), "{failed}");
        assert_eq!(endpoint_of_next(&proxy, "/bytes/2"), place, "{failure:?}");
    }
}

#[test]
fn the_host_of_a_key_set_is_looked_up_in_the_same_way() {
    let Some(dns) = server() else { return };
    dns.set(
        "keys.prod.example",
        Reply::Addresses(0, vec![Ipv4Addr::LOCALHOST.into()]),
    );
    let keys = KeyServer::plain(jwks(&[signer()]));
    let port = keys.address.port();
    // The first address of the name does not respond; the next one is tried.
    dns.set(
        "keys.prod.example",
        Reply::Addresses(
            0,
            vec![
                Ipv4Addr::new(127, 0, 0, 9).into(),
                Ipv4Addr::LOCALHOST.into(),
            ],
        ),
    );
    let origin = origin();
    let proxy = start(
        &dns,
        &format!(
            "    endpoints: [{{ url: \"{}\" }}]\njwtProviders:\n  corp: {{ issuer: {ISSUER}, audiences: [orders-api], \
             jwks: {{ url: \"http://keys:{port}/set\", allowInsecure: true, timeout: 5s }} }}\n",
            origin.url("").trim_end_matches('/')
        ),
    );
    wait_for("the keys", || {
        (proxy.metric(r#"outrigger_jwks_keys{provider="corp"}"#) > 0.5).then_some(())
    });
    assert_eq!(keys.requests(), 1);
}
