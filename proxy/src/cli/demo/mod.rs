//! `outrigger demo`: a small app, a commented configuration, and the proxy on it.
//!
//! Everything listens on loopback. A port in use is not fatal: a free one is used instead. The
//! configuration is in a temporary folder that is removed at the end.

mod app;

use std::{
    env, fs, io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process,
};

use super::{FAILED, print_error, run};
use crate::control::{self, ConfigSource, StartError};

/// Another process may take a free port between the check and its use; then the next attempt
/// chooses others.
const ATTEMPTS: usize = 3;

pub(super) fn demo() -> u8 {
    let prepared = || -> io::Result<_> {
        let folder = Folder::new()?;
        let log = folder.0.join("app.log");
        let app = app::start("app", 8080, Some(log))?;
        Ok((app, app::start("canary", 0, None)?, folder))
    };
    let (app, canary, folder) = match prepared() {
        Ok(prepared) => prepared,
        Err(error) => {
            print_error(format_args!("error: cannot prepare the demo: {error}\n"));
            return FAILED;
        }
    };
    let file = folder.0.join("outrigger.yaml");
    let mut attempt = 1;
    loop {
        let ports = Ports::choose();
        if let Err(error) = fs::write(&file, configuration(app, canary, &ports, &folder.0)) {
            print_error(format_args!(
                "error: cannot write {}: {error}\n",
                file.display()
            ));
            return FAILED;
        }
        print_error(guide(&file.display().to_string(), &ports));
        let ended = control::run(ConfigSource::File(file.clone()), Vec::new());
        if !matches!(ended, Err(StartError::Bind { .. })) || attempt == ATTEMPTS {
            return run::code(ended);
        }
        attempt += 1;
    }
}

/// A folder for this run; removed on drop.
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Self> {
        let path = env::temp_dir().join(format!(
            "outrigger-demo-{}-{:08x}",
            process::id(),
            fastrand::u32(..)
        ));
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0); // the system cleans up what is left
    }
}

/// The listen addresses.
struct Ports {
    web: u16,
    admin: u16,
    status: u16,
}

impl Ports {
    fn choose() -> Self {
        // All sockets are held until all ports are chosen, so that no port is chosen twice.
        let [web, admin, status] = [8000, 9901, 9902].map(free);
        let port = |held: &Option<TcpListener>| {
            held.as_ref()
                .and_then(|one| one.local_addr().ok())
                .map_or(0, |address| address.port())
        };
        Self {
            web: port(&web),
            admin: port(&admin),
            status: port(&status),
        }
    }
}

/// This port if it is free on every address, else another free one; `None` leaves the choice to the
/// proxy.
fn free(port: u16) -> Option<TcpListener> {
    let anywhere = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok();
    let at = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok();
    if anywhere { at(port) } else { None }.or_else(|| at(0))
}

fn configuration(app: SocketAddr, canary: SocketAddr, ports: &Ports, folder: &Path) -> String {
    let Ports { web, admin, status } = ports;
    let app = app.port();
    let folder = folder.display();
    format!(
        r#"# The demo's configuration. Change something and save: it is read again while the proxy runs. A mistake keeps
# what is served now, and says on stderr what is wrong and where.

app: {{ port: {app} }}                  # the app beside the proxy; routes without backendRefs go there

listeners:
  - name: web
    address: "127.0.0.1:{web}"        # `port: {web}` alone would listen on every address

upstreams:
  canary:                             # what a new version of the app would be
    endpoints: [{{ url: "http://{canary}" }}]

routes:                               # the most specific match wins, whatever the order
  - name: hello
    matches: [{{ path: {{ exact: /hello }} }}]
    directResponse: {{ status: 200, body: "hello from the file\n" }}   # answered without the app: change the text

  - name: old
    matches: [{{ path: /old }}]
    requestRedirect: {{ path: {{ replacePrefixMatch: /new }}, statusCode: 302 }}

  - name: split                       # one request of four goes to the canary
    matches: [{{ path: /split }}]
    backendRefs: [{{ name: app, weight: 3 }}, {{ name: canary, weight: 1 }}]

  - name: everything-else

logs:                                 # the app's log file, as lines of JSON on stdout
  stateDir: "{folder}/state"
  sources: [{{ name: app, paths: ["{folder}/app.log"], format: json, redact: ['token=\w+'] }}]
  sinks: [{{ name: console, type: stdout }}]

status: {{ address: "127.0.0.1:{status}" }}   # /livez /readyz /startupz /metrics
admin: {{ address: "127.0.0.1:{admin}" }}     # /status /config, POST /reload, POST /drain
reload: {{ debounce: 100ms }}
lifecycle: {{ shutdownDelay: 0s, drainTimeout: 5s }}   # no load balancer has to notice the end of the demo
"#
    )
}

fn guide(file: &str, ports: &Ports) -> String {
    let Ports { web, admin, status } = ports;
    format!(
        "
Outrigger demo: a small app with the proxy in front of it. In another terminal, try

  curl -i http://127.0.0.1:{web}/any/path                    the app, through the proxy
  curl -i http://127.0.0.1:{web}/old/page                    a redirect
  for i in 1 2 3 4 5 6 7 8; do curl -s http://127.0.0.1:{web}/split | head -n 1; done
                                                            three to the app, one to the canary
  curl -i http://127.0.0.1:{web}/hello                       answered by the proxy alone
  curl -s http://127.0.0.1:{status}/metrics | grep requests_total
  curl -s 'http://127.0.0.1:{web}/any/path?token=secret'      the app logs it; stdout shows the record without the secret
  curl -s http://127.0.0.1:{admin}/status                    what the proxy says about itself

Then change the text of the route `hello`, or make a mistake, in

  {file}

and ask for /hello again. Ctrl-C ends the demo and removes the file.

"
    )
}
