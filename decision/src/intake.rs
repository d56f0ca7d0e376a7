//! Steps 1 to 3: what is refused at the door, who the client is, and a head in which nothing is left to doubt.
//!
//! Afterwards the target is in origin form with the canonical path, Host is there and is the one authority, no
//! hop-by-hop field is left, and the headers that the proxy owns are the proxy's.

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

/// What a look at a head has found out, as far as it came.
#[derive(Debug, Default)]
pub struct Facts {
    /// It is a gRPC call.
    pub is_grpc: bool,
    /// The client expects something before it sends its body.
    pub expects: bool,
    /// How long a gRPC client waits for the end of its call.
    pub grpc_timeout: Option<Duration>,
    /// Who the client is.
    pub client: Option<ClientAddress>,
    /// Its fields were cleaned, and all that follows is known.
    pub is_clean: bool,
    /// What the hop-by-hop fields asked for.
    pub hop: Hop,
    /// What the client speaks, to the proxy or to the trusted peer in front of it.
    pub scheme: Scheme,
    /// The id that a trusted peer gave the request; without it the request gets a new one.
    pub kept_id: Option<RequestId>,
    /// What the proxy tells the app about the client; nothing on outbound listeners.
    pub forwarded: Option<Forwarded>,
}

impl Facts {
    /// Writes them down for the steps of the request. Large ones are moved once, to where the steps read them.
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

/// Checks a head and makes it canonical. `facts` has what was found out, also where the head is refused.
///
/// # Errors
/// Too large, malformed, to be read in two ways, or for a host that the connection was not opened for.
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

/// What a listener has for the requests that come through it.
struct Listening<'a> {
    model: &'a Listener,
    claim_headers: Option<&'a ClaimHeaders>,
    is_one_certificate: &'a dyn Fn(&str, &str) -> bool,
}

/// The function above, which is compiled here, in one piece with all that it calls.
fn check_and_clean(
    head: &mut Parts,
    subject: &Subject<'_>,
    listener: &Listening<'_>,
    facts: &mut Facts,
) -> Result<(), Error> {
    let model = listener.model;
    let mut found = Found::default();
    let checked = framing::check(head, &model.limits, |name, value| found.see(name, value));
    (facts.is_grpc, facts.expects) = (found.is_grpc, found.expects);
    let authority = checked?;
    if found.is_grpc {
        facts.grpc_timeout = grpc::timeout(&head.headers);
    }
    let misdirected =
        authority.is_some_and(|authority| is_misdirected(subject, listener, authority.text));
    let host = authority.map(Host::of).transpose()?;
    let client = decide_client(&head.headers, subject, model, &found);
    let peer_trusted = client.address.peer_trusted;
    facts.client = Some(client.address);
    clean(head, subject, model, client, host, &found, facts).map_err(Error::Malformed)?;
    // A proxy in front of us names the hop in SNI, and hands on the Host of its client.
    if misdirected && !peer_trusted {
        return Err(Error::Misdirected);
    }
    if let Some(claim_headers) = listener.claim_headers {
        claim_headers.strip(&mut head.headers);
    }
    // Nominations of `Connection` go before the proxy adds what is its own (CVE-2024-45410).
    canonical_target(head, model)
}

/// What of a head that is refused was not looked at in full: responses in gRPC's own way, and no `100 Continue`.
pub fn note_refused(headers: &HeaderMap, exchange: &Exchange) {
    exchange.is_grpc.set(grpc::is_grpc(headers));
    exchange.expects.set(headers.contains_key(header::EXPECT));
}

/// Whether a new connection for this authority would get another certificate than the server name that the client has
/// asked for. Allocates only where the two are different names, and the authority is not in lower case.
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

/// What the one pass over the fields found for the steps here.
#[derive(Default)]
struct Found {
    owned: owned_headers::Found,
    hop: hop_by_hop::Found,
    is_grpc: bool,
    expects: bool,
}

impl Found {
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

/// Who the client is, and what the proxy tells the app about it.
struct Client {
    address: ClientAddress,
    forwarded_for: HeaderValue,
}

/// 2: by the peer, and by what a trusted peer says.
fn decide_client(
    headers: &HeaderMap,
    subject: &Subject<'_>,
    listener: &Listener,
    found: &Found,
) -> Client {
    let lines = found
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

/// 3: only the proxy's own words about the client, and no field that ends here.
fn clean(
    head: &mut Parts,
    subject: &Subject<'_>,
    listener: &Listener,
    client: Client,
    host: Option<Host>,
    found: &Found,
    facts: &mut Facts,
) -> Result<(), Reason> {
    let headers = &mut head.headers;
    let outbound = listener.direction == Direction::Outbound;
    let peer_trusted = client.address.peer_trusted;
    let taken = found
        .owned
        .strip(headers, listener.underscore_headers, peer_trusted)?;
    facts.hop = found.hop.strip(headers, owned_headers::owns);
    let spoken = match subject.tls {
        Some(_) => Scheme::Https,
        None => Scheme::Http,
    };
    // The app may choose the id of its own calls.
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

/// What the proxy tells the app about the client; a trusted peer's own words count.
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
