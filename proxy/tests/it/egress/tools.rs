//! The same with other people's servers and clients: curl through the proxy to openssl and nginx, where installed.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
};

use super::{server, start, to_port};
use crate::support::{
    Proxy,
    live::free_port,
    pki::{Ca, Wanted},
    wait_for,
};

fn is_there(program: &str) -> bool {
    let there = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
    let there = there.is_ok_and(|output| output.status.success());
    if !there {
        eprintln!("SKIPPED: {program} is not installed");
    }
    there
}

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
    [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat()
}

/// A proxy that shows a certificate to an endpoint on this port.
fn mutual(port: u16, files: impl FnOnce(&Path, &Ca)) -> Proxy {
    let ca = Ca::new("Outside");
    let keys = "      certFile: client.crt\n      keyFile: client.key\n";
    start(&to_port(port, keys), |folder| {
        std::fs::write(folder.join("ca.crt"), ca.pem()).unwrap();
        server(&ca).write(folder, "server");
        ca.sign(Wanted::client("orders")).write(folder, "client");
        files(folder, &ca);
    })
}

#[test]
fn curl_reaches_openssl() {
    if !is_there("openssl") || !is_there("curl") {
        return;
    }
    for version in ["-tls1_2", "-tls1_3"] {
        let port = free_port();
        let proxy = mutual(port, |_, _| {});
        let mut command = Command::new("openssl");
        command
            .args(["s_server", "-accept", &port.to_string(), "-cert", "server.crt", "-key", "server.key"])
            .args(["-CAfile", "ca.crt", "-Verify", "2", "-verify_return_error", "-www", version])
            .current_dir(proxy.folder())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let _server = Server(command.spawn().unwrap());
        let text = wait_for("openssl to answer", || {
            let text = curl(&proxy, &[]);
            (!text.contains("502")).then_some(text)
        });
        let named = text.contains("CN = orders") || text.contains("CN=orders");
        assert!(text.starts_with("HTTP/1.1 200") && named, "{text}\n{}", proxy.stderr());
    }
}

#[test]
fn curl_reaches_nginx() {
    if !is_there("nginx") || !is_there("curl") {
        return;
    }
    let port = free_port();
    let proxy = mutual(port, |folder, _| {
        let conf = format!(
            "daemon off; master_process off; pid nginx.pid; error_log nginx.log;\nevents {{}}\nhttp {{\n\
             access_log off; client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; \
             scgi_temp_path s;\nserver {{ listen 127.0.0.1:{port} ssl; ssl_certificate server.crt; \
             ssl_certificate_key server.key; ssl_client_certificate ca.crt; ssl_protocols TLSv1.2 TLSv1.3; ssl_verify_client on;\n\
             location / {{ return 200 \"$ssl_client_s_dn $host $ssl_server_name $ssl_protocol\"; }} }} }}\n"
        );
        std::fs::write(folder.join("nginx.conf"), conf).unwrap();
    });
    let mut command = Command::new("nginx");
    command
        .args(["-p", &format!("{}/", proxy.folder().display()), "-c", "nginx.conf"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let _server = Server(command.spawn().unwrap());
    let text = wait_for("nginx to answer", || {
        let text = curl(&proxy, &[]);
        (!text.contains(" 502 ")).then_some(text)
    });
    assert!(text.ends_with("CN=orders localhost localhost TLSv1.3"), "{text}\n{}", proxy.stderr());
}
