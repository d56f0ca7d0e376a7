//! `outrigger drain`, for `preStop` hooks. It needs no shell and no curl in the image.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    thread,
    time::Duration,
};

use outrigger_config::{ProcessEnvironment, load_path};

use super::{DONE, FAILED, print_error};

/// The admin address if neither the command line nor the configuration sets one.
const DEFAULT_ADMIN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9901);

/// Timeout of a request to the admin server, which is on loopback.
const PATIENCE: Duration = Duration::from_secs(5);

/// The polling interval of `--wait`.
const LOOK: Duration = Duration::from_millis(100);

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The admin address; by default the one in the configuration file, or 127.0.0.1:9901
    #[arg(long, value_name = "ADDR")]
    admin: Option<SocketAddr>,
    /// The configuration file
    #[arg(short, long, env = "OUTRIGGER_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Return when no inbound connection is left, or drainTimeout has passed
    #[arg(long)]
    wait: bool,
}

pub(super) fn drain(arguments: &Arguments) -> u8 {
    let admin = arguments
        .admin
        .unwrap_or_else(|| configured(arguments.config.as_ref()));
    match ask(admin, "POST", "/drain") {
        Ok(_) => {
            if arguments.wait {
                wait(admin);
            }
            DONE
        }
        Err(error) => {
            print_error(format_args!(
                "error: the admin server at {admin} does not answer: {error}\n"
            ));
            FAILED
        }
    }
}

fn configured(file: Option<&PathBuf>) -> SocketAddr {
    let config = file.and_then(|file| load_path(file, &ProcessEnvironment).ok());
    config
        .and_then(|loaded| loaded.config.admin)
        .map_or(DEFAULT_ADMIN, |admin| admin.socket)
}

/// Waits until no connection is left. A proxy that stops responding has ended, and with it its
/// connections.
fn wait(admin: SocketAddr) {
    while let Ok(status) = ask(admin, "GET", "/status") {
        if matches!(phase(&status).as_deref(), Some("drained" | "ending")) {
            return;
        }
        thread::sleep(LOOK);
    }
}

fn phase(answer: &str) -> Option<String> {
    let (_, body) = answer.split_once("\r\n\r\n")?;
    let status: serde_json::Value = serde_json::from_str(body).ok()?;
    Some(status["phase"].as_str()?.to_owned())
}

/// One HTTP/1.1 exchange; a response over 299 is an error.
fn ask(admin: SocketAddr, method: &str, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&admin, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer
        .split_ascii_whitespace()
        .nth(1)
        .and_then(|status| status.parse().ok())
    {
        Some(200..=299) => Ok(answer),
        Some::<u16>(status) => Err(io::Error::other(format!("status {status}"))),
        None => Err(io::Error::other("this is no HTTP server")),
    }
}
