//! A minimal proxy built with Pingora: `pingora-peer FILE`, a file of `key value` lines.
//!
//! Keys: `listen` (address), `upstream` (address), `socket` (path, instead of it), `h2c` (yes:
//! HTTP/2 without TLS on both sides), `certificate` and `key` (TLS), `clients` (CA file: clients
//! must present a certificate), `resumption` (yes).

use std::collections::HashMap;
use std::error::Error as StdError;
use std::net::SocketAddr;
use std::path::PathBuf;

use async_trait::async_trait;
use pingora::apps::HttpServerOptions;
use pingora::listeners::tls::TlsSettings;
use pingora::prelude::*;
use pingora::protocols::tls::ALPN;
use pingora::server::configuration::ServerConf;
use pingora::tls::ssl::{SslOptions, SslSessionCacheMode, SslVerifyMode};

/// Idle upstream connections in the pool.
const POOL: usize = 1024;

enum Upstream {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

struct Peer {
    upstream: Upstream,
    h2c: bool,
}

#[async_trait]
impl ProxyHttp for Peer {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _session: &mut Session, _context: &mut ()) -> Result<Box<HttpPeer>> {
        let mut peer = match &self.upstream {
            Upstream::Tcp(address) => HttpPeer::new(*address, false, String::new()),
            Upstream::Unix(path) => HttpPeer::new_uds(&path.to_string_lossy(), false, String::new())?,
        };
        if self.h2c {
            peer.options.alpn = ALPN::H2;
        }
        Ok(Box::new(peer))
    }
}

fn main() -> std::result::Result<(), Box<dyn StdError>> {
    let file = std::env::args().nth(1).ok_or("usage: pingora-peer FILE")?;
    if file == "--version" {
        println!("pingora 0.9");
        return Ok(());
    }
    let text = std::fs::read_to_string(file)?;
    let settings: HashMap<_, _> = text.lines().filter_map(|line| line.trim().split_once(' ')).collect();
    let setting = |key: &str| settings.get(key).copied();
    let upstream = match (setting("upstream"), setting("socket")) {
        (Some(address), None) => Upstream::Tcp(address.parse()?),
        (None, Some(path)) => Upstream::Unix(path.into()),
        _ => return Err("give either upstream or socket".into()),
    };
    let listen = setting("listen").ok_or("listen is missing")?;
    let h2c = setting("h2c") == Some("yes");

    let conf = ServerConf { threads: 1, work_stealing: false, upstream_keepalive_pool_size: POOL, ..Default::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, Peer { upstream, h2c });
    if h2c {
        let mut options = HttpServerOptions::default();
        options.h2c = true;
        service.app_logic_mut().ok_or("the service has no logic")?.server_options = Some(options);
    }
    match (setting("certificate"), setting("key")) {
        (Some(certificate), Some(key)) => {
            let mut tls = TlsSettings::intermediate(certificate, key)?;
            tls.enable_h2();
            if setting("resumption") != Some("yes") {
                tls.set_options(SslOptions::NO_TICKET);
                tls.set_session_cache_mode(SslSessionCacheMode::OFF);
            }
            if let Some(ca) = setting("clients") {
                tls.set_ca_file(ca)?;
                tls.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
            }
            service.add_tls_with_settings(listen, None, tls);
        }
        _ => service.add_tcp(listen),
    }
    server.add_service(service);
    server.run_forever()
}
