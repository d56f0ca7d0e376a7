//! The same with third-party servers and clients: curl through the proxy to openssl and nginx,
//! where installed.

use std::{
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
};

use super::{server, start_in, to_port};
use crate::support::{
    Proxy, is_there,
    live::free_port,
    pki::{Ca, Wanted},
    wait_for,
};

/// Ended with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn curl(proxy: &Proxy, arguments: &[&str]) -> String {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--include", "--max-time", "20"])
        .args(arguments)
        .arg(format!("http://{}/", proxy.address("out")))
        .output()
        .unwrap();
    [&output.stdout[..], &output.stderr]
        .map(String::from_utf8_lossy)
        .concat()
}

/// A server that wants a certificate, run in a folder with `server.crt` and `ca.crt`, and a proxy that shows one to it.
fn mutual(command: impl Fn(&Path, u16) -> Command) -> (Server, Proxy) {
    for _ in 0..10 {
        let (ca, folder) = (Ca::new("Outside"), tempfile::tempdir().unwrap());
        std::fs::write(folder.path().join("ca.crt"), ca.pem()).unwrap();
        server(&ca).write(folder.path(), "server");
        ca.sign(Wanted::client("orders"))
            .write(folder.path(), "client");
        let port = free_port();
        let mut command = command(folder.path(), port);
        command
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child = Server(command.spawn().unwrap());
        let listens = wait_for("the server to listen, or to end", || {
            let ended = child.0.try_wait().unwrap().is_some();
            let listens = TcpStream::connect(("127.0.0.1", port)).is_ok();
            (ended || listens).then_some(!ended)
        });
        // Another process may have taken the port.
        if listens {
            let keys = "      certFile: client.crt\n      keyFile: client.key\n";
            return (child, start_in(folder, &to_port(port, keys)));
        }
    }
    panic!("the server never listens");
}

#[test]
fn curl_reaches_openssl() {
    if !is_there("openssl") || !is_there("curl") {
        return;
    }
    for version in ["-tls1_2", "-tls1_3"] {
        let (_server, proxy) = mutual(|_, port| {
            let mut command = Command::new("openssl");
            command
                .args([
                    "s_server",
                    "-accept",
                    &port.to_string(),
                    "-cert",
                    "server.crt",
                    "-key",
                    "server.key",
                ])
                .args([
                    "-CAfile",
                    "ca.crt",
                    "-Verify",
                    "2",
                    "-verify_return_error",
                    "-www",
                    version,
                ]);
            command
        });
        let text = curl(&proxy, &[]);
        let named = text.contains("CN = orders") || text.contains("CN=orders");
        assert!(
            text.starts_with("HTTP/1.1 200") && named,
            "{text}\n{}",
            proxy.stderr()
        );
    }
}

#[test]
fn curl_reaches_nginx() {
    if !is_there("nginx") || !is_there("curl") {
        return;
    }
    let (_server, proxy) = mutual(|folder, port| {
        let conf = format!(
            "daemon off; master_process off; pid nginx.pid; error_log nginx.log;\nevents {{}}\nhttp {{\n\
             access_log off; client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; \
             scgi_temp_path s;\nserver {{ listen 127.0.0.1:{port} ssl; ssl_certificate server.crt; \
             ssl_certificate_key server.key; ssl_client_certificate ca.crt; ssl_protocols TLSv1.2 TLSv1.3; \
             ssl_verify_client on;\n\
             location / {{ return 200 \"$ssl_client_s_dn $host $ssl_server_name $ssl_protocol\"; }} }} }}\n"
        );
        std::fs::write(folder.join("nginx.conf"), conf).unwrap();
        let mut command = Command::new("nginx");
        command.args(["-p", &format!("{}/", folder.display()), "-c", "nginx.conf"]);
        command
    });
    let text = curl(&proxy, &[]);
    assert!(
        text.ends_with("CN=orders localhost localhost TLSv1.3"),
        "{text}\n{}",
        proxy.stderr()
    );
}
