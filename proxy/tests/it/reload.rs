//! R1 to R7 of `docs/operations.md`, `docs/security.md` 23.

use std::{
    net::{TcpListener, TcpStream},
    time::Duration,
};

use outrigger_loadtest::load::{self, Plan, Protocol};

use crate::support::{
    PATIENCE, Proxy, get,
    live::{KeepAlive, free_port, steady, stop, swap_config_map},
    origin, wait_for, with_servers,
};

/// Far over what a reload takes, far under what a person would wait.
const QUICK: &str = "reload: { debounce: 5ms }\n";

/// No reload but one that is asked for.
const ASKED: &str = "reload: { watch: false, poll: 0s }\n";

/// A listener `in` and a route whose answer is `text`, in front of an app.
fn saying(app: u16, text: &str, rest: &str) -> String {
    format!(
        "app: {{ port: {app} }}\nlisteners: [{{ name: in, port: 0 }}]\nroutes:\n  - {{ name: app }}\n  \
         - name: said\n    matches: [{{ path: /said }}]\n    directResponse: {{ status: 200, body: \"{text}\" }}\n{rest}"
    )
}

fn says(proxy: &Proxy, text: &str) -> bool {
    get(proxy.address("in"), "/said").1 == text
}

fn wait_says(proxy: &Proxy, text: &str) {
    wait_for(text, || says(proxy, text).then_some(()));
}

