//! The command line: exit codes, what goes to which stream, and the demo.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    path::Path,
    process::Stdio,
    time::Duration,
};

use outrigger_loadtest::load::{self, Plan};
use serde_json::{Value, json};

use crate::support::{
    PATIENCE, Proxy, command, get,
    live::{KeepAlive, block_on, free_port, run_to_end},
    origin, wait_for, with_servers,
};

const GOOD: &str = "app: { port: 8080 }\n";
const SHADOWED: &str = "app: { port: 8080 }\nroutes:\n  - { name: a, matches: [{ path: /x }] }\n  - { name: b, matches: [{ path: /x }] }\n";

fn file(folder: &Path, text: &str) -> String {
    let path = folder.join("outrigger.yaml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Exit code, stdout and stderr.
fn run(arguments: &[&str]) -> (i32, String, String) {
    let output = run_to_end(command().args(arguments));
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn version_and_help_are_0_and_everything_that_is_no_command_is_2() {
    let (code, out, err) = run(&["--version"]);
    assert_eq!(
        (code, out, err),
        (
            0,
            format!("outrigger {}\n", env!("CARGO_PKG_VERSION")),
            String::new()
        )
    );
    let (code, out, _) = run(&["--help"]);
    assert_eq!(code, 0);
    for word in [
        "run",
        "check",
        "schema",
        "drain",
        "inject",
        "uninject",
        "logs",
        "demo",
        "--log-level",
        "--log-format",
    ] {
        assert!(out.contains(word), "{word} is missing in\n{out}");
    }
    for arguments in [
        &[][..],
        &["runn"],
        &["run", "--nope"],
        &["run", "x.yaml"],
        &["--log-level", "loud", "run"],
        &["--log-level", "trace", "run"],
    ] {
        let (code, out, err) = run(arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}");
        assert!(err.contains("Usage") || err.contains("'--help'"), "{err}");
    }
    let (code, _, err) = run(&["check"]);
    assert_eq!(
        (code, err.as_str()),
        (2, "error: name the file to check: outrigger check FILE\n")
    );
}

#[test]
fn check_is_0_for_a_good_file_and_for_warnings_unless_strict() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), GOOD);
    assert_eq!(
        run(&["check", &path]),
        (0, String::new(), format!("{path} is valid\n"))
    );
    assert_eq!(run(&["check", "-c", &path]).0, 0);
    assert_eq!(run(&["check", "--strict", &path]).0, 0);
    let by_variable = run_to_end(command().arg("check").env("OUTRIGGER_CONFIG", &path));
    assert_eq!(by_variable.status.code(), Some(0));
    let path = file(folder.path(), SHADOWED);
    let (code, _, err) = run(&["check", &path]);
    assert_eq!(code, 0);
    assert!(
        err.contains("[shadowed-route]") && err.ends_with("is valid, with 1 warning\n"),
        "{err}"
    );
    assert_eq!(run(&["check", "--strict", &path]).0, 2);
}

#[test]
fn check_json_has_exactly_the_documented_shape() {
    let folder = tempfile::tempdir().unwrap();
    let check = |text: &str, more: &[&str]| {
        let path = file(folder.path(), text);
        let (code, out, err) = run(&[&["check", "--format", "json", &path], more].concat());
        assert_eq!(err, "");
        (code, serde_json::from_str::<Value>(&out).unwrap(), path)
    };
    assert_eq!(check(GOOD, &[]).1, json!({ "valid": true, "problems": [] }));
    let (code, found, path) = check("app: { port: 8080, prot: 1 }\n", &[]);
    assert_eq!(code, 2);
    let expected = json!({
        "valid": false,
        "problems": [{
            "severity": "error", "code": "unknown-key", "file": path, "line": 1, "column": 20, "endLine": 1,
            "endColumn": 24, "path": "app.prot", "message": "unknown key `prot`", "help": "did you mean `port`?",
        }],
    });
    assert_eq!(found, expected);
    let (code, found, _) = check(SHADOWED, &[]);
    assert_eq!(
        (code, &found["valid"], &found["problems"][0]["severity"]),
        (0, &json!(true), &json!("warning"))
    );
    assert_eq!(check(SHADOWED, &["--strict"]).0, 2);
    let missing = folder.path().join("none.yaml");
    let (code, out, err) = run(&["check", "--format", "json", missing.to_str().unwrap()]);
    assert_eq!((code, err.as_str()), (2, ""));
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(found["problems"][0]["code"], "unreadable-file");
}

