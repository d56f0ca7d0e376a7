//! The client against scripted servers, over real sockets.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

use outrigger_config::model::{ClientTls, SecretSource, SecretText};
use rcgen::{CertificateParams, KeyPair};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};
use tokio_rustls::TlsAcceptor;

use super::*;

/// What a server does with a request.
enum Reply {
    /// These bytes; the connection stays open.
    Bytes(String),
    /// These bytes, and the end of the connection.
    Last(String),
    /// Nothing.
    Silence,
}

fn ok(body: &str) -> Reply {
    Reply::Bytes(answer("200 OK", "", body))
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
}

/// A server whose response depends on the text of each request.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: mpsc::Receiver<String>,
}

impl Server {
    async fn start(script: fn(&str) -> Reply) -> Self {
        Self::with(None, script).await
    }

    async fn with(tls: Option<TlsAcceptor>, script: fn(&str) -> Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::<AtomicUsize>::default();
        let (told, requests) = mpsc::channel(100);
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, SeqCst);
                let (tls, told) = (tls.clone(), told.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, script, told).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, script, told).await;
                            }
                        }
                    }
                });
            }
        });
        Self {
            address,
            connections,
            requests,
        }
    }

    fn settings(&self) -> Settings {
        Settings {
            base: format!("http://{}/base", self.address).parse().unwrap(),
            tls: None,
            credentials: None,
            timeout: Duration::from_secs(20),
            max_body: 1000,
            redirects: 0,
            keep_alive: true,
        }
    }

    fn client(&self) -> Client {
        client(self.settings())
    }
}

fn client(settings: Settings) -> Client {
    Client::new(settings, Arc::default()).unwrap()
}

async fn serve<S>(mut stream: S, script: fn(&str) -> Reply, told: mpsc::Sender<String>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(request) = read_request(&mut stream).await {
        let reply = script(&request);
        told.send(request).await.unwrap();
        match reply {
            Reply::Bytes(text) => stream.write_all(text.as_bytes()).await.unwrap(),
            Reply::Last(text) => {
                stream.write_all(text.as_bytes()).await.unwrap();
                let _ = stream.shutdown().await;
                return;
            }
            Reply::Silence => std::future::pending().await,
        }
    }
}

/// A request with its body; `None` at the end of the connection.
async fn read_request<S: AsyncRead + Unpin>(stream: &mut S) -> Option<String> {
    let mut text = Vec::new();
    loop {
        let so_far = String::from_utf8(text.clone()).unwrap();
        if let Some((head, body)) = so_far.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse().unwrap());
            if body.len() == length {
                return Some(so_far);
            }
        }
        if stream.read_buf(&mut text).await.ok()? == 0 {
            return None;
        }
    }
}

fn one(name: header::HeaderName, value: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
}

#[tokio::test]
async fn posts_carry_headers_and_body_and_reuse_their_connection() {
    let mut server = Server::start(|_| {
        Reply::Bytes(answer(
            "429 Too Many Requests",
            "retry-after: 7\r\n",
            "later",
        ))
    })
    .await;
    let client = server.client();
    for _ in 0..3 {
        let headers = one(header::CONTENT_ENCODING, "gzip");
        let response = client.post("/v1/logs?x=1", headers, "abc".into()).await;
        let response = response.unwrap();
        assert_eq!(response.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers[header::RETRY_AFTER], "7");
        assert_eq!(response.body, "later");
        let request = server.requests.recv().await.unwrap();
        assert!(request.starts_with("POST /base/v1/logs?x=1 HTTP/1.1\r\n"));
        assert!(request.contains(&format!("\r\nhost: {}\r\n", server.address)));
        assert!(
            request.contains("\r\ncontent-encoding: gzip\r\n"),
            "{request}"
        );
        assert!(request.ends_with("\r\n\r\nabc"), "{request}");
    }
    assert_eq!(server.connections.load(SeqCst), 1);
}

