//! Limits that all pods share, against a real redis-server. Tests skip loudly where there is none.

use std::{
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{
    Proxy,
    live::free_port,
    pki::{Ca, Wanted},
    recording::Recording,
    redis::Redis,
    wait_for,
    wire::{App, Wire, header, status},
    with_servers,
};

/// A proxy with one limit `a` and the rest of the file.
fn proxy(app: &Recording, redis: u16, more: &str, limit: &str) -> Proxy {
    Proxy::start(&format!(
        "app: {{ port: {} }}\nlisteners: [{{ port: 0 }}]\nrateLimits:\n  a: {{ {limit}, store: redis }}\n\
         redis: {{ url: \"redis://127.0.0.1:{redis}\"{more} }}\ndefaults: {{ rateLimits: [a] }}\n",
        app.port()
    ))
}

/// A debug build on a busy machine may take its time.
const PATIENT: &str = ", timeout: 20s";

fn get(address: SocketAddr, fields: &str) -> String {
    Wire::connect(address)
        .ask(&format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}\r\n"))
        .0
}

fn ask(proxy: &Proxy, fields: &str) -> u16 {
    status(&get(proxy.inbound(), fields))
}

fn questions(proxy: &Proxy, result: &str) -> f64 {
    proxy.metric(&format!(
        r#"outrigger_redis_requests_total{{result="{result}"}}"#
    ))
}

#[test]
fn two_pods_with_one_redis_keep_one_limit() {
    let Some(redis) = Redis::start() else { return };
    let app = Recording::ok();
    let limit = "requests: 100, per: 1h, key: global";
    let pods = [
        proxy(&app, redis.port, PATIENT, limit),
        proxy(&app, redis.port, PATIENT, limit),
    ];
    let load = |address: SocketAddr| {
        thread::spawn(move || {
            let mut wire = Wire::connect(address);
            (0..80)
                .filter(|_| status(&wire.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").0) == 200)
                .count()
        })
    };
    let loads = [&pods[0], &pods[1], &pods[0], &pods[1]].map(|pod| load(pod.inbound()));
    let granted: usize = loads.into_iter().map(|load| load.join().unwrap()).sum();
    // To the request: the hour has given back none.
    assert_eq!((granted, app.messages().len()), (100, 100));
    assert_eq!(questions(&pods[0], "ok") + questions(&pods[1], "ok"), 320.0);
    let head = get(pods[0].inbound(), "");
    let seconds: u64 = header(&head, "retry-after").unwrap().parse().unwrap();
    assert!((1..=36).contains(&seconds), "{head}");
    let line = pods[0].logged(|line| line["status"] == 429);
    assert_eq!(
        (
            &line["flag"],
            &line["reason"],
            &line["rule"],
            &line["upstream"]
        ),
        (
            &json!("RL"),
            &json!("rate_limit.exceeded"),
            &json!("a"),
            &Value::Null
        )
    );
}

#[test]
fn each_key_has_a_bucket_that_says_nothing_of_it_and_goes_when_it_is_full() {
    let Some(redis) = Redis::start() else { return };
    let app = Recording::ok();
    let pod = proxy(
        &app,
        redis.port,
        PATIENT,
        "requests: 1, per: 1h, key: { header: x-tenant }",
    );
    let (a, b) = ("x-tenant: acme\r\n", "x-tenant: other\r\n");
    assert_eq!(
        [a, b, a, "", b, ""].map(|fields| ask(&pod, fields)),
        [200, 200, 429, 200, 429, 429]
    );
    let keys = redis.command("KEYS *");
    assert_eq!(
        keys.matches("outrigger:a:1/3600000/1:").count(),
        3,
        "{keys}"
    );
    assert!(!keys.contains("acme"), "{keys}");
    let key = keys
        .lines()
        .find(|line| line.starts_with("outrigger:"))
        .unwrap();
    let left: u64 = redis
        .command(&format!("PTTL {key}"))
        .trim()
        .trim_start_matches(':')
        .parse()
        .unwrap();
    assert!((1..=3_600_001).contains(&left), "{left}");
}

#[test]
fn tokens_come_back_from_redis() {
    let Some(redis) = Redis::start() else { return };
    let app = Recording::ok();
    let pod = proxy(
        &app,
        redis.port,
        PATIENT,
        "requests: 3, per: 1s, key: clientIP",
    );
    wait_for("a refusal", || (ask(&pod, "") == 429).then_some(()));
    wait_for("a token", || (ask(&pod, "") == 200).then_some(()));
}

#[test]
fn databases_and_scripts_that_redis_has_forgotten() {
    let Some(redis) = Redis::start() else { return };
    let app = Recording::ok();
    let yaml = format!(
        "app: {{ port: {} }}\nlisteners: [{{ port: 0 }}]\nrateLimits: {{ a: {{ requests: 3, per: 1h, key: global, store: redis }} }}\n\
         redis: {{ url: \"redis://localhost:{}/3\", timeout: 20s, onError: deny }}\ndefaults: {{ rateLimits: [a] }}\n",
        app.port(),
        redis.port
    );
    let pod = Proxy::start(&yaml);
    assert_eq!(ask(&pod, ""), 200);
    assert_eq!(
        redis.command("DBSIZE").trim(),
        ":0",
        "not in the first database"
    );
    assert!(redis.command("SCRIPT FLUSH").starts_with("+OK"));
    assert_eq!(
        [ask(&pod, ""), ask(&pod, ""), ask(&pod, "")],
        [200, 200, 429]
    );
    // A connection that redis closes is no failure: what is asked next goes over another.
    assert!(redis.command("CLIENT KILL TYPE normal").starts_with(':'));
    assert_eq!(ask(&pod, ""), 429);
    assert_eq!(questions(&pod, "ok"), 5.0);
}

#[test]
fn a_report_lets_through_and_never_denies() {
    let Some(redis) = Redis::start() else { return };
    let app = Recording::ok();
    let limit = "requests: 1, per: 1h, key: global, mode: report";
    let pod = proxy(&app, redis.port, ", timeout: 20s, onError: deny", limit);
    assert_eq!([ask(&pod, ""), ask(&pod, "")], [200, 200]);
    assert_eq!(
        pod.metric(r#"outrigger_would_deny_total{route="app",reason="rate_limit.exceeded"}"#),
        1.0
    );
    drop(redis);
    assert_eq!(ask(&pod, ""), 200);
}

/// The server is killed under load, and comes back: with `onError: allow` every request is answered.
#[test]
fn no_request_fails_while_redis_is_gone_and_the_limit_is_kept_again_when_it_is_back() {
    let Some(redis) = Redis::start() else { return };
    let app = Recording::ok();
    let pod = proxy(
        &app,
        redis.port,
        ", timeout: 500ms",
        "requests: 1, per: 1h, key: { header: x-tenant }",
    );
    let stop = Arc::new(AtomicBool::new(false));
    let loads: Vec<_> = (0..2)
        .map(|number| {
            let (address, stop) = (pod.inbound(), Arc::clone(&stop));
            thread::spawn(move || {
                let mut wire = Wire::connect(address);
                let (mut asked, mut failed) = (0, 0);
                while !stop.load(Relaxed) {
                    let fields = format!("x-tenant: {number}-{asked}\r\n");
                    let (head, _) = wire.ask(&format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}\r\n"));
                    asked += 1;
                    failed += usize::from(status(&head) != 200);
                }
                (asked, failed)
            })
        })
        .collect();
    wait_for("answers of redis", || {
        (questions(&pod, "ok") > 20.0).then_some(())
    });
    let port = redis.port;
    drop(redis);
    wait_for("an outage", || {
        (questions(&pod, "unavailable") > 20.0).then_some(())
    });
    let Some(_redis) = Redis::start_on(port) else {
        return;
    };
    let before = questions(&pod, "ok");
    wait_for("answers again", || {
        (questions(&pod, "ok") > before + 20.0).then_some(())
    });
    wait_for("the limit", || {
        (ask(&pod, "x-tenant: twice\r\n") == 429).then_some(())
    });
    stop.store(true, Relaxed);
    for load in loads {
        let (asked, failed) = load.join().unwrap();
        assert!(asked > 20, "{asked}");
        assert_eq!(failed, 0, "of {asked}");
    }
    // Each worker says so once, however many ask.
    let told = pod.stderr();
    for line in ["Redis is unavailable", "Redis is available again"] {
        let times = told.matches(line).count();
        assert!((1..=3).contains(&times), "{line}: {times} times in {told}");
    }
}

#[test]
fn on_error_deny_is_a_503_that_a_peer_may_try_elsewhere() {
    let app = Recording::ok();
    let pod = proxy(
        &app,
        free_port(),
        ", timeout: 500ms, onError: deny",
        "requests: 9, per: 1h, key: global",
    );
    let head = get(pod.inbound(), "");
    assert_eq!(
        (status(&head), header(&head, "retry-after")),
        (503, Some("1")),
        "{head}"
    );
    assert_eq!(header(&head, "x-outrigger-overloaded"), None);
    let line = pod.logged(|line| line["status"] == 503);
    assert_eq!(
        (&line["flag"], &line["reason"]),
        (&json!("RL"), &json!("rate_limit.unavailable"))
    );
    assert_eq!(app.messages().len(), 0);
}

/// Whatever answers in redis's place, or does not, costs a request its `timeout` at most.
#[test]
fn a_server_that_is_none_is_no_answer() {
    let app = Recording::ok();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endless = "x".repeat(100_000);
    let servers = [
        App::answering("HTTP/1.1 400 Bad Request\r\n\r\n"),
        App::answering("*1\r\n:1\r\n"),
        App::answering("-NOAUTH Authentication required.\r\n"),
        App::answering(":1\r\n:1\r\n:1\r\n"),
        App::answering(endless),
        App::answering("$5\r\nab\r\n"),
        App::start(|_, _| {}),
    ];
    let ports = servers
        .iter()
        .map(App::port)
        .chain([silent.local_addr().unwrap().port(), free_port()]);
    for port in ports {
        let pod = proxy(
            &app,
            port,
            ", timeout: 100ms",
            "requests: 1, per: 1h, key: global",
        );
        assert_eq!(
            [ask(&pod, ""), ask(&pod, ""), ask(&pod, "")],
            [200; 3],
            "port {port}"
        );
        assert_eq!(questions(&pod, "ok"), 0.0);
        let ended: f64 = ["failed", "timeout", "unavailable"]
            .map(|result| questions(&pod, result))
            .iter()
            .sum();
        assert_eq!(ended, 3.0);
    }
}

/// A server that stops in the middle of everything, with its connections open.
#[test]
fn a_server_that_hangs_is_given_up_and_found_again() {
    let Some(redis) = Redis::start() else { return };
    let app = Recording::ok();
    let pod = proxy(
        &app,
        redis.port,
        ", timeout: 50ms",
        "requests: 1, per: 1h, key: { header: x-tenant }",
    );
    wait_for("an answer of redis", || {
        ask(&pod, "");
        (questions(&pod, "ok") > 0.0).then_some(())
    });
    redis.signal("STOP");
    wait_for("the connection to be given up", || {
        assert_eq!(ask(&pod, ""), 200);
        (questions(&pod, "unavailable") > 0.0).then_some(())
    });
    redis.signal("CONT");
    let before = questions(&pod, "ok");
    wait_for("answers again", || {
        ask(&pod, "");
        thread::sleep(Duration::from_millis(20));
        (questions(&pod, "ok") > before).then_some(())
    });
}

/// A proxy with one limit of one request an hour, and this `redis` block, in a folder that is there.
fn limited_by(app: &Recording, folder: tempfile::TempDir, redis: &str) -> Proxy {
    let file = folder.path().join("outrigger.yaml");
    let yaml = format!(
        "app: {{ port: {} }}\nlisteners: [{{ port: 0 }}]\nrateLimits:\n  \
         a: {{ requests: 1, per: 1h, key: {{ header: x-tenant }}, store: redis }}\n\
         redis: {{ {redis}, timeout: 20s, onError: deny }}\ndefaults: {{ rateLimits: [a] }}\n",
        app.port()
    );
    std::fs::write(&file, with_servers(&yaml)).unwrap();
    Proxy::start_file(folder, &file)
}

#[test]
fn a_password_is_told_and_read_again_when_its_file_changes() {
    let Some(redis) = Redis::with_password("hunter2 first") else {
        return;
    };
    let (app, folder) = (Recording::ok(), tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("password"), "hunter2 first\n").unwrap();
    let url = format!(
        "url: \"redis://localhost:{}/3\", password: {{ file: password }}",
        redis.port
    );
    let proxy = limited_by(&app, folder, &url);
    assert_eq!(
        [
            ask(&proxy, "x-tenant: a\r\n"),
            ask(&proxy, "x-tenant: a\r\n")
        ],
        [200, 429]
    );
    // Another password, and connections with the old one are closed.
    let change = "AUTH \"hunter2 first\"\r\nCONFIG SET requirepass hunter2-second\r\nCLIENT KILL TYPE normal SKIPME yes";
    assert!(
        redis.command(change).starts_with("+OK"),
        "redis takes the change"
    );
    wait_for("a refusal", || {
        (ask(&proxy, "x-tenant: b\r\n") == 503).then_some(())
    });
    wait_for("the reason", || {
        proxy.stderr().contains("WRONGPASS").then_some(())
    });
    std::fs::write(proxy.folder().join("password"), "hunter2-second\n").unwrap();
    wait_for("the new password", || {
        (ask(&proxy, "x-tenant: c\r\n") == 200).then_some(())
    });
    for told in [
        proxy.stderr(),
        proxy.admin("GET", "/config").1,
        proxy.metrics(),
    ] {
        assert!(!told.contains("hunter2"), "{told}");
    }
}

#[test]
fn a_user_of_redis_is_told_with_the_password() {
    let Some(redis) = Redis::start() else { return };
    assert!(
        redis
            .command("ACL SETUSER limits on >word ~* +@all")
            .starts_with("+OK")
    );
    assert!(redis.command("ACL SETUSER default off").starts_with("+OK"));
    for (name, expected) in [("limits", 200), ("other", 503)] {
        let (app, folder) = (Recording::ok(), tempfile::tempdir().unwrap());
        std::fs::write(folder.path().join("password"), "word").unwrap();
        let keys = format!(
            "url: \"redis://127.0.0.1:{}\", username: {name}, password: {{ file: password }}",
            redis.port
        );
        assert_eq!(
            ask(&limited_by(&app, folder, &keys), ""),
            expected,
            "{name}"
        );
    }
}

#[test]
fn over_tls_redis_is_verified() {
    let (ca, other) = (Ca::new("redis"), Ca::new("other"));
    let servers = tempfile::tempdir().unwrap();
    ca.sign(Wanted::server(&["localhost"]))
        .write(servers.path(), "tls");
    std::fs::write(servers.path().join("ca.crt"), ca.pem()).unwrap();
    let Some(redis) = Redis::over_tls(servers.path()) else {
        return;
    };
    for (authority, expected) in [(&ca, [200, 429]), (&other, [503, 503])] {
        let (app, folder) = (Recording::ok(), tempfile::tempdir().unwrap());
        std::fs::write(folder.path().join("ca.crt"), authority.pem()).unwrap();
        let url = format!(
            "url: \"rediss://localhost:{}\", tls: {{ caFiles: [ca.crt] }}",
            redis.port
        );
        let proxy = limited_by(&app, folder, &url);
        assert_eq!([ask(&proxy, ""), ask(&proxy, "")], expected);
        if expected == [503, 503] {
            wait_for("the reason", || {
                proxy
                    .stderr()
                    .contains("TLS failed: unknown_ca")
                    .then_some(())
            });
        }
    }
}
