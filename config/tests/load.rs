//! Loading a file: accepted forms, and clear messages for unreadable files.

// Helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

mod certificates;
mod sample;

use std::{fs, path::Path, time::Duration};

use outrigger_config::{
    LoadError, Loaded, default_config, effective_yaml, load_path, load_str,
    model::{Action, AppAddress, EndpointAddress, PathMatch, PathRewrite, Protocol, Workers},
};
use sample::folder;

const FULL: &str = include_str!("full.yaml");

fn unset(_: &str) -> Option<String> {
    None
}

fn load(text: &str) -> Loaded {
    load_as(Path::new("test.yaml"), text)
}

fn load_as(name: &Path, text: &str) -> Loaded {
    load_str(&name.display().to_string(), text, &unset)
        .unwrap_or_else(|error| panic!("{}", error.render(false)))
}

fn code(error: &LoadError) -> (&'static str, String) {
    let problems = error.problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
    (problems[0].code, problems[0].message.clone())
}

#[test]
fn the_whole_vocabulary_of_this_version_loads_without_a_warning() {
    let folder = folder();
    let loaded = load_as(&folder.path().join("a.yaml"), FULL);
    assert_eq!(loaded.warnings, []);
    let config = loaded.config;
    assert_eq!(
        config
            .upstreams
            .iter()
            .map(|u| &*u.name)
            .collect::<Vec<_>>(),
        ["app", "payments", "ledger", "canary", "search", "spread"]
    );
    assert_eq!(config.upstreams[4].protocol, Protocol::H2c);
    let ledger = &config.upstreams[2];
    assert_eq!(
        ledger.host(&ledger.endpoints[1]),
        "ledger.example.com",
        "as it is compared"
    );
    assert_eq!(ledger.tls.as_ref().unwrap().subject_alt_names.len(), 4);
    let orders = config
        .routes
        .iter()
        .find(|route| &*route.name == "orders")
        .unwrap();
    assert_eq!(orders.timeouts.request, Some(Duration::from_secs(15)));
    assert_eq!(
        orders.timeouts.backend_request,
        Some(Duration::from_secs(5))
    );
    assert_eq!(
        orders.url_rewrite.path,
        Some(PathRewrite::ReplacePrefixMatch("/orders".into()))
    );
    let pay = config
        .routes
        .iter()
        .find(|route| &*route.name == "pay-out")
        .unwrap();
    assert_eq!(&*config.listener(pay.listeners[0]).name, "egress");
    assert_eq!(pay.timeouts.stream_idle, Some(Duration::from_secs(300)));
    assert_eq!(pay.timeouts.upgrade_idle, Some(Duration::from_secs(3600)));
}

#[test]
fn the_access_log_is_switched_off_by_off_as_the_servers_are() {
    let load =
        |text: &str| load_str("test.yaml", text, &unset).map(|loaded| loaded.config.telemetry);
    let off = load("app: { port: 8080 }\ntelemetry: { accessLog: off }\n").unwrap();
    let none =
        load("app: { port: 8080 }\ntelemetry: { accessLog: { samplePercent: 0 } }\n").unwrap();
    assert_eq!(off, none);
}

#[test]
fn the_effective_configuration_loads_again_to_an_equal_one() {
    let small = [
        "app: { port: 8080 }",
        "app: { socket: run/app.sock }",
        "app: { port: 80, host: ::1 }\nstatus: off",
    ];
    let odd = "app: { port: 8080, readiness: { path: \"/a?b=$${c}\" } }\n\
        routes:\n  - name: a\n    matches: [{ path: { regex: '/\\d+: #\"''x' }, headers: { x-b: \"off\", x-a: \"2\" } }]\n    \
        responseHeaders: { set: { z: \"$${env:HOME}\", a: \"1\" }, add: { b: \"\" } }\n    \
        directResponse: { status: 200, body: \"line\\n  two: [\\t\" }\n";
    let folder = folder();
    for text in small.into_iter().chain([FULL, odd]) {
        let config = load_as(&folder.path().join("a.yaml"), text).config;
        let yaml = effective_yaml(&config);
        let again = load_str("test.yaml", &yaml, &unset)
            .unwrap_or_else(|error| panic!("{yaml}\n{}", error.render(false)));
        assert!(
            !yaml.contains("PRIVATE") && !yaml.contains("BEGIN"),
            "{yaml}"
        );
        // Paths that were relative to the file are absolute now.
        assert_eq!(again.config, config, "{yaml}");
        assert_eq!(again.warnings, [], "{yaml}");
    }
}

