//! Steps 1 to 3: validates the head, determines the client, and makes the head unambiguous.
//!
//! Afterwards the target is in origin form with the canonical path, Host exists and is the only
//! authority, all hop-by-hop fields are removed, and fields that the proxy owns contain only its
//! values.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header, request::Parts};
use outrigger_config::model::{Direction, Listener, Scheme, UrlRewrite};
use outrigger_filters::{
    claim_headers::ClaimHeaders,
    client_address::{self, ClientAddress},
    context::{Exchange, RequestId},
    error::Error,
    framing::{self, Authority},
    grpc,
    hop_by_hop::{self, Hop},
    host,
    owned_headers::{self, Forwarded, Own, Taken},
    path,
    reason::Reason,
    request_id, rewrite,
};

use crate::{Runtime, Subject};

/// Facts about a head, as far as it was checked.
#[derive(Debug, Default)]
pub struct Facts {
    /// The request is a gRPC call.
    pub is_grpc: bool,
    /// The client sent `Expect: 100-continue`.
    pub expects: bool,
    /// The deadline of a gRPC call, from its start.
    pub grpc_timeout: Option<Duration>,
    /// The client's address.
    pub client: Option<ClientAddress>,
    /// The fields were cleaned, and everything below is known.
    pub is_clean: bool,
    /// The content of the hop-by-hop fields.
    pub hop: Hop,
    /// The scheme that the client uses, towards the proxy or towards the trusted peer in front of
    /// it.
    pub scheme: Scheme,
    /// The request id from a trusted peer; without one the proxy generates one.
    pub kept_id: Option<RequestId>,
    /// The `x-forwarded-*` fields for the app; `None` on outbound listeners.
    pub forwarded: Option<Forwarded>,
}

impl Facts {
    /// Stores the facts in the exchange for the steps of the request. Large values are moved once.
    #[inline]
    pub fn write(&mut self, exchange: &Exchange, new_id: impl FnOnce() -> RequestId) {
        exchange.is_grpc.set(self.is_grpc);
        exchange.expects.set(self.expects);
        if let Some(limit) = self.grpc_timeout {
            exchange.deadline.set(exchange.started.checked_add(limit));
        }
        if let Some(client) = self.client {
            exchange.client_address.set(client.address);
        }
        if !self.is_clean {
            return;
        }
        let _ = exchange.hop.set(std::mem::take(&mut self.hop));
        exchange.scheme.set(self.scheme);
        let id = self.kept_id.take().unwrap_or_else(new_id);
        let _ = exchange.request_id.set(id.clone());
        *exchange.own.borrow_mut() = Some(Own {
            request_id: id,
            forwarded: self.forwarded.take(),
            attempt: None,
        });
    }
}

/// Checks a head and makes it canonical. `facts` contains the facts so far, also if the head is
/// rejected.
///
/// # Errors
/// The head is too large, malformed or ambiguous, or its host does not belong to the connection's
/// certificate.
#[inline]
pub fn admit<R: Runtime>(
    head: &mut Parts,
    subject: &Subject<'_>,
    runtime: &R,
    facts: &mut Facts,
) -> Result<(), Error> {
    let listener = Listening {
        model: runtime.config().listener(subject.listener),
        claim_headers: runtime.claim_headers(subject.listener),
        is_one_certificate: &|one, other| runtime.is_one_certificate(subject.listener, one, other),
    };
    check_and_clean(head, subject, &listener, facts)
}

/// Settings of the listener.
struct Listening<'a> {
    model: &'a Listener,
    claim_headers: Option<&'a ClaimHeaders>,
    is_one_certificate: &'a dyn Fn(&str, &str) -> bool,
}

/// The function above without generics, so that it is compiled here, in one piece with everything
/// that it calls.
fn check_and_clean(
    head: &mut Parts,
    subject: &Subject<'_>,
    listener: &Listening<'_>,
    facts: &mut Facts,
) -> Result<(), Error> {
    let model = listener.model;
    let mut scan = FieldScan::default();
    let checked = framing::check(head, &model.limits, |name, value| scan.see(name, value));
    (facts.is_grpc, facts.expects) = (scan.is_grpc, scan.expects);
    let authority = checked?;
    if scan.is_grpc {
        facts.grpc_timeout = grpc::timeout(&head.headers);
    }
    let misdirected =
        authority.is_some_and(|authority| is_misdirected(subject, listener, authority.text));
    let host = authority.map(Host::of).transpose()?;
    let client = decide_client(&head.headers, subject, model, &scan);
    let peer_trusted = client.address.peer_trusted;
    facts.client = Some(client.address);
    clean(head, subject, model, client, host, &scan, facts).map_err(Error::Malformed)?;
    // A proxy in front of this one names the hop in SNI, and forwards the Host of its client.
    if misdirected && !peer_trusted {
        return Err(Error::Misdirected);
    }
    if let Some(claim_headers) = listener.claim_headers {
        claim_headers.strip(&mut head.headers);
    }
    // Fields nominated by `Connection` are removed before the proxy adds its own (CVE-2024-45410).
    canonical_target(head, model)
}

