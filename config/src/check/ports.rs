//! Address conflicts.

use std::net::{IpAddr, SocketAddr};

use crate::{
    app::AppAddress,
    block::{
        At,
        problem::{Place, Report},
    },
    file::{Config, File},
    server::ServerOrOff,
};

/// A listener or server that binds an address.
struct Holder {
    what: String,
    socket: SocketAddr,
    /// An unspecified IPv6 address that covers IPv4 too.
    dual_stack: bool,
    /// The position in the file; `None` for a default.
    place: Option<Place>,
}

/// Reports every pair of listeners or servers that cannot both bind their address.
pub(crate) fn check(file: &File, config: &Config, report: &mut Report) {
    let holders = holders(file, config);
    for (index, later) in holders.iter().enumerate() {
        let Some(earlier) = holders[..index]
            .iter()
            .find(|earlier| overlap(earlier, later))
        else {
            continue;
        };
        // The message is at a position that the user can change.
        let (here, other) = if later.place.is_some() {
            (later, earlier)
        } else {
            (earlier, later)
        };
        let Some(place) = &here.place else { continue };
        let spot = match &other.place {
            Some(place) => format!("at {}", report.spot(place)),
            None => "by default".to_owned(),
        };
        let port = here.socket.port();
        let message = format!(
            "port {port} of {} is already used by {} ({spot})",
            here.what, other.what
        );
        report.error(place, "port-conflict", message, "use different ports");
    }
}

fn holders(file: &File, config: &Config) -> Vec<Holder> {
    let mut holders = Vec::new();
    if let Some(AppAddress::Tcp(socket)) = config.app.as_ref().map(|app| &app.address) {
        let place = file
            .app
            .as_ref()
            .and_then(|app| app.value.port.as_ref())
            .map(|port| port.place.clone());
        holders.push(Holder {
            what: "the app".to_owned(),
            socket: *socket,
            dual_stack: false,
            place,
        });
    }
    let written = file
        .listeners
        .as_ref()
        .map_or(&[][..], |listeners| &listeners.value);
    for (index, listener) in config.listeners.iter().enumerate() {
        let block = written.get(index).map(|item| &item.value);
        let port = block
            .and_then(|block| block.port.as_ref())
            .map(|port| port.place.clone());
        let address = block
            .and_then(|block| block.address.as_ref())
            .map(|address| address.place.clone());
        holders.push(Holder {
            what: format!("the listener `{}`", listener.name),
            socket: listener.address.socket,
            dual_stack: listener.address.dual_stack,
            place: port.or(address),
        });
    }
    for (what, server, written) in [
        ("the status server", config.status, file.status.as_ref()),
        ("the admin server", config.admin, file.admin.as_ref()),
    ] {
        if let Some(server) = server {
            let (what, socket) = (what.to_owned(), server.socket);
            holders.push(Holder {
                what,
                socket,
                dual_stack: true,
                place: written.and_then(address_place),
            });
        }
    }
    holders
}

fn address_place(server: &At<ServerOrOff>) -> Option<Place> {
    match &server.value {
        ServerOrOff::On(block) => block.address.as_ref().map(|address| address.place.clone()),
        ServerOrOff::Off => None,
    }
}

fn overlap(a: &Holder, b: &Holder) -> bool {
    let same_port = a.socket.port() == b.socket.port() && a.socket.port() != 0;
    same_port && (covers(a, b.socket.ip()) || covers(b, a.socket.ip()))
}

/// Whether a holder's address covers another.
fn covers(holder: &Holder, other: IpAddr) -> bool {
    let own = holder.socket.ip();
    own == other
        || (own.is_unspecified()
            && (own.is_ipv4() == other.is_ipv4() || (own.is_ipv6() && holder.dual_stack)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_overlap_when_one_covers_the_other() {
        let holder = |text: &str, dual_stack| Holder {
            what: String::new(),
            socket: text.parse().unwrap(),
            dual_stack,
            place: None,
        };
        for (a, dual, b, expected) in [
            ("[::]:90", true, "127.0.0.1:90", true),
            ("[::]:90", false, "127.0.0.1:90", false),
            ("[::]:90", false, "[::1]:90", true),
            ("0.0.0.0:90", false, "127.0.0.1:90", true),
            ("0.0.0.0:90", false, "[::1]:90", false),
            ("127.0.0.1:90", false, "127.0.0.2:90", false),
            ("127.0.0.1:90", false, "127.0.0.1:91", false),
            ("127.0.0.1:90", false, "127.0.0.1:90", true),
            ("[::]:0", true, "[::]:0", false),
        ] {
            assert_eq!(
                overlap(&holder(a, dual), &holder(b, false)),
                expected,
                "{a} {b}"
            );
            assert_eq!(
                overlap(&holder(b, false), &holder(a, dual)),
                expected,
                "{b} {a}"
            );
        }
    }
}