#[test]
fn no_file_is_port_8000_to_an_app_on_8080() {
    let config = default_config();
    assert_eq!(config, load("app: { port: 8080 }").config);
    assert_eq!(config.workers, Workers::Auto);
    assert_eq!(
        (
            &*config.listeners[0].name,
            config.listeners[0].address.socket.port()
        ),
        ("in-8000", 8000)
    );
    assert!(config.listeners[0].address.dual_stack);
    assert_eq!(&*config.routes[0].name, "app");
    assert_eq!(
        config.upstreams[0].connections.idle_timeout,
        Duration::from_secs(3)
    );
}

#[test]
fn defaults_are_overridden_key_by_key_and_lists_whole() {
    let config = load(
        "app: { port: 8080 }\n\
         defaults:\n  timeouts: { request: 20s, backendRequest: 2s }\n  \
           requestHeaders: { set: { x-a: a, x-b: b }, remove: [x-c, x-d] }\n\
         routes:\n  - name: a\n    timeouts: { backendRequest: 0s }\n    requestHeaders: { set: { x-e: e }, add: { x-f: f } }\n",
    )
    .config;
    let route = &config.routes[0];
    assert_eq!(route.timeouts.request, Some(Duration::from_secs(20)));
    assert_eq!(route.timeouts.backend_request, None);
    let names = |pairs: &[(http::HeaderName, http::HeaderValue)]| -> Vec<String> {
        pairs.iter().map(|(name, _)| name.to_string()).collect()
    };
    assert_eq!(names(&route.request_headers.set), ["x-e"]);
    assert_eq!(names(&route.request_headers.add), ["x-f"]);
    assert_eq!(route.request_headers.remove.len(), 2);
}

#[test]
fn variables_are_read_as_the_type_of_their_key() {
    let variables = |name: &str| match name {
        "PORT" => Some("9000".to_owned()),
        "LOGS" => Some("12.5".to_owned()),
        "URL" => Some("http://a:81".to_owned()),
        _ => None,
    };
    let text = "app: { port: \"${env:PORT}\" }\n\
        listeners: [{ port: \"${env:NONE:-8001}\", paths: { mergeSlashes: \"${env:NONE:-false}\" } }]\n\
        upstreams: { a: { endpoints: [{ url: \"${env:URL}\" }] } }\n\
        telemetry: { accessLog: { samplePercent: \"${env:LOGS}\" } }\n\
        lifecycle: { drainTimeout: \"${env:NONE:-7}s\" }\n\
        status: \"${env:NONE:-off}\"\n";
    let config = load_str("test.yaml", text, &variables).unwrap().config;
    assert_eq!(
        config.app.unwrap().address,
        AppAddress::Tcp("127.0.0.1:9000".parse().unwrap())
    );
    assert_eq!(config.listeners[0].address.socket.port(), 8001);
    assert!(!config.listeners[0].paths.merge_slashes);
    assert_eq!(
        config.upstreams[1].endpoints[0].address,
        EndpointAddress::Host {
            name: "a".into(),
            port: 81
        }
    );
    assert_eq!(
        config.telemetry.access_log.sample_percent.per_million(),
        125_000
    );
    assert_eq!(config.lifecycle.drain_timeout, Duration::from_secs(7));
    assert!(config.status.is_none());
}

#[test]
fn a_variable_cannot_change_the_structure() {
    let variables = |_: &str| Some("a\n    - name: evil".to_owned());
    let error = load_str(
        "t",
        "app: { port: 8080 }\nroutes:\n  - name: \"${env:X}\"\n",
        &variables,
    )
    .unwrap_err();
    assert_eq!(code(&error).0, "bad-name");
}