/// Facts for the response to a head that was rejected before they were checked: gRPC format, and no
/// `100 Continue`.
pub fn note_refused(headers: &HeaderMap, exchange: &Exchange) {
    exchange.is_grpc.set(grpc::is_grpc(headers));
    exchange.expects.set(headers.contains_key(header::EXPECT));
}

/// Whether a new connection for this authority would get another certificate than the server name
/// of this connection. Allocates only if the two names differ, and the authority is not in lower
/// case.
fn is_misdirected(subject: &Subject<'_>, listener: &Listening<'_>, authority: &str) -> bool {
    let Some(asked) = subject.tls.as_ref().and_then(|tls| tls.server_name) else {
        return false;
    };
    let name = host::name_of(authority);
    let is_one = || {
        let name = host::canonical(name, Scheme::Https);
        (listener.is_one_certificate)(asked, &name)
    };
    !name.eq_ignore_ascii_case(asked) && !is_one()
}

/// The result of the one pass over the fields.
#[derive(Default)]
struct FieldScan {
    owned: owned_headers::Found,
    hop: hop_by_hop::Found,
    is_grpc: bool,
    expects: bool,
}

impl FieldScan {
    fn see(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.owned.see(name);
        self.hop.see(name);
        match *name {
            header::CONTENT_TYPE if grpc::is_type(value) => self.is_grpc = true,
            header::EXPECT => self.expects = true,
            _ => {}
        }
    }
}

/// The authority as a Host value.
struct Host {
    value: HeaderValue,
    /// The value is among the fields already.
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

/// The client's address, and the `x-forwarded-*` fields for the app.
struct Client {
    address: ClientAddress,
    forwarded_for: HeaderValue,
}

/// 2: the client, from the peer and the fields of a trusted peer.
fn decide_client(
    headers: &HeaderMap,
    subject: &Subject<'_>,
    listener: &Listener,
    scan: &FieldScan,
) -> Client {
    let lines = scan
        .owned
        .owned()
        .then(|| headers.get_all(&owned_headers::X_FORWARDED_FOR));
    let received = || lines.iter().flatten();
    let address = client_address::decide(subject.peer, &listener.trusted_cidrs, received());
    let forwarded_for = match address.peer_trusted {
        true => {
            let received: Vec<&HeaderValue> = received().collect();
            client_address::appended_value(subject.peer, received.into_iter())
        }
        false => subject.peer_value.clone(),
    };
    Client {
        address,
        forwarded_for,
    }
}

/// 3: removes owned and hop-by-hop fields.
fn clean(
    head: &mut Parts,
    subject: &Subject<'_>,
    listener: &Listener,
    client: Client,
    host: Option<Host>,
    scan: &FieldScan,
    facts: &mut Facts,
) -> Result<(), Reason> {
    let headers = &mut head.headers;
    let outbound = listener.direction == Direction::Outbound;
    let peer_trusted = client.address.peer_trusted;
    let taken = scan
        .owned
        .strip(headers, listener.underscore_headers, peer_trusted)?;
    facts.hop = scan.hop.strip(headers, owned_headers::owns);
    let spoken = match subject.tls {
        Some(_) => Scheme::Https,
        None => Scheme::Http,
    };
    // On an outbound listener the app may choose the id of its own calls.
    facts.kept_id = request_id::keep(taken.request_id.clone(), peer_trusted || outbound);
    facts.scheme = scheme(&taken, peer_trusted, spoken);
    if !outbound {
        facts.forwarded = Some(forwarded(
            taken,
            peer_trusted,
            client.forwarded_for,
            spoken,
            host.as_ref().map(|host| &host.value),
            subject.forwarded_certificate(listener),
        ));
    }
    if let Some(host) = host.filter(|host| !host.received) {
        headers.insert(header::HOST, host.value);
    }
    facts.is_clean = true;
    Ok(())
}

/// The `x-forwarded-*` fields for the app; values of a trusted peer are kept.
fn forwarded(
    taken: Taken,
    believed: bool,
    address: HeaderValue,
    spoken: Scheme,
    host: Option<&HeaderValue>,
    client_cert: Option<HeaderValue>,
) -> Forwarded {
    let proto = taken.forwarded_proto.filter(|_| believed);
    Forwarded {
        address,
        proto: proto.unwrap_or_else(|| HeaderValue::from_static(spoken.as_str())),
        host: taken
            .forwarded_host
            .filter(|_| believed)
            .or_else(|| host.cloned()),
        client_cert,
    }
}

/// The scheme between the client and the first proxy: that of a trusted peer, if it is `http` or
/// `https`. A WebSocket has the scheme of its request.
fn scheme(taken: &Taken, believed: bool, spoken: Scheme) -> Scheme {
    let received = taken.forwarded_proto.as_ref().filter(|_| believed);
    match received
        .map(|proto| proto.as_bytes().to_ascii_lowercase())
        .as_deref()
    {
        None => spoken,
        Some(b"https" | b"wss") => Scheme::Https,
        Some(_) => Scheme::Http,
    }
}

/// Writes the canonical path into an origin-form target. `*` of OPTIONS is kept.
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