#[test]
fn the_schema_accepts_a_file_that_check_accepts_and_refuses_its_mistakes() {
    let (code, out, _) = run(&["schema"]);
    assert_eq!(code, 0);
    let schema: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    // JSON is YAML, so the same text goes to both.
    let sample = json!({
        "version": 1,
        "workers": "auto",
        "app": { "port": 8080, "readiness": { "path": "/healthz", "interval": "5s" } },
        "listeners": [{ "name": "public", "port": 8443, "limits": { "bodyBytes": "10MiB" } }, { "address": "127.0.0.1:7000" }],
        "upstreams": { "far": { "endpoints": [{ "url": "http://far:80", "weight": 3 }] } },
        "routes": [
            { "name": "a", "matches": [{ "path": { "exact": "/a" }, "method": "GET", "headers": { "x-env": "prod" } }],
              "backendRefs": [{ "name": "app", "weight": 1 }, "far"], "timeouts": { "request": "${env:UNSET_HERE:-3s}" } },
            { "name": "b", "matches": [{ "path": "/b" }], "requestRedirect": { "statusCode": 308, "scheme": "https" } },
        ],
        "status": "off",
        "reload": { "debounce": "20ms" },
    });
    let folder = tempfile::tempdir().unwrap();
    let verdicts = |value: &Value| {
        let path = file(folder.path(), &value.to_string());
        (validate(&schema, &schema, value), run(&["check", &path]))
    };
    let (valid, (code, _, err)) = verdicts(&sample);
    assert!(valid.is_ok() && code == 0, "{valid:?} {err}");
    for (pointer, wrong) in [
        ("/app/port", json!("many")),
        ("/app/port", json!(70000)),
        ("/workers", json!("some")),
        ("/reload/debounce", json!("20 ms")),
        ("/listeners/0/limits/bodyBytes", json!("10MB")),
        ("/listeners/0", json!({ "prot": 1 })),
        ("/routes/0/matches", json!({})),
        ("/status", json!("of")),
    ] {
        let mut broken = sample.clone();
        *broken.pointer_mut(pointer).unwrap() = wrong.clone();
        let (valid, (code, _, _)) = verdicts(&broken);
        assert!(
            valid.is_err() && code == 2,
            "{pointer} {wrong}: {valid:?}, check {code}"
        );
    }
}

/// The part of JSON Schema 2020-12 that our schema uses; another keyword is an error, so that nothing is skipped.
fn validate(root: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let Value::Object(keywords) = schema else {
        return if schema == &json!(true) {
            Ok(())
        } else {
            Err(format!("never: {value}"))
        };
    };
    let fails = |keyword: &str| Err(format!("{value} fails {keyword} of {schema}"));
    for (keyword, wanted) in keywords {
        let ok = match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "default" | "format" => true,
            "$ref" => {
                let target = root
                    .pointer(wanted.as_str().unwrap().trim_start_matches('#'))
                    .unwrap();
                validate(root, target, value)?;
                true
            }
            "type" => {
                let is = |kind: &Value| match kind.as_str().unwrap() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "integer" => value.is_i64() || value.is_u64(),
                    "number" => value.is_number(),
                    "null" => value.is_null(),
                    other => panic!("type {other}"),
                };
                wanted
                    .as_array()
                    .map_or_else(|| is(wanted), |kinds| kinds.iter().any(is))
            }
            "const" => value == wanted,
            "enum" => wanted.as_array().unwrap().contains(value),
            "anyOf" => wanted
                .as_array()
                .unwrap()
                .iter()
                .any(|one| validate(root, one, value).is_ok()),
            "oneOf" => {
                wanted
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter(|one| validate(root, one, value).is_ok())
                    .count()
                    == 1
            }
            "allOf" => wanted
                .as_array()
                .unwrap()
                .iter()
                .all(|one| validate(root, one, value).is_ok()),
            "not" => validate(root, wanted, value).is_err(),
            "required" => {
                let has = |key: &Value| value.get(key.as_str().unwrap()).is_some();
                !value.is_object() || wanted.as_array().unwrap().iter().all(has)
            }
            "properties" => {
                for (key, one) in wanted.as_object().unwrap() {
                    if let Some(value) = value.get(key) {
                        validate(root, one, value)?;
                    }
                }
                true
            }
            "additionalProperties" => {
                let known = &schema["properties"];
                for (key, value) in value.as_object().into_iter().flatten() {
                    if known.get(key).is_none() {
                        validate(root, wanted, value)?;
                    }
                }
                true
            }
            "propertyNames" => {
                for key in value.as_object().into_iter().flatten().map(|(key, _)| key) {
                    validate(root, wanted, &json!(key))?;
                }
                true
            }
            "items" => {
                for value in value.as_array().into_iter().flatten() {
                    validate(root, wanted, value)?;
                }
                true
            }
            "minItems" => value
                .as_array()
                .is_none_or(|all| all.len() as u64 >= wanted.as_u64().unwrap()),
            "minProperties" => value
                .as_object()
                .is_none_or(|all| all.len() as u64 >= wanted.as_u64().unwrap()),
            "maxProperties" => value
                .as_object()
                .is_none_or(|all| all.len() as u64 <= wanted.as_u64().unwrap()),
            "minLength" => value
                .as_str()
                .is_none_or(|text| text.len() as u64 >= wanted.as_u64().unwrap()),
            "minimum" => value
                .as_f64()
                .is_none_or(|number| number >= wanted.as_f64().unwrap()),
            "maximum" => value
                .as_f64()
                .is_none_or(|number| number <= wanted.as_f64().unwrap()),
            "pattern" => value.as_str().is_none_or(|text| {
                regex::Regex::new(wanted.as_str().unwrap())
                    .unwrap()
                    .is_match(text)
            }),
            other => panic!("a keyword this validator does not know: {other}"),
        };
        if !ok {
            return fails(keyword);
        }
    }
    Ok(())
}

