//! Probes of the app's containers through the status port (`--app-probe`), judged as the kubelet judges them.

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

use crate::support::{
    Proxy, command, front, get, http,
    live::free_port,
    live::run_to_end,
    recording::{Act, Recording},
    with_servers,
};

/// A proxy in front of a port, with these probes.
fn proxy(port: u16, probes: &[Value]) -> Proxy {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("outrigger.yaml");
    let yaml = format!("app: {{ port: {port} }}\nlisteners: [{{ port: 0 }}]\n");
    std::fs::write(&file, with_servers(&yaml)).unwrap();
    let mut run = command();
    run.arg("run").arg("-c").arg(&file);
    for probe in probes {
        run.arg("--app-probe").arg(probe.to_string());
    }
    Proxy::spawn(folder, &mut run)
}

fn http_probe(port: u16, path: &str) -> Value {
    json!({ "path": "/app/web/livez", "httpGet": { "port": port, "path": path } })
}

/// What the status port says about one HTTP probe of an app that answers by its script.
fn asked(script: impl Fn(&str) -> String + Send + Sync + 'static) -> (u16, String) {
    let app =
        Recording::answering(move |message| Act::Close(script(message.target()).into_bytes()));
    let proxy = proxy(app.port(), &[http_probe(app.port(), "/0")]);
    get(proxy.address("status"), "/app/web/livez")
}

fn status(line: &str) -> String {
    format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\n\r\n")
}

fn redirect(location: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n")
}

#[test]
fn statuses_from_200_to_399_are_success() {
    assert_eq!(asked(|_| status("200 OK")).0, 200);
    assert_eq!(asked(|_| status("304 Not Modified")).0, 200);
    assert_eq!(
        asked(|_| status("302 Found")).0,
        200,
        "a redirect that leads nowhere is an answer"
    );
    let (code, body) = asked(|_| status("404 Not Found"));
    assert_eq!(
        (code, body.as_str()),
        (503, "the app is not well: /0 answered 404\n")
    );
    assert_eq!(asked(|_| status("500 No")).0, 503);
    assert_eq!(asked(|_| "nonsense\r\n\r\n".to_owned()).0, 503);
}

/// INJ-5 of the list of manifests that broke injectors: istio#34238, #29468; `redirectChecker` of the kubelet.
#[test]
fn inj_5_redirects_are_followed_on_the_same_host_at_most_ten_times() {
    let hops = |number: usize| {
        asked(move |target| {
            let at: usize = target.trim_start_matches('/').parse().unwrap();
            if at < number {
                redirect(&format!("/{}", at + 1))
            } else {
                status("200 OK")
            }
        })
    };
    assert_eq!(hops(1).0, 200);
    assert_eq!(hops(10).0, 200);
    let (code, body) = hops(11);
    assert_eq!(
        (code, body.as_str()),
        (503, "the app is not well: more than 10 redirects\n")
    );
    // The end of the way counts, not its beginning.
    let (code, body) = asked(|target| {
        if target == "/0" {
            redirect("/login")
        } else {
            status("403 Forbidden")
        }
    });
    assert_eq!(
        (code, body.as_str()),
        (503, "the app is not well: /login answered 403\n")
    );
    // Another host is never asked, and counts as success.
    assert_eq!(asked(|_| redirect("http://login.example.com/")).0, 200);
    assert_eq!(asked(|_| redirect("//login.example.com/")).0, 200);
    let (code, body) = asked(|_| redirect("https://127.0.0.1/x"));
    assert!(
        code == 503 && body.contains("no probe speaks TLS"),
        "{body}"
    );
}

#[test]
fn inj_5_a_redirect_may_be_relative_or_name_this_host() {
    let (code, body) = asked(|target| match target {
        "/0" => redirect("health/now?x=1"),
        "/health/now?x=1" => status("200 OK"),
        other => status(&format!("400 {other}")),
    });
    assert_eq!(code, 200, "{body}");
    let app = Recording::answering(|message| {
        let host = message.all("host")[0].to_owned();
        Act::Close(match message.target() {
            "/0" => redirect(&format!("http://{host}/there")).into_bytes(),
            "/there" => status("200 OK").into_bytes(),
            _ => status("400 No").into_bytes(),
        })
    });
    let proxy = proxy(app.port(), &[http_probe(app.port(), "/0")]);
    assert_eq!(get(proxy.address("status"), "/app/web/livez").0, 200);
    assert_eq!(app.connections(), 2);
}

#[test]
fn headers_of_the_probe_and_the_kubelets_own_name_reach_the_app() {
    let app = Recording::ok();
    let probe = json!({ "path": "/app/web/readyz", "httpGet": { "port": app.port(), "path": "/ready?x=1",
        "httpHeaders": [{ "name": "X-Probe", "value": "yes" }, { "name": "Host", "value": "web.example.com" }] } });
    let proxy = proxy(app.port(), &[probe]);
    let request = "GET /app/web/readyz HTTP/1.1\r\nhost: x\r\nuser-agent: kube-probe/1.33\r\nconnection: close\r\n\r\n";
    let answer = http(proxy.address("status"), request);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let sent = String::from_utf8(app.bytes().remove(0))
        .unwrap()
        .to_lowercase();
    assert!(sent.starts_with("get /ready?x=1 http/1.1\r\n"), "{sent}");
    for field in [
        "x-probe: yes\r\n",
        "host: web.example.com\r\n",
        "user-agent: kube-probe/1.33\r\n",
        "accept: */*\r\n",
    ] {
        assert_eq!(sent.matches(field).count(), 1, "{field}\n{sent}");
    }
}

