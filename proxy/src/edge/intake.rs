//! Steps 1 to 3: what is refused at the door, who the client is, and a head in which nothing is left to doubt.
//!
//! Afterwards the target is in origin form with the canonical path, Host is there and is the one authority, no
//! hop-by-hop field is left, and the headers that the proxy owns are the proxy's.

use http::{HeaderName, HeaderValue, Method, header, request::Parts};
use outrigger_config::model::{Listener, ListenerId, Scheme, UrlRewrite};
use outrigger_filters::{
    client_address,
    context::Exchange,
    error::Error,
    framing::{self, Authority},
    grpc, hop_by_hop,
    owned_headers::{self, Forwarded, Own, Taken},
    path,
    reason::Reason,
    request_id, rewrite,
};

use super::is_outbound;
use crate::{codec::http2::Truncated, connection::client::Client, view::View};

/// Checks a head and makes it canonical.
///
/// # Errors
/// Too large, malformed, to be read in two ways, or for a host that the connection was not opened for.
pub(super) fn admit(
    head: &mut Parts,
    client: &Client,
    view: &View,
    id: ListenerId,
    exchange: &Exchange,
) -> Result<(), Error> {
    if head.extensions.get::<Truncated>().is_some() {
        return Err(Error::HeadersTooLarge);
    }
    let claim_headers = view.claim_headers(id);
    let listener = view.config().listener(id);
    let mut found = Found::default();
    let authority = framing::check(head, &listener.limits, |name, value| {
        found.see(name, value, exchange)
    })?;
    if exchange.is_grpc.get() {
        let deadline =
            grpc::timeout(&head.headers).and_then(|limit| exchange.started.checked_add(limit));
        exchange.deadline.set(deadline);
    }
    let misdirected =
        authority.is_some_and(|authority| client.is_misdirected(view, id, authority.text));
    let host = authority.map(Host::of).transpose()?;
    let peer_trusted = identify(head, client, listener, exchange, host, &found)?;
    // A proxy in front of us names the hop in SNI, and hands on the Host of its client.
    if misdirected && !peer_trusted {
        return Err(Error::Misdirected);
    }
    if let Some(claim_headers) = claim_headers {
        claim_headers.strip(&mut head.headers);
    }
    // Nominations of `Connection` go before the proxy adds what is its own (CVE-2024-45410).
    canonical_target(head, listener)?;
    Ok(())
}

/// What the one pass over the fields found for the steps here.
#[derive(Default)]
struct Found {
    owned: owned_headers::Found,
    hop: hop_by_hop::Found,
}

impl Found {
    fn see(&mut self, name: &HeaderName, value: &HeaderValue, exchange: &Exchange) {
        self.owned.see(name);
        self.hop.see(name);
        match *name {
            header::CONTENT_TYPE if grpc::is_type(value) => exchange.is_grpc.set(true),
            header::EXPECT => exchange.expects.set(true),
            _ => {}
        }
    }
}

/// The one authority as a Host value.
struct Host {
    value: HeaderValue,
    /// It stands among the fields already.
    received: bool,
}

impl Host {
    fn of(authority: Authority<'_>) -> Result<Self, Error> {
        match authority.host {
            Some(host) => Ok(Self {
                value: host.clone(),
                received: true,
            }),
            None => HeaderValue::from_str(authority.text)
                .map(|value| Self {
                    value,
                    received: false,
                })
                .map_err(|_| Error::Malformed(Reason::RequestHost)),
        }
    }
}

/// 2 and 3: who the client is, and only our own words about it. Whether its peer is trusted.
fn identify(
    head: &mut Parts,
    client: &Client,
    listener: &Listener,
    exchange: &Exchange,
    host: Option<Host>,
    found: &Found,
) -> Result<bool, Error> {
    let headers = &mut head.headers;
    let outbound = is_outbound(listener.direction);
    let lines = found
        .owned
        .owned()
        .then(|| headers.get_all(&owned_headers::X_FORWARDED_FOR));
    let received = || lines.iter().flatten();
    let address = client_address::decide(client.peer, &listener.trusted_cidrs, received());
    exchange.client_address.set(address.address);
    let forwarded_for = match address.peer_trusted {
        true => {
            let received: Vec<&HeaderValue> = received().collect();
            client_address::appended_value(client.peer, received.into_iter())
        }
        false => client.peer_value.clone(),
    };
    let trusted = address.peer_trusted || outbound; // the app may choose the id of its own calls
    let taken = found
        .owned
        .strip(headers, listener.underscore_headers, address.peer_trusted)
        .map_err(Error::Malformed)?;
    let _ = exchange
        .hop
        .set(found.hop.strip(headers, owned_headers::owns));
    let id = request_id::keep(taken.request_id.clone(), trusted)
        .unwrap_or_else(|| client.worker.request_ids.next());
    let _ = exchange.request_id.set(id.clone());
    let spoken = if client.is_secure() {
        Scheme::Https
    } else {
        Scheme::Http
    };
    exchange
        .scheme
        .set(scheme(&taken, address.peer_trusted, spoken));
    let forwarded = (!outbound).then(|| Forwarded {
        client_cert: client.forwarded_certificate(listener),
        ..forwarded(
            taken,
            address.peer_trusted,
            forwarded_for,
            spoken,
            host.as_ref().map(|host| &host.value),
        )
    });
    *exchange.own.borrow_mut() = Some(Own {
        request_id: id,
        forwarded,
        attempt: None,
    });
    if let Some(host) = host.filter(|host| !host.received) {
        headers.insert(header::HOST, host.value);
    }
    Ok(address.peer_trusted)
}

/// What the app is told about the client; a trusted peer's own words count.
fn forwarded(
    taken: Taken,
    believed: bool,
    address: HeaderValue,
    spoken: Scheme,
    host: Option<&HeaderValue>,
) -> Forwarded {
    let proto = taken.forwarded_proto.filter(|_| believed);
    Forwarded {
        address,
        proto: proto.unwrap_or_else(|| HeaderValue::from_static(spoken.as_str())),
        host: taken
            .forwarded_host
            .filter(|_| believed)
            .or_else(|| host.cloned()),
        client_cert: None,
    }
}

/// What the client speaks to the first of us: what a trusted peer says about it, where it says one of the two. A
/// WebSocket's scheme is that of the request that began it.
fn scheme(taken: &Taken, believed: bool, spoken: Scheme) -> Scheme {
    let told = taken.forwarded_proto.as_ref().filter(|_| believed);
    match told
        .map(|proto| proto.as_bytes().to_ascii_lowercase())
        .as_deref()
    {
        None => spoken,
        Some(b"https" | b"wss") => Scheme::Https,
        Some(_) => Scheme::Http,
    }
}

/// The canonical path in an origin-form target. `*` of OPTIONS stays.
fn canonical_target(head: &mut Parts, listener: &Listener) -> Result<(), Error> {
    if head.method == Method::OPTIONS && head.uri.path() == "*" {
        return Ok(());
    }
    let canonical = path::canonical(head.uri.path(), listener.paths).map_err(Error::Malformed)?;
    let target = rewrite::target(&UrlRewrite::default(), None, &canonical, &head.uri)
        .map_err(Error::Malformed)?;
    if let Some(target) = target {
        head.uri = target;
    }
    Ok(())
}
