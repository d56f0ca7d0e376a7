//! gRPC between third-party peers, in all combinations through the proxy: tonic and Python's
//! grpcio, each as client and as server. The cases are those of gRPC's own interop suite. Skipped,
//! with a message, without Python or the package; those of tonic with tonic always run.

mod cases;
mod concurrency;
mod service;
mod silence;

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;
use tonic::client::Grpc as Client;

use crate::{
    egress,
    grpc::{self, Channel},
    support::{Proxy, front, pki::Ca, pki::Leaf, python::python_with, tls},
    tls::Setup,
};

/// The version that this was written with.
const PACKAGE: &str = "grpcio==1.85.3";

/// A Python that has the package.
fn python() -> Option<PathBuf> {
    python_with(PACKAGE, "grpc.aio")
}

/// `peer.py` with these arguments, away from proxies that the environment names.
fn peer(python: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/grpc_interop/peer.py"));
    for variable in ["http_proxy", "https_proxy", "grpc_proxy"] {
        command.env_remove(variable);
    }
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

/// A process that is killed when it is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A service that is called.
struct Service {
    port: u16,
    _grpcio: Option<Process>,
    /// TLS in front of it, and the files that it reads.
    _front: Option<front::Front>,
    _files: Option<TempDir>,
}

impl Service {
    /// tonic, behind TLS when there is a certificate.
    fn tonic(leaf: Option<&Leaf>) -> Self {
        let port = service::start();
        let front = leaf.map(|leaf| front::Maker::new(leaf).before(([127, 0, 0, 1], port).into()));
        let port = front.as_ref().map_or(port, front::Front::port);
        Self {
            port,
            _grpcio: None,
            _front: front,
            _files: None,
        }
    }

    /// grpcio, with TLS of its own when there is a certificate.
    fn grpcio(python: &Path, leaf: Option<&Leaf>) -> Self {
        let files = tempfile::tempdir().unwrap();
        let mut arguments = vec!["serve".to_owned(), "0".to_owned()];
        if let Some(leaf) = leaf {
            let (certificate, key) = leaf.write(files.path(), "service");
            arguments.extend([certificate, key].map(|path| path.display().to_string()));
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Self {
            _files: Some(files),
            ..Self::started(peer(python, &arguments))
        }
    }

    /// grpcio that allows so many streams at once on a connection.
    fn limited(python: &Path, streams: usize) -> Self {
        Self::started(peer(python, &["serve", &streams.to_string()]))
    }

    /// grpcio that says GOAWAY on every connection after 200 ms.
    fn short_lived(python: &Path) -> Self {
        let mut command = peer(python, &["serve", "0"]);
        command.env("MAX_CONNECTION_AGE_MS", "200");
        Self::started(command)
    }

    fn started(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut told = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let port = told.find_map(|line| line.strip_prefix("listening ")?.parse().ok());
        std::thread::spawn(move || told.for_each(drop)); // or it would wait for a reader
        Self {
            port: port.expect("the service tells its port"),
            _grpcio: Some(Process(child)),
            _front: None,
            _files: None,
        }
    }
}

/// A way from a client to a service.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// To the app with this `protocol`.
    Inbound(&'static str),
    /// The same with TLS from the client.
    InboundTls,
    /// From the app to an upstream with prior knowledge.
    Outbound,
    /// From the app to an upstream that speaks TLS.
    OutboundTls,
}

const WAYS: [Way; 5] = [
    Way::Inbound("h2c"),
    Way::Inbound("auto"),
    Way::InboundTls,
    Way::Outbound,
    Way::OutboundTls,
];

/// A proxy on such a way.
struct Route {
    _proxy: Proxy,
    address: SocketAddr,
    /// The CA that clients must trust, if TLS is used.
    ca: Option<Ca>,
    _service: Service,
}

impl Way {
    /// `serve` starts the service, with this certificate where it is to speak TLS itself.
    fn lay(self, serve: impl FnOnce(Option<&Leaf>) -> Service) -> Route {
        let plain = |proxy: Proxy, listener: &str, service| {
            let address = proxy.address(listener);
            Route {
                _proxy: proxy,
                address,
                ca: None,
                _service: service,
            }
        };
        match self {
            Self::Inbound(protocol) => {
                let service = serve(None);
                let proxy = Proxy::start(&format!(
                    "workers: 1\napp: {{ port: {}, protocol: {protocol} }}\nlisteners: [{{ port: 0 }}]\n",
                    service.port
                ));
                plain(proxy, "in-0", service)
            }
            Self::InboundTls => {
                let service = serve(None);
                let Setup { proxy, ca, .. } = Setup::in_front_of(service.port, "", |_, _| {});
                let address = proxy.address("tls");
                Route {
                    _proxy: proxy,
                    address,
                    ca: Some(ca),
                    _service: service,
                }
            }
            Self::Outbound => {
                let service = serve(None);
                let upstream = format!(
                    "    endpoints: [{{ url: \"http://127.0.0.1:{}\" }}]\n    protocol: h2c\n",
                    service.port
                );
                plain(egress::start(&upstream, |_| {}), "out", service)
            }
            Self::OutboundTls => {
                let ca = Ca::new("Outside");
                let service = serve(Some(&egress::server(&ca)));
                let proxy = egress::start(&egress::to_port(service.port, ""), |folder| {
                    std::fs::write(folder.join("ca.crt"), ca.pem()).unwrap();
                });
                plain(proxy, "out", service)
            }
        }
    }
}

impl Route {
    /// tonic as a client.
    async fn tonic(&self) -> Client<Channel> {
        match &self.ca {
            None => grpc::client(self.address).await,
            Some(ca) => {
                let secure = tls::Maker::new(ca)
                    .alpn(&["h2"])
                    .done()
                    .stream(self.address)
                    .await
                    .unwrap();
                grpc::client_over(secure, self.address).await
            }
        }
    }

    /// Runs the cases of grpcio as a client; the names of those that fail, and why.
    fn grpcio(&self, python: &Path) -> Vec<String> {
        let (files, port) = (tempfile::tempdir().unwrap(), self.address.port());
        let mut command = match &self.ca {
            None => peer(python, &["call", &format!("127.0.0.1:{port}")]),
            Some(ca) => {
                let file = files.path().join("ca.crt");
                std::fs::write(&file, ca.pem()).unwrap();
                peer(
                    python,
                    &[
                        "call",
                        &format!("localhost:{port}"),
                        &file.display().to_string(),
                    ],
                )
            }
        };
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(
            told.lines().count(),
            cases::COUNT,
            "every case says something: {told}"
        );
        told.lines()
            .filter(|line| !line.starts_with("ok "))
            .map(str::to_owned)
            .collect()
    }
}

#[test]
fn grpcio_calls_grpcio() {
    let Some(python) = python() else { return };
    for way in WAYS {
        let path = way.lay(|leaf| Service::grpcio(&python, leaf));
        assert_eq!(path.grpcio(&python), [""; 0], "{way:?}");
    }
}

#[test]
fn grpcio_calls_tonic() {
    let Some(python) = python() else { return };
    for way in WAYS {
        let path = way.lay(Service::tonic);
        assert_eq!(path.grpcio(&python), [""; 0], "{way:?}");
    }
}

#[tokio::test]
async fn tonic_calls_grpcio() {
    let Some(python) = python() else { return };
    for way in WAYS {
        let path = way.lay(|leaf| Service::grpcio(&python, leaf));
        assert_eq!(cases::failed(&path).await, [""; 0], "{way:?}");
    }
}

#[tokio::test]
async fn tonic_calls_tonic() {
    for way in WAYS {
        let path = way.lay(Service::tonic);
        assert_eq!(cases::failed(&path).await, [""; 0], "{way:?}");
    }
}