#[test]
fn stdout_carries_the_access_log_and_nothing_else() {
    let origin = origin();
    let mut proxy = Proxy::in_front_of(&origin);
    for path in ["/", "/status/500", "/nowhere"] {
        get(proxy.address("in-0"), path);
    }
    proxy.write_config("nonsense");
    assert_eq!(proxy.admin("POST", "/reload").0, 422);
    proxy.signal("INT");
    assert_eq!(proxy.wait_exit(PATIENCE).code(), Some(0));
    let out = proxy.stdout();
    let lines: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3, "{out}");
    assert!(lines.iter().all(|line| line["requestId"].is_string()));
}

#[test]
fn the_operational_log_is_json_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let origin = origin();
    let text = format!(
        "app: {{ port: {} }}\nlisteners: [{{ port: 0 }}]\n",
        origin.address().port()
    );
    let path = file(folder.path(), &with_servers(&text));
    let mut child = command()
        .args(["run", "--log-format", "json", "-c", &path])
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let names: Vec<Value> = lines
        .by_ref()
        .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap())
        .take_while(|line| line["name"] != "admin")
        .map(|line| line["name"].clone())
        .collect();
    assert_eq!(names, ["in-0", "status"]);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn run_without_a_file_warns_and_listens_on_8000() {
    let ports = [8000, 9901, 9902];
    if let Some(taken) = ports
        .iter()
        .find(|port| TcpListener::bind(("::", **port)).is_err())
    {
        return eprintln!(
            "SKIPPED run_without_a_file_warns_and_listens_on_8000: port {taken} is in use"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let proxy = Proxy::spawn(folder, command().arg("run"));
    assert!(
        proxy
            .stderr()
            .contains("WARN no configuration file: listening on port 8000"),
        "{}",
        proxy.stderr()
    );
    assert_eq!(proxy.address("in-8000").port(), 8000);
    assert_eq!(get(proxy.address("status"), "/livez").0, 200);
    let (status, text) = proxy.admin("POST", "/reload");
    assert_eq!(
        (status, text.as_str()),
        (422, "there is no configuration file to reload\n")
    );
}

/// `docs/security.md` 20: a dead sink never blocks traffic, and what it cost is counted.
#[test]
fn a_stdout_that_is_closed_or_never_read_loses_lines_and_no_request() {
    let origin = origin();
    for closed in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let text = format!(
            "app: {{ port: {} }}\nlisteners: [{{ address: \"127.0.0.1:{port}\" }}]\nstatus: {{ address: \"127.0.0.1:0\" }}\n\
             admin: {{ address: \"127.0.0.1:0\" }}\nlifecycle: {{ logFlushTimeout: 300ms }}\n",
            origin.address().port()
        );
        let path = file(folder.path(), &text);
        let mut child = command().args(["run", "-c", &path]).spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let held = Some(stdout).filter(|_| !closed);
        let mut told = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("name=status") {
            line.clear();
            assert!(told.read_line(&mut line).unwrap() > 0, "the proxy ended");
        }
        let status = line
            .split("address=")
            .nth(1)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        // Long lines: the queue of 2 MiB and the pipe's 64 KiB are full after a few hundred requests.
        let mut plan = Plan::new(format!("http://127.0.0.1:{port}/{}", "x".repeat(6000)));
        (plan.connections, plan.requests, plan.timeout) = (4, Some(1500), PATIENCE);
        plan.expect.statuses = vec![http::StatusCode::NOT_FOUND];
        let report = block_on(load::run(plan)).unwrap();
        assert!(report.is_clean(), "{:#}", report.to_json());
        let dropped = wait_for("dropped lines to be counted", || {
            let page = get(status, "/metrics").1;
            let line = page
                .lines()
                .find(|line| line.starts_with("outrigger_access_log_dropped_total "))?;
            Some(line.rsplit_once(' ')?.1.parse::<u64>().unwrap()).filter(|count| *count > 0)
        });
        println!("closed: {closed}, {dropped} lines of 1500 dropped");
        assert_eq!(get(status, "/livez").0, 200);
        std::process::Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status()
            .unwrap();
        let ended = wait_for("the exit", || child.try_wait().unwrap());
        assert_eq!(ended.code(), Some(0), "closed: {closed}");
        drop(held);
    }
}

#[test]
fn a_closed_stderr_ends_nothing() {
    let origin = origin();
    let folder = tempfile::tempdir().unwrap();
    let [port, admin] = [free_port(), free_port()];
    let text = format!(
        "app: {{ port: {} }}\nlisteners: [{{ address: \"127.0.0.1:{port}\" }}]\nstatus: off\n\
         admin: {{ address: \"127.0.0.1:{admin}\" }}\n",
        origin.address().port()
    );
    let path = file(folder.path(), &text);
    let mut child = command()
        .args(["run", "-c", &path])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    let here = |port| std::net::SocketAddr::from(([127, 0, 0, 1], port));
    wait_for("the proxy", || {
        std::net::TcpStream::connect(here(admin)).ok()
    });
    std::fs::write(&path, "nonsense").unwrap();
    let mut client = KeepAlive::new(here(admin));
    client.send(b"POST /reload HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(client.answer().status, 422);
    assert_eq!(get(here(port), "/").0, 200);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn the_demo_shows_what_it_promises_and_leaves_nothing_behind() {
    // Whether or not the usual ports are free here, they are not for the second demo.
    let mut demos: Vec<Proxy> = (0..2)
        .map(|_| Proxy::spawn(tempfile::tempdir().unwrap(), command().arg("demo")))
        .collect();
    for demo in &demos {
        let web = demo.address("web");
        let told = demo.stderr();
        assert!(
            told.contains(&format!("curl -i http://{web}/any/path")),
            "{told}"
        );
        let (status, body) = get(web, "/any/path");
        assert_eq!(status, 200);
        assert!(body.starts_with("app answers GET /any/path\n"), "{body}");
        get(web, "/any/path?token=secret");
        let record = demo.logged(|line| {
            line["message"]
                .as_str()
                .is_some_and(|text| text.ends_with("/any/path?[redacted]"))
        });
        assert_eq!(record["log.level"], "info");
        let redirect = KeepAlive::new(web).get("/old/page");
        assert!(
            redirect.status == 302 && redirect.head.contains("/new/page"),
            "{redirect:?}"
        );
        let canary = (0..40)
            .filter(|_| get(web, "/split").1.starts_with("canary"))
            .count();
        assert!(
            (1..40).contains(&canary),
            "{canary} of 40 went to the canary"
        );
        assert_eq!(get(web, "/hello").1, "hello from the file\n");
        assert!(
            demo.metrics()
                .contains(r#"outrigger_requests_total{listener="web",route="hello""#)
        );
        assert_eq!(demo.status()["phase"], "serving");
        assert_eq!(get(demo.address("status"), "/readyz").0, 200);

        let path = told
            .lines()
            .map(str::trim)
            .find(|line| line.ends_with("outrigger.yaml"))
            .unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        assert!(run(&["check", "--strict", path]).0 == 0, "{text}");
        std::fs::write(path, text.replace("hello from the file", "edited")).unwrap();
        wait_for("the edit", || {
            (get(web, "/hello").1 == "edited\n").then_some(())
        });
    }
    for demo in &mut demos {
        let path = demo
            .stderr()
            .lines()
            .map(|line| line.trim().to_owned())
            .find(|line| line.ends_with("outrigger.yaml"));
        demo.signal("INT");
        assert_eq!(demo.wait_exit(Duration::from_secs(15)).code(), Some(0));
        assert!(
            !Path::new(&path.unwrap()).parent().unwrap().exists(),
            "the folder is still there"
        );
    }
}