#[test]
fn tcp_and_grpc_probes_are_asked_in_their_own_way() {
    let app = Recording::ok();
    let service = front::serve_http2(|request| async move {
        let path = request.uri().path().to_owned();
        let asked = request.into_body().collect().await.unwrap().to_bytes();
        // `orders` serves; everything else does not.
        let serving =
            u8::from(asked.ends_with(b"orders")) + 2 * u8::from(!asked.ends_with(b"orders"));
        assert_eq!(path, "/grpc.health.v1.Health/Check");
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        let body = Full::from(Bytes::from(vec![0, 0, 0, 0, 2, 8, serving]));
        Response::builder()
            .header("content-type", "application/grpc")
            .body(
                body.with_trailers(async move { Some(Ok(trailers)) })
                    .boxed(),
            )
            .unwrap()
    });
    let closed = free_port();
    let proxy = proxy(
        app.port(),
        &[
            json!({ "path": "/app/web/livez", "tcpSocket": { "port": app.port() } }),
            json!({ "path": "/app/gone/livez", "tcpSocket": { "port": closed } }),
            json!({ "path": "/app/web/readyz", "grpc": { "port": service.port(), "service": "orders" } }),
            json!({ "path": "/app/other/readyz", "grpc": { "port": service.port() } }),
        ],
    );
    let say = |path| get(proxy.address("status"), path).0;
    assert_eq!(say("/app/web/livez"), 200);
    assert_eq!(say("/app/gone/livez"), 503);
    assert_eq!(say("/app/web/readyz"), 200);
    assert_eq!(say("/app/other/readyz"), 503);
}

#[test]
fn nothing_but_the_probes_that_were_given_is_asked() {
    let app = Recording::ok();
    let proxy = proxy(app.port(), &[http_probe(app.port(), "/0")]);
    let status = proxy.address("status");
    for path in [
        "/app/web/readyz",
        "/app/web/livez/",
        "/app/",
        "/app/web/livez/../x",
        "/x",
    ] {
        assert_eq!(get(status, path).0, 404, "{path}");
    }
    let post = http(
        status,
        "POST /app/web/livez HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    );
    assert!(post.starts_with("HTTP/1.1 405 "), "{post}");
    assert_eq!(app.connections(), 0);
    // The query is not part of what is asked.
    assert_eq!(get(status, "/app/web/livez?path=/etc").0, 200);
    assert!(app.bytes()[0].starts_with(b"GET /0 HTTP/1.1\r\n"));
}

#[test]
fn an_app_that_does_not_answer_in_time_is_not_well() {
    let app = Recording::answering(|_| Act::Answer(Vec::new()));
    let proxy = proxy(app.port(), &[http_probe(app.port(), "/0")]);
    let (code, body) = get(proxy.address("status"), "/app/web/livez");
    assert_eq!(
        (code, body.as_str()),
        (503, "the app is not well: no answer within 1s\n")
    );
}

#[test]
fn a_probe_that_is_not_understood_is_a_usage_error() {
    let output = run_to_end(command().args(["run", "--app-probe", "{\"path\":\"/livez\"}"]));
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains("--app-probe") && told.contains("/app/CONTAINER"),
        "{told}"
    );
}

/// From the manifest to the answer: what `inject --rewrite-probes` writes is what `run` takes.
#[test]
fn what_inject_writes_is_what_the_proxy_asks() {
    let app = Recording::ok();
    let pod = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: web}}\nspec:\n  containers:\n    - name: web\n      image: web\n      ports: [{{containerPort: {0}}}]\n      \
         livenessProbe: {{httpGet: {{path: /healthz, port: {0}}}, timeoutSeconds: 5}}\n      readinessProbe: {{tcpSocket: {{port: {0}}}}}\n",
        app.port()
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pod.yaml");
    std::fs::write(&path, pod).unwrap();
    let output = run_to_end(command().args(["inject", "--rewrite-probes"]).arg(&path));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains(
            "livenessProbe: {httpGet: {path: /app/web/livez, port: 9902}, timeoutSeconds: 5}"
        ),
        "{text}"
    );
    let probes: Vec<Value> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- '")?.strip_suffix('\''))
        .map(|probe| serde_json::from_str(probe).unwrap())
        .collect();
    assert_eq!(probes.len(), 2, "{text}");
    let proxy = proxy(app.port(), &probes);
    for ending in ["livez", "readyz"] {
        assert_eq!(
            get(proxy.address("status"), &format!("/app/web/{ending}")).0,
            200
        );
    }
    assert!(app.bytes()[0].starts_with(b"GET /healthz "));
}