#[test]
fn a_thousand_reloads_under_load_fail_no_request_and_keep_memory_flat() {
    const ROUNDS: usize = 1000;
    let origin = origin();
    let app = origin.address().port();
    let text = |round: usize| with_servers(&saying(app, &format!("round {round}"), QUICK));
    let folder = tempfile::tempdir().unwrap();
    swap_config_map(folder.path(), 0, &text(0));
    let file = folder.path().join("outrigger.yaml");
    let proxy = Proxy::start_file(folder, &file);
    let loads = [
        steady(proxy.url("in", "/bytes/100"), Protocol::Http1, 100.0),
        steady(
            proxy.url("in", "/bytes/100"),
            Protocol::Http2 { streams: 2 },
            100.0,
        ),
    ];
    let mut client = KeepAlive::new(proxy.address("in"));
    let failures = || proxy.metric(r#"outrigger_config_reloads_total{result="failed"}"#);
    let mut early = 0;
    for round in 1..=ROUNDS {
        match round % 3 {
            0 => {
                let before = failures();
                std::fs::write(&file, format!("app: {{ port: {round}x }}\n")).unwrap();
                wait_for("a refused reload", || (failures() > before).then_some(()));
                assert_eq!(client.get("/said").status, 200);
                continue;
            }
            1 => std::fs::write(&file, text(round)).unwrap(),
            _ => swap_config_map(proxy.folder(), round, &text(round)),
        }
        let wanted = format!("round {round}");
        wait_for("a reload", || {
            (client.get("/said").body == wanted).then_some(())
        });
        if round < 100 {
            early = proxy.rss_kib();
        }
    }
    wait_for("the metric", || {
        (proxy.metric("outrigger_config_last_reload_successful") == 1.0).then_some(())
    });
    let late = proxy.rss_kib();
    for report in loads.map(stop) {
        assert!(report.is_clean(), "{:#}", report.to_json());
    }
    assert!(late < early + 6 * 1024, "{early} KiB became {late} KiB");
    let connections = origin.stats().connections;
    assert!(
        connections < 40,
        "{connections} connections to an app that never changed"
    );
    assert_eq!(proxy.metric("outrigger_panics_total"), 0.0);
}

#[test]
fn a_bad_file_keeps_the_old_one_and_says_where_in_log_metric_and_admin() {
    let origin = origin();
    let app = origin.address().port();
    let proxy = Proxy::start(&saying(app, "old", QUICK));
    proxy.write_config("app: { port: 8080 }\nroutes: [{ nam: x }]\n");
    let place = "outrigger.yaml:2:12";
    wait_for("the refusal", || {
        proxy.stderr().contains(place).then_some(())
    });
    proxy.wait_stderr("did you mean `name`?");
    wait_for("the metric", || {
        (proxy.metric("outrigger_config_last_reload_successful") == 0.0).then_some(())
    });
    let status = proxy.status();
    assert_eq!(status["config"]["lastReloadSuccessful"], false);
    assert!(
        status["config"]["lastError"]
            .as_str()
            .unwrap()
            .contains(place),
        "{status}"
    );
    assert!(says(&proxy, "old"));
    assert_eq!(get(proxy.address("status"), "/readyz").0, 200);
    for (broken, told) in [
        ("", "the file is empty"),
        ("app: {", "unclosed bracket"),
        ("[]", "found a list"),
        ("\u{0}", "control character"),
    ] {
        proxy.write_config_as_is(broken);
        wait_for(told, || {
            let error = proxy.status()["config"]["lastError"].clone();
            error
                .as_str()
                .is_some_and(|error| error.contains(told))
                .then_some(())
        });
        assert!(says(&proxy, "old"), "{told}");
    }
    proxy.write_config(&saying(app, "new", QUICK));
    wait_says(&proxy, "new");
    wait_for("the metric", || {
        (proxy.metric("outrigger_config_last_reload_successful") == 1.0).then_some(())
    });
    assert_eq!(
        proxy.status()["config"]["lastError"],
        serde_json::Value::Null
    );
}

#[test]
fn a_reload_can_be_asked_for_by_sighup_and_by_admin() {
    let origin = origin();
    let app = origin.address().port();
    let (proxy, control) = (
        Proxy::start(&saying(app, "one", ASKED)),
        Proxy::start(&saying(app, "one", QUICK)),
    );
    for one in [&proxy, &control] {
        one.write_config(&saying(app, "two", ASKED));
    }
    wait_says(&control, "two");
    assert!(
        says(&proxy, "one"),
        "neither watched nor polled, and yet reloaded"
    );
    assert_eq!(proxy.generation(), 1);
    proxy.signal("HUP");
    wait_says(&proxy, "two");
    proxy.write_config(&saying(app, "three", ASKED));
    let (status, text) = proxy.admin("POST", "/reload");
    assert_eq!((status, text.as_str()), (200, "generation 3\n"));
    assert!(says(&proxy, "three"));
    proxy.write_config("app: { port: 8080 }\nlisteners: [{ prot: 1 }]\n");
    let (status, text) = proxy.admin("POST", "/reload");
    assert_eq!(status, 422, "{text}");
    assert!(
        text.contains("outrigger.yaml:2:15") && text.contains("listeners: [{ prot: 1 }]"),
        "{text}"
    );
    assert!(says(&proxy, "three"));
    assert_eq!(proxy.generation(), 3);
    std::fs::remove_file(proxy.config_file()).unwrap();
    let (status, text) = proxy.admin("POST", "/reload");
    assert_eq!(status, 422);
    assert!(text.contains("no such file"), "{text}");
    assert_eq!(proxy.admin("GET", "/reload").0, 405);
}

#[test]
fn rename_over_in_place_edits_and_a_file_that_was_gone_are_noticed() {
    let origin = origin();
    let app = origin.address().port();
    let rest = "reload: { debounce: 5ms, poll: 0s }\n";
    let proxy = Proxy::start(&saying(app, "one", rest));
    for round in 0..5 {
        let text = format!("renamed {round}");
        proxy.rename_over(&saying(app, &text, rest));
        wait_says(&proxy, &text);
        let text = format!("edited {round}");
        proxy.write_config(&saying(app, &text, rest));
        wait_says(&proxy, &text);
        std::fs::remove_file(proxy.config_file()).unwrap();
        wait_for("the loss to be told", || {
            (proxy.metric("outrigger_config_last_reload_successful") == 0.0).then_some(())
        });
        assert!(says(&proxy, &text));
        let text = format!("back {round}");
        proxy.write_config(&saying(app, &text, rest));
        wait_says(&proxy, &text);
    }
}

#[test]
fn polling_alone_notices_a_change() {
    let origin = origin();
    let app = origin.address().port();
    let rest = "reload: { watch: false, poll: 50ms }\n";
    let proxy = Proxy::start(&saying(app, "one", rest));
    proxy.write_config(&saying(app, "two", rest));
    wait_says(&proxy, "two");
    // And back to watching, by the reload itself.
    proxy.write_config(&saying(
        app,
        "three",
        "reload: { debounce: 5ms, poll: 0s }\n",
    ));
    wait_says(&proxy, "three");
    proxy.write_config(&saying(app, "four", QUICK));
    wait_says(&proxy, "four");
}

/// A key and its certificate in one PEM text.
fn bundle() -> String {
    let made = rcgen::generate_simple_self_signed(["a.example.com".to_owned()]).unwrap();
    made.signing_key.serialize_pem() + &made.cert.pem()
}

/// R7. Watched only: there is no poll that could notice it too.
#[test]
fn a_file_that_the_configuration_names_is_watched_even_when_it_was_refused_for_it() {
    let origin = origin();
    let app = origin.address().port();
    let rest = "reload: { debounce: 5ms, poll: 0s }\n";
    let proxy = Proxy::start(&saying(app, "one", rest));
    let tls = ", { name: tls, port: 0, tls: { bundleFile: certs/bundle.pem } }]";
    proxy.write_config(&saying(app, "two", rest).replacen(']', tls, 1));
    wait_for("the refusal", || {
        proxy.stderr().contains("certs/bundle.pem").then_some(())
    });
    wait_for("the metric", || {
        (proxy.metric("outrigger_config_last_reload_successful") == 0.0).then_some(())
    });
    assert!(says(&proxy, "one"));

    let certs = proxy.folder().join("certs");
    std::fs::create_dir(&certs).unwrap();
    std::fs::write(certs.join("bundle.pem"), bundle()).unwrap();
    wait_says(&proxy, "two");
    let generation = || proxy.metric("outrigger_config_generation");
    let before = generation();
    std::fs::write(certs.join("new"), bundle()).unwrap();
    std::fs::rename(certs.join("new"), certs.join("bundle.pem")).unwrap();
    wait_for("the new certificate", || {
        (generation() > before).then_some(())
    });

    let before = generation();
    std::fs::remove_file(certs.join("bundle.pem")).unwrap();
    wait_for("the loss to be told", || {
        (proxy.metric("outrigger_config_last_reload_successful") == 0.0).then_some(())
    });
    assert!(says(&proxy, "two"));
    std::fs::write(certs.join("bundle.pem"), bundle()).unwrap();
    wait_for("its return", || (generation() > before).then_some(()));
    assert!(says(&proxy, "two"));
}

#[test]
fn a_change_during_a_drain_is_not_forgotten() {
    let origin = origin();
    let app = origin.address().port();
    let rest = "reload: { debounce: 300ms, poll: 0s }\nlifecycle: { shutdownDelay: 0s, drainTimeout: 20s }\n";
    let proxy = Proxy::start(&saying(app, "one", rest));
    let mut slow = KeepAlive::new(proxy.address("in"));
    slow.begin("/drip/100/100"); // keeps the drain looking every 50 ms
    slow.head();
    assert_eq!(proxy.admin("POST", "/drain").0, 202);
    proxy.write_config(&saying(app, "two", rest));
    wait_says(&proxy, "two");
    assert_eq!(proxy.status()["phase"], "draining");
}

#[test]
fn listeners_come_and_go_and_port_0_keeps_its_port() {
    let origin = origin();
    let yaml = |listeners: &str| {
        format!(
            "app: {{ port: {} }}\nlisteners: [{listeners}]\n{ASKED}",
            origin.address().port()
        )
    };
    let proxy = Proxy::start(&yaml("{ name: a, port: 0 }"));
    let a = proxy.address("a");
    proxy.reload_with(&yaml("{ name: a, port: 0 }, { name: b, port: 0 }"));
    let b = proxy.address_now("b").unwrap();
    assert_ne!(a, b);
    assert_eq!(proxy.address_now("a"), Some(a));
    assert_eq!((get(a, "/").0, get(b, "/").0), (200, 200));
    proxy.wait_stderr(&format!("name=b address=[::]:{}", b.port()));
    // Limits of a listener that stays apply at once, without a new socket.
    proxy.reload_with(&yaml(
        "{ name: a, port: 0, limits: { targetBytes: 64B } }, { name: b, port: 0 }",
    ));
    assert_eq!(get(a, &"/x".repeat(40)).0, 414);
    let mut kept = KeepAlive::new(b);
    assert_eq!(kept.get("/").status, 200);
    proxy.reload_with(&yaml("{ name: a, port: 0 }"));
    assert!(kept.closes(), "an idle connection of a removed listener");
    assert_eq!(proxy.address_now("b"), None);
    wait_for("the socket to close", || {
        TcpStream::connect(b).is_err().then_some(())
    });
    assert_eq!(get(a, "/").0, 200);
}

#[test]
fn a_renamed_listener_keeps_its_socket_and_loses_no_connection() {
    let origin = origin();
    let yaml = |name: &str, rest: &str| {
        let app = origin.address().port();
        format!("app: {{ port: {app} }}\nlisteners: [{{ name: {name}, port: 0 }}{rest}]\n{ASKED}")
    };
    let proxy = Proxy::start(&yaml("a", ""));
    let address = proxy.address("a");
    let mut plan = Plan::new(proxy.url("a", "/"));
    (plan.connections, plan.connection_per_request, plan.timeout) = (4, true, PATIENCE);
    plan.rate = Some(300.0);
    plan.duration = Some(Duration::from_secs(600));
    let load = load::start(plan).unwrap();
    for round in 0..60 {
        let name = ["b", "c"][round % 2];
        let before = load.progress().ended;
        proxy.reload_with(&yaml(name, ""));
        assert_eq!(proxy.address_now(name), Some(address));
        wait_for("load", || {
            (load.progress().ended > before + 3).then_some(())
        });
    }
    let report = stop(load);
    assert!(report.is_clean(), "{:#}", report.to_json());
    // The same port, named: no longer port 0, but the same socket address of our own.
    proxy.reload_with(&format!(
        "app: {{ port: {} }}\nlisteners: [{{ name: d, address: \"127.0.0.1:{}\" }}]\n{ASKED}",
        origin.address().port(),
        address.port()
    ));
    assert_eq!(get(address, "/").0, 200);
}

#[test]
fn a_new_listener_whose_port_is_taken_refuses_the_whole_reload() {
    let origin = origin();
    let app = origin.address().port();
    let proxy = Proxy::start(&saying(app, "old", ASKED));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let (free, port) = (free_port(), taken.local_addr().unwrap().port());
    let wanted = saying(app, "new", ASKED).replace(
        "{ name: in, port: 0 }",
        &format!(
            "{{ name: in, port: 0 }}, {{ name: fine, address: \"127.0.0.1:{free}\" }}, \
             {{ name: bad, address: \"127.0.0.1:{port}\" }}"
        ),
    );
    proxy.write_config(&wanted);
    let (status, text) = proxy.admin("POST", "/reload");
    assert_eq!(status, 422);
    assert!(text.contains(&format!("127.0.0.1:{port} (bad)")), "{text}");
    assert!(says(&proxy, "old"));
    assert!(
        TcpStream::connect(("127.0.0.1", free)).is_err(),
        "half of the reload was applied"
    );
    assert_eq!(proxy.metric("outrigger_config_last_reload_successful"), 0.0);
    drop(taken);
    proxy.reload();
    assert!(says(&proxy, "new"));
    assert_eq!(get(proxy.address_now("fine").unwrap(), "/").0, 200);
    assert_eq!(get(proxy.address_now("bad").unwrap(), "/").0, 200);
}

#[test]
fn requests_and_tunnels_in_flight_finish_on_their_own_snapshot() {
    let origin = origin();
    let app = origin.address().port();
    let proxy = Proxy::start(&saying(app, "one", ASKED));
    let address = proxy.address("in");
    let (mut drip, mut socket) = (KeepAlive::new(address), KeepAlive::new(address));
    drip.begin("/drip/10/100");
    assert!(socket.upgrade("/ws").starts_with("http/1.1 101"));
    socket.echo("before");
    // Another app, another route for everything.
    proxy.reload_with(&format!(
        "app: {{ port: {} }}\nlisteners: [{{ name: in, port: 0 }}]\nroutes:\n  - name: all\n    \
         directResponse: {{ status: 418 }}\n{ASKED}",
        free_port()
    ));
    assert_eq!(get(address, "/").0, 418);
    socket.echo("after");
    // And without their listener.
    proxy.reload_with(&format!(
        "app: {{ port: {app} }}\nlisteners: [{{ name: other, port: 0 }}]\n{ASKED}"
    ));
    socket.echo("still");
    let answer = drip.answer();
    assert_eq!(
        (answer.status, answer.body.lines().count()),
        (200, 10),
        "{answer:?}"
    );
    socket.echo("last");
}

#[test]
fn pools_of_unchanged_upstreams_are_kept_and_changed_ones_retired() {
    let origin = origin();
    let yaml = |text: &str, idle: &str| {
        format!(
            "workers: 1\nlisteners: [{{ name: in, port: 0 }}]\nupstreams:\n  up:\n    endpoints: [{{ url: \"http://{}\" }}]\n    \
             connections: {{ idleTimeout: {idle} }}\nroutes:\n  - {{ name: up, backendRefs: [up] }}\n  - name: said\n    \
             matches: [{{ path: /said }}]\n    directResponse: {{ status: 200, body: {text} }}\n{ASKED}",
            origin.address()
        )
    };
    let proxy = Proxy::start(&yaml("one", "60s"));
    let mut client = KeepAlive::new(proxy.address("in"));
    for round in ["a", "b", "c"] {
        assert_eq!(client.get("/").status, 200);
        proxy.reload_with(&yaml(round, "60s"));
    }
    assert_eq!(client.get("/").status, 200);
    assert_eq!(
        origin.stats().connections,
        1,
        "an unchanged upstream keeps its pool"
    );
    proxy.reload_with(&yaml("d", "50s"));
    wait_for("the old pool to close", || {
        (origin.stats().open_connections == 0).then_some(())
    });
    assert_eq!(client.get("/").status, 200);
    assert_eq!(origin.stats().connections, 2);
}

#[test]
fn keys_that_need_a_restart_are_told_as_pending_until_they_are_taken_back() {
    let origin = origin();
    let app = origin.address().port();
    let yaml = |rest: &str| {
        format!("app: {{ port: {app} }}\nlisteners: [{{ name: in, port: 0 }}]\n{ASKED}{rest}")
    };
    let proxy = Proxy::start(&yaml("workers: 1\n"));
    let pending = || proxy.status()["config"]["pendingRestart"].clone();
    assert_eq!(pending(), serde_json::json!([]));
    proxy.reload_with(&yaml("workers: 2\nstatus: off\nadmin: off\n"));
    assert_eq!(pending(), serde_json::json!(["workers", "status", "admin"]));
    proxy.wait_stderr("need a restart: workers, status, admin");
    assert_eq!(get(proxy.address("status"), "/livez").0, 200);
    proxy.reload_with(&yaml("workers: 1\n"));
    assert_eq!(pending(), serde_json::json!([]));
}