#[tokio::test]
async fn without_keep_alive_each_request_has_its_connection() {
    let mut server = Server::start(|_| ok("")).await;
    let client = client(Settings {
        keep_alive: false,
        ..server.settings()
    });
    for _ in 0..2 {
        client.get("", HeaderMap::new()).await.unwrap();
        let request = server.requests.recv().await.unwrap();
        assert!(request.starts_with("GET /base HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("\r\nconnection: close\r\n"), "{request}");
    }
    assert_eq!(server.connections.load(SeqCst), 2);
}

#[tokio::test]
async fn a_kept_connection_that_the_server_closed_costs_no_request() {
    // Until the client has seen the close, the server may have processed a POST; a GET is safe to
    // retry.
    let server = Server::start(|_| Reply::Last(answer("200 OK", "", "x"))).await;
    let client = server.client();
    for _ in 0..5 {
        let response = client.get("/", HeaderMap::new()).await.unwrap();
        assert_eq!(response.body, "x");
    }
    assert_eq!(server.connections.load(SeqCst), 5);
}

#[tokio::test]
async fn credentials_go_with_each_request() {
    let mut server = Server::start(|_| ok("")).await;
    let token = SecretSource::Env {
        name: "T".into(),
        value: SecretText::new(*b"abc"),
    };
    let client = client(Settings {
        credentials: Some(Credentials::Bearer(token)),
        ..server.settings()
    });
    // The caller's header does not appear beside it.
    let own = one(header::AUTHORIZATION, "Bearer other");
    client.get("/", own).await.unwrap();
    let request = server.requests.recv().await.unwrap();
    assert!(
        request.contains("\r\nauthorization: Bearer abc\r\n"),
        "{request}"
    );
    assert!(!request.contains("other"), "{request}");
}

#[tokio::test]
async fn a_body_over_the_limit_is_an_error_or_cut() {
    let server = Server::start(|request| {
        let status = if request.contains("/bad") {
            "500 X"
        } else {
            "200 OK"
        };
        let length = if request.contains("/fits") {
            1000
        } else {
            1001
        };
        Reply::Bytes(answer(status, "", &"x".repeat(length)))
    })
    .await;
    let client = server.client();
    let fits = client.get("/fits", HeaderMap::new()).await.unwrap();
    assert_eq!(fits.body.len(), 1000);
    let error = client.get("/", HeaderMap::new()).await.unwrap_err();
    assert!(
        matches!(error, Error::TooLarge { limit: 1000, .. }),
        "{error}"
    );
    let cut = client.get("/bad", HeaderMap::new()).await.unwrap();
    assert_eq!((cut.status.as_u16(), cut.body.len()), (500, 1000));
    // After a body that was not read to its end, a new connection is opened.
    assert_eq!(
        client
            .get("/fits", HeaderMap::new())
            .await
            .unwrap()
            .body
            .len(),
        1000
    );
}

#[tokio::test]
async fn redirects_are_followed_on_the_same_host_as_often_as_allowed() {
    let server = Server::start(|request| {
        let target = request
            .split(' ')
            .nth(1)
            .unwrap()
            .trim_start_matches("/base/");
        match target.parse::<u32>() {
            Ok(0) => ok("there"),
            Ok(left) => {
                let location = format!("location: /base/{}\r\n", left - 1);
                Reply::Bytes(answer("302 Found", &location, ""))
            }
            Err(_) => Reply::Bytes(answer("302 Found", "location: http://a.example/\r\n", "")),
        }
    })
    .await;
    let never = server.client();
    let response = never.get("/1", HeaderMap::new()).await.unwrap();
    assert_eq!(response.status, StatusCode::FOUND);
    let twice = client(Settings {
        redirects: 2,
        ..server.settings()
    });
    let response = twice.get("/2", HeaderMap::new()).await.unwrap();
    assert_eq!(
        (&response.body[..], response.url.path()),
        (&b"there"[..], "/base/0")
    );
    for path in ["/3", "/elsewhere"] {
        let error = twice.get(path, HeaderMap::new()).await.unwrap_err();
        assert!(matches!(error, Error::Redirect { .. }), "{path}: {error}");
    }
    let response = twice.post("/1", HeaderMap::new(), Bytes::new()).await;
    assert_eq!(
        response.unwrap().status,
        StatusCode::FOUND,
        "never with POST"
    );
}

#[tokio::test]
async fn failures_say_what_failed() {
    let silent = Server::start(|_| Reply::Silence).await;
    let impatient = client(Settings {
        timeout: Duration::from_millis(50),
        ..silent.settings()
    });
    let error = impatient.get("/", HeaderMap::new()).await.unwrap_err();
    assert!(matches!(error, Error::Timeout(_)), "{error}");
    let broken = Server::start(|_| Reply::Last("nonsense".to_owned())).await;
    let error = broken
        .client()
        .get("/", HeaderMap::new())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Protocol { .. }), "{error}");
    let large = Server::start(|_| {
        Reply::Bytes(answer(
            "200 OK",
            &format!("a: {}\r\n", "x".repeat(HEAD_BYTES)),
            "",
        ))
    })
    .await;
    let error = large.client().get("/", HeaderMap::new()).await.unwrap_err();
    assert!(matches!(error, Error::Protocol { .. }), "{error}");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let nowhere = client(Settings {
        base: format!("http://{address}").parse().unwrap(),
        ..silent.settings()
    });
    let error = nowhere.get("/", HeaderMap::new()).await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("no connection to 127.0.0.1: "),
        "{error}"
    );
    let error = nowhere.get("/a b", HeaderMap::new()).await.unwrap_err();
    assert!(matches!(error, Error::Path { .. }), "{error}");
}

