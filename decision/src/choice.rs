//! Steps 7 and 8: the route that matches a request, claims included, and the response to a
//! preflight.

use std::cell::Cell;

use http::{Method, Response, header};
use outrigger_config::model::{ListenerId, ProviderId, RouteId};
use outrigger_filters::{
    claims::Claims,
    cors::Grant,
    error::Error,
    jwt::{Examination, NoToken},
    service::{Body, Request},
};

use crate::{
    KeySource, Runtime, Trace,
    auth::Verifiers,
    router::{Choice, Head, RouteTable, Tokens},
};

/// The route that matches a request; and a provider whose newer keys may verify a token that a
/// match needs, in which case the choice is not final. `preflight` is the method that a preflight
/// announces.
pub fn choose<R: Runtime, T: Trace>(
    runtime: &R,
    listener: ListenerId,
    request: &Request,
    preflight: Option<&Method>,
    trace: T,
) -> (Option<Choice>, Option<ProviderId>) {
    let head = &request.head;
    let table = runtime.table(listener);
    let host = || head.headers.get(header::HOST)?.to_str().ok();
    let own = request.context.own.borrow();
    let looked_at = Head {
        host: if table.needs_host() { host() } else { None },
        path: head.uri.path(),
        query: head.uri.query(),
        method: preflight.unwrap_or(&head.method),
        scheme: request.context.scheme.get(),
        headers: &head.headers,
        own: own.as_ref(),
        preflight: preflight.is_some(),
        tokens: None,
    };
    if !table.needs_claims() {
        return (ask(table, &looked_at, trace), None);
    }
    let verifiers = runtime.verifiers();
    verifiers.examine(&request.context, &head.headers, |examination| {
        let tokens = Verified {
            examination,
            verifiers,
            newer_keys: Cell::new(None),
        };
        let looked_at = Head {
            tokens: Some(&tokens),
            ..looked_at
        };
        let choice = ask(table, &looked_at, trace);
        (choice, tokens.newer_keys.get())
    })
}

/// Queries the table. Without a trace it calls the function that is compiled next to the table.
fn ask<T: Trace>(table: &RouteTable, head: &Head<'_>, trace: T) -> Option<Choice> {
    match T::LISTENS {
        true => table.choose_and_tell(head, trace),
        false => table.choose(head),
    }
}

/// The tokens of a request, verified when a match first needs them.
struct Verified<'a, K> {
    examination: &'a Examination<'a, K>,
    verifiers: &'a Verifiers<K>,
    newer_keys: Cell<Option<ProviderId>>,
}

impl<K: KeySource> Verified<'_, K> {
    fn one(&self, provider: ProviderId, holds: &mut dyn FnMut(&dyn Claims) -> bool) -> bool {
        match self.examination.any(std::iter::once(provider)) {
            Ok(granted) => holds(&*granted.token),
            Err(NoToken::UnknownKid(provider)) => {
                self.newer_keys.set(Some(provider));
                false
            }
            Err(_) => false,
        }
    }
}

impl<K: KeySource> Tokens for Verified<'_, K> {
    fn any(&self, providers: &[ProviderId], holds: &mut dyn FnMut(&dyn Claims) -> bool) -> bool {
        match providers {
            [] => self
                .verifiers
                .ids()
                .any(|provider| self.one(provider, holds)),
            some => some.iter().any(|provider| self.one(*provider, holds)),
        }
    }
}

/// What happens to a request after the route choice.
#[derive(Debug)]
pub enum Entered {
    /// The steps of this route decide; and the CORS headers of the response, if the route has
    /// `cors`.
    Steps(RouteId, Option<Box<Grant>>),
    /// The request is a preflight, with its response.
    Preflight(Box<Grant>, Box<Response<Body>>),
}

/// 8: handles CORS, before the steps of the route.
///
/// # Errors
/// No route matches.
pub fn enter<R: Runtime>(
    runtime: &R,
    choice: Option<&Choice>,
    is_preflight: bool,
    request: &Request,
) -> Result<Entered, Error> {
    let choice = choice.ok_or(Error::NoRoute)?;
    let _ = request.context.route.set(choice.route);
    request.context.prefix_len.set(choice.prefix_len);
    let Some(policy) = runtime.cors(choice.route) else {
        return Ok(Entered::Steps(choice.route, None));
    };
    let grant = Box::new(policy.grant(&request.head.headers));
    Ok(match is_preflight {
        true => Entered::Preflight(grant, Box::new(policy.answer(&request.head))),
        false => Entered::Steps(choice.route, Some(grant)),
    })
}
