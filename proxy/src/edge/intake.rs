//! Steps 1 to 3: what is refused at the door, who the client is, and a head in which nothing is left to doubt.
//!
//! Afterwards the target is in origin form with the canonical path, Host is there and is the one authority, no
//! hop-by-hop field is left, and the headers that the proxy owns are the proxy's.

use http::{HeaderMap, HeaderValue, Method, header, request::Parts};
use outrigger_config::model::{Listener, ListenerId, UrlRewrite};
use outrigger_filters::{
    client_address,
    context::Exchange,
    error::{Error, Malformed},
    framing, hop_by_hop,
    owned_headers::{self, Forwarded, Own, Taken},
    path, request_id, rewrite,
};

use super::is_outbound;
use crate::{listener::client::Client, snapshot::View};

/// Checks a head and makes it canonical.
///
/// # Errors
/// Too large, malformed, or to be read in two ways.
pub(super) fn admit(
    head: &mut Parts,
    client: &Client,
    view: &View,
    listener: ListenerId,
    exchange: &Exchange,
) -> Result<(), Error> {
    let claim_headers = view.claim_headers(listener);
    let listener = view.config().listener(listener);
    framing::within_limits(head, &listener.limits)?;
    body_within_limit(&head.headers, listener.limits.body_bytes)?;
    let host = host(head)?;
    let outbound = is_outbound(listener.direction);
    identify(head, client, listener, exchange, host, outbound)?;
    if let Some(claim_headers) = claim_headers {
        claim_headers.strip(&mut head.headers);
    }
    // Nominations of `Connection` go before the proxy adds what is its own (CVE-2024-45410).
    canonical_target(head, listener)?;
    Ok(())
}

fn body_within_limit(headers: &HeaderMap, limit: Option<u64>) -> Result<(), Error> {
    let Some(limit) = limit else { return Ok(()) };
    let declared =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|declared| declared > limit) { Err(Error::BodyTooLarge) } else { Ok(()) }
}

/// The one authority as a Host value; `None` for HTTP/1.0 without Host.
fn host(head: &Parts) -> Result<Option<HeaderValue>, Error> {
    let authority = framing::check(head).map_err(Error::Malformed)?;
    let Some(authority) = authority else { return Ok(None) };
    match head.headers.get(header::HOST) {
        Some(host) if host.as_bytes() == authority.as_bytes() => Ok(Some(host.clone())),
        _ => HeaderValue::from_str(authority).map(Some).map_err(|_| Error::Malformed(Malformed::Host)),
    }
}

/// 2 and 3: who the client is, and only our own words about it.
fn identify(
    head: &mut Parts,
    client: &Client,
    listener: &Listener,
    exchange: &Exchange,
    host: Option<HeaderValue>,
    outbound: bool,
) -> Result<(), Error> {
    let headers = &mut head.headers;
    let received = || headers.get_all(&owned_headers::X_FORWARDED_FOR).iter();
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
    let taken = owned_headers::strip(headers, listener.underscore_headers, address.peer_trusted)
        .map_err(Error::Malformed)?;
    let _ = exchange.hop.set(hop_by_hop::strip_request(headers, owned_headers::owns));
    let id = request_id::keep(taken.request_id.clone(), trusted)
        .unwrap_or_else(|| client.worker.request_ids.next());
    let _ = exchange.request_id.set(id.clone());
    let proto = if client.is_secure() { "https" } else { "http" };
    let forwarded = (!outbound).then(|| Forwarded {
        client_cert: client.forwarded_certificate(listener),
        ..forwarded(taken, address.peer_trusted, forwarded_for, proto, host.as_ref())
    });
    *exchange.own.borrow_mut() = Some(Own { request_id: id, forwarded });
    if let Some(host) = host.filter(|host| headers.get(header::HOST) != Some(host)) {
        headers.insert(header::HOST, host);
    }
    Ok(())
}

/// What the app is told about the client; a trusted peer's own words count.
fn forwarded(
    taken: Taken,
    believed: bool,
    address: HeaderValue,
    spoken: &'static str,
    host: Option<&HeaderValue>,
) -> Forwarded {
    let proto = taken.forwarded_proto.filter(|_| believed);
    Forwarded {
        address,
        proto: proto.unwrap_or_else(|| HeaderValue::from_static(spoken)),
        host: taken.forwarded_host.filter(|_| believed).or_else(|| host.cloned()),
        client_cert: None,
    }
}

/// The canonical path in an origin-form target. `*` of OPTIONS stays.
fn canonical_target(head: &mut Parts, listener: &Listener) -> Result<(), Error> {
    if head.method == Method::OPTIONS && head.uri.path() == "*" {
        return Ok(());
    }
    let canonical = path::canonical(head.uri.path(), listener.paths).map_err(Error::Malformed)?;
    let target =
        rewrite::target(&UrlRewrite::default(), None, &canonical, &head.uri).map_err(Error::Malformed)?;
    if let Some(target) = target {
        head.uri = target;
    }
    Ok(())
}
