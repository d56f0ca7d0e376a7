//! A bearer token towards an upstream.

use serde_json::Value;

use super::{start, to_port, yaml};
use crate::support::{
    Proxy,
    client::{Answer, H2, full},
    command,
    front::Maker,
    live::block_on,
    origin,
    pki::Ca,
    wait_for,
    wire::{Wire, status},
    with_servers,
};

/// Every Authorization that reached the origin.
fn authorizations(body: &str) -> Vec<String> {
    let seen: Value = serde_json::from_str(body).unwrap();
    let fields = seen["headers"].as_array().unwrap().iter();
    let authorization = fields.filter(|pair| pair[0] == "authorization");
    authorization
        .map(|pair| pair[1].as_str().unwrap().to_owned())
        .collect()
}

fn sent(proxy: &Proxy, fields: &str) -> Vec<String> {
    let mut wire = Wire::connect(proxy.address("out"));
    let (head, body) = wire.ask(&format!("GET /headers HTTP/1.1\r\nhost: a\r\n{fields}\r\n"));
    assert_eq!(status(&head), 200, "{head}");
    authorizations(&body)
}

#[test]
fn a_token_is_sent_in_place_of_the_app_s_and_a_new_one_as_soon_as_it_is_there() {
    let (ca, origin) = (Ca::new("Outside"), origin());
    let leaf = super::server(&ca);
    let front = Maker::new(&leaf).before(origin.address());
    let upstream = to_port(
        front.port(),
        "    credentials: { bearerToken: { file: token } }\n",
    );
    let proxy = start(&upstream, |folder| {
        std::fs::write(folder.join("ca.crt"), ca.pem()).unwrap();
        std::fs::write(folder.join("token"), "first-token\n").unwrap();
    });
    assert_eq!(sent(&proxy, ""), ["Bearer first-token"]);
    assert_eq!(
        sent(&proxy, "authorization: Basic mine\r\n"),
        ["Bearer first-token"]
    );
    block_on(async {
        let mut client = H2::connect(proxy.address("out")).await;
        let request =
            http::Request::post("http://a/headers").header("content-type", "application/grpc");
        let request = request
            .header("authorization", "Bearer mine")
            .body(full(""))
            .unwrap();
        assert_eq!(
            authorizations(Answer::of(client.send(request).await).await.text()),
            ["Bearer first-token"]
        );
    });
    // As the kubelet does it: all at once.
    std::fs::write(proxy.folder().join("token.new"), "second-token").unwrap();
    std::fs::rename(
        proxy.folder().join("token.new"),
        proxy.folder().join("token"),
    )
    .unwrap();
    wait_for("the new token", || {
        (sent(&proxy, "") == ["Bearer second-token"]).then_some(())
    });
    // One that is none changes nothing.
    std::fs::write(proxy.folder().join("token"), "two words").unwrap();
    wait_for("the refusal", || {
        proxy.stderr().contains("not reloaded").then_some(())
    });
    assert_eq!(sent(&proxy, ""), ["Bearer second-token"]);
    std::fs::remove_file(proxy.folder().join("token")).unwrap();
    assert_eq!(sent(&proxy, ""), ["Bearer second-token"]);
    let told = [
        proxy.stderr(),
        proxy.stdout(),
        proxy.admin("GET", "/config").1,
        proxy.metrics(),
    ]
    .concat();
    assert!(
        told.contains("bearerToken")
            && !told.contains("-token\n")
            && !told.contains("second-token"),
        "{told}"
    );
}

#[test]
fn a_token_may_stand_in_a_variable() {
    let origin = origin();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("outrigger.yaml");
    let upstream = format!(
        "    endpoints: [{{ url: \"http://{}\" }}]\n    credentials: {{ bearerToken: {{ env: PAY_TOKEN }} }}\n",
        origin.address()
    );
    std::fs::write(&file, with_servers(&yaml(&upstream))).unwrap();
    let mut command = command();
    command
        .arg("run")
        .arg("-c")
        .arg(&file)
        .env("PAY_TOKEN", "from-outside");
    let proxy = Proxy::spawn(folder, &mut command);
    assert_eq!(
        sent(&proxy, "authorization: Bearer mine\r\n"),
        ["Bearer from-outside"]
    );
}