#[test]
fn aliases_and_merge_keys_work() {
    let config = load(
        "app: { port: 8080 }\nroutes:\n  - { name: a, timeouts: &t { request: 3s } }\n  \
         - { name: b, matches: [{ path: /b/ }], timeouts: { <<: *t, streamIdle: 1s } }\n",
    )
    .config;
    assert_eq!(
        config.routes[1].timeouts.request,
        Some(Duration::from_secs(3))
    );
    assert_eq!(
        config.routes[1].timeouts.stream_idle,
        Some(Duration::from_secs(1))
    );
    assert_eq!(
        config.routes[1].matches[0].path,
        PathMatch::Prefix("/b".into())
    );
    assert!(matches!(config.routes[1].action, Action::Forward(_)));
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_no_problem() {
    let expected = load("app:\n  port: 8080\n").config;
    assert_eq!(load("\u{feff}app:\n  port: 8080\n").config, expected);
    assert_eq!(load("app:\r\n  port: 8080\r\n").config, expected);
    let error = load_str("t", "app:\r\n  prot: 8080\r\n", &unset).unwrap_err();
    assert_eq!(error.render(false).lines().nth(2), Some("2 |   prot: 8080"));
}

#[test]
fn files_that_cannot_be_read_get_one_clear_message_each() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let reading = |path: &Path| code(&load_path(path, &unset).unwrap_err());
    let cases = [
        (
            folder.path().join("none.yaml"),
            "unreadable-file",
            "no such file",
        ),
        (
            folder.path().to_owned(),
            "unreadable-file",
            "it is a directory",
        ),
        ("/dev/null".into(), "unreadable-file", "not a regular file"),
        (write("empty.yaml", b""), "empty-file", "empty"),
        (write("blank.yaml", b"  \n\n"), "empty-file", "empty"),
        (
            write("large.yaml", &vec![b'#'; 2 << 20]),
            "file-too-large",
            "larger than 1 MiB",
        ),
        (
            write("latin1.yaml", b"app: { port: 8080 } # \xe4"),
            "bad-encoding",
            "invalid UTF-8",
        ),
        (
            write("utf16.yaml", b"\xff\xfea\0"),
            "bad-encoding",
            "UTF-16",
        ),
        (
            write("binary.yaml", b"\x7fELF\x02\x01\x00\x00"),
            "yaml-syntax",
            "control character",
        ),
    ];
    for (path, expected, part) in cases {
        let (code, message) = reading(&path);
        assert_eq!(code, expected, "{path:?}: {message}");
        assert!(message.contains(part), "{path:?}: {message}");
    }
    let error = load_path(&folder.path().join("none.yaml"), &unset)
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("no such file; check the path, and that the volume is mounted"),
        "{error}"
    );
}

#[test]
fn the_place_of_a_wrong_byte_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.yaml");
    fs::write(&path, b"app: { port: 8080 }\n# \xff").unwrap();
    let problem = load_path(&path, &unset).unwrap_err().problems().remove(0);
    assert_eq!((problem.line, problem.column), (2, 3));
}

#[test]
fn a_socket_is_relative_to_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.yaml");
    fs::write(&path, "app: { socket: app.sock }").unwrap();
    let app = load_path(&path, &unset).unwrap().config.app.unwrap();
    assert_eq!(
        app.address,
        AppAddress::Unix(folder.path().join("app.sock").into())
    );
}

#[test]
fn nothing_that_is_cut_off_anywhere_panics() {
    for (end, _) in FULL.char_indices() {
        let _ = load_str("cut.yaml", &FULL[..end], &unset);
    }
}

#[test]
fn a_file_with_far_too_many_values_is_refused_at_once() {
    let text = format!("app: {{ port: 8080 }}\na: [{}1]\n", "1,".repeat(250_000));
    assert_eq!(
        code(&load_str("t", &text, &unset).unwrap_err()).0,
        "too-complex"
    );
}

/// As many routes as fit into a file of the maximum size, in both forms.
#[test]
fn ten_thousand_routes_load() {
    let flow = |number| {
        format!(
            "- {{ name: r{number}, matches: [{{ path: /v1/r{number}, method: GET }}], backendRefs: [a] }}\n"
        )
    };
    let block = |number| {
        format!(
            "- name: r{number}\n  matches:\n  - path: /v1/r{number}\n    method: GET\n  backendRefs: [a]\n"
        )
    };
    let head = "upstreams: { a: { endpoints: [{ url: http://a }] } }\nroutes:\n";
    for routes in [
        (0..10_000).map(flow).collect::<String>(),
        (0..10_000).map(block).collect(),
    ] {
        let loaded = load(&format!("{head}{routes}"));
        assert_eq!(loaded.config.routes.len(), 10_000);
        assert!(loaded.warnings.is_empty());
    }
    // Duplicates are found among many routes too.
    let mut routes: String = (0..10_000).map(flow).collect();
    routes.push_str("- { name: r7, matches: [{ path: /v1/r8, method: GET }], backendRefs: [a] }\n");
    let error = load_str("t", &format!("{head}{routes}"), &unset).unwrap_err();
    let (code, message) = code(&error);
    assert_eq!(code, "duplicate-name");
    assert!(message.contains("at 10:"), "{message}");
    let last = load(&format!(
        "{head}{}",
        routes.replace(
            "name: r7, matches: [{ path: /v1/r8",
            "name: z, matches: [{ path: /v1/r8"
        )
    ));
    assert!(
        last.warnings[0].message.contains("route `r8` (11:"),
        "{:?}",
        last.warnings
    );
}

#[test]
fn nothing_that_lacks_a_line_or_has_a_wrong_value_panics() {
    let lines: Vec<&str> = FULL.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        let key = line.split(':').next().unwrap_or_default();
        for other in [
            "".to_owned(),
            format!("{key}:"),
            format!("{key}: [x]"),
            format!("{key}: {{ x: 1 }}"),
            format!("{key}: -1"),
        ] {
            let mut changed = lines.clone();
            changed[index] = &other;
            let _ = load_str("changed.yaml", &changed.join("\n"), &unset);
        }
    }
}
