//! A redis server of the test's own, on a free port and without a file.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::{live::free_port, wait_for};

pub struct Redis {
    child: Child,
    pub port: u16,
}

impl Redis {
    /// `None`, with a message, without redis-server.
    pub fn start() -> Option<Self> {
        Self::start_on(free_port())
    }

    pub fn start_on(port: u16) -> Option<Self> {
        let server = Self::spawn(port, &["--port", &port.to_string()])?;
        wait_for("redis to start", || {
            server
                .try_command("PING")
                .filter(|reply| reply.starts_with("+PONG"))
        });
        Some(server)
    }

    /// A server that requires this password.
    pub fn with_password(password: &str) -> Option<Self> {
        let port = free_port();
        let server = Self::spawn(
            port,
            &["--port", &port.to_string(), "--requirepass", password],
        )?;
        wait_for("redis to start", || {
            server
                .try_command("PING")
                .filter(|reply| reply.starts_with("-NOAUTH"))
        });
        Some(server)
    }

    /// A server with TLS only, with `tls.crt`, `tls.key` and `ca.crt` of a folder, that requests no
    /// client certificate.
    pub fn over_tls(folder: &Path) -> Option<Self> {
        let (port, file) = (free_port(), |name: &str| {
            folder.join(name).display().to_string()
        });
        let (cert, key, ca) = (file("tls.crt"), file("tls.key"), file("ca.crt"));
        let port_text = port.to_string();
        let tls = [
            "--tls-cert-file",
            &cert,
            "--tls-key-file",
            &key,
            "--tls-ca-cert-file",
            &ca,
        ];
        let rest = [
            "--port",
            "0",
            "--tls-port",
            &port_text,
            "--tls-auth-clients",
            "no",
        ];
        let mut server = Self::spawn(port, &[&tls[..], &rest[..]].concat())?;
        let ended = wait_for("redis to start", || {
            match server.child.try_wait().unwrap() {
                Some(_) => Some(true),
                None => TcpStream::connect(("127.0.0.1", port)).ok().map(|_| false),
            }
        });
        if ended {
            eprintln!("SKIPPED: this redis-server speaks no TLS");
            return None;
        }
        Some(server)
    }

    fn spawn(port: u16, arguments: &[&str]) -> Option<Self> {
        let mut command = Command::new("redis-server");
        command
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(arguments);
        let child = match command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
        {
            Ok(child) => child,
            Err(error) => {
                eprintln!("SKIPPED: no redis-server to test shared limits with: {error}");
                return None;
            }
        };
        Some(Self { child, port })
    }

    /// The first bytes of the reply to a command in one line.
    pub fn command(&self, line: &str) -> String {
        self.try_command(line).unwrap()
    }

    fn try_command(&self, line: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        stream.write_all(format!("{line}\r\n").as_bytes()).ok()?;
        let mut reply = [0; 16 * 1024];
        let read = stream.read(&mut reply).ok()?;
        Some(String::from_utf8_lossy(&reply[..read]).into_owned())
    }

    /// Stops it without a word, or lets it go on: connections stay open, and nothing is answered.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