#[tokio::test]
async fn https_trusts_the_configured_certificates_alone() {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["logs.example".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().der().clone();
    let config = ServerConfig::builder_with_provider(crate::tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let server = Server::with(Some(TlsAcceptor::from(Arc::new(config))), |_| ok("secret")).await;
    let with = |tls: &ClientTls| {
        client(Settings {
            base: format!("https://{}", server.address).parse().unwrap(),
            tls: Some(Handshaker::build(tls).unwrap()),
            ..server.settings()
        })
    };
    let mut tls = ClientTls::default();
    tls.ca_certificates = vec![certificate];
    tls.hostname = Some("logs.example".into());
    let response = with(&tls).get("/", HeaderMap::new()).await.unwrap();
    assert_eq!(response.body, "secret");
    tls.hostname = None;
    let error = with(&tls).get("/", HeaderMap::new()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no TLS with 127.0.0.1: the server's certificate is for other names"
    );
}

#[test]
fn a_base_url_that_cannot_be_used_is_an_error() {
    let settings = Settings {
        base: Uri::default(),
        tls: None,
        credentials: None,
        timeout: Duration::from_secs(1),
        max_body: 1,
        redirects: 0,
        keep_alive: true,
    };
    for (base, why) in [
        ("https://a.example", "https needs TLS settings"),
        ("ftp://a.example", "the scheme must be http or https"),
        ("/path", "the scheme must be http or https"),
        ("http://u:p@a.example", "a user in the URL is not supported"),
    ] {
        let settings = Settings {
            base: base.parse().unwrap(),
            ..settings.clone()
        };
        let error = Client::new(settings, Arc::default()).err().unwrap();
        assert!(error.to_string().ends_with(why), "{error}");
    }
}

/// The client moves between threads, as tasks of a multi-threaded runtime do.
#[test]
fn the_client_and_its_futures_are_send() {
    fn is_send<T: Send>(_: &T) {}
    fn check(client: &Client) {
        is_send(client);
        is_send(&client.post("/", HeaderMap::new(), Bytes::new()));
    }
    let _ = check;
}
