//! A redis server of the test's own, on a free port and without a file.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::{live::free_port, wait_for};

pub struct Redis {
    child: Child,
    pub port: u16,
}

impl Redis {
    /// `None`, told loudly, where there is no redis-server.
    pub fn start() -> Option<Self> {
        Self::start_on(free_port())
    }

    pub fn start_on(port: u16) -> Option<Self> {
        let mut command = Command::new("redis-server");
        command.args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        let child = match command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn() {
            Ok(child) => child,
            Err(error) => {
                eprintln!("SKIPPED: no redis-server to test shared limits with: {error}");
                return None;
            }
        };
        let server = Self { child, port };
        wait_for("redis to start", || server.try_command("PING").filter(|reply| reply.starts_with("+PONG")));
        Some(server)
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
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
