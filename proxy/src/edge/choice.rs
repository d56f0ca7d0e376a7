//! Step 7: what the router looks at, claims included.

use std::cell::Cell;

use http::{Method, header};
use outrigger_config::model::{ListenerId, ProviderId};
use outrigger_filters::{
    claims::Claims,
    jwt::{Examination, NoToken},
    service::Request,
};

use crate::{
    auth::Verifiers,
    router::{Choice, Head, Tokens},
    view::View,
};

/// The route that takes a request; and a provider whose newer keys may verify a token that a match asked for, so that
/// the choice is not certain yet.
pub(super) fn choose(
    view: &View,
    listener: ListenerId,
    request: &Request,
    preflight: Option<&Method>,
) -> (Option<Choice>, Option<ProviderId>) {
    let head = &request.head;
    let table = view.table(listener);
    let host = || head.headers.get(header::HOST)?.to_str().ok();
    let own = request.context.own.borrow();
    let looked_at = Head {
        host: if table.asks_for_host() { host() } else { None },
        path: head.uri.path(),
        query: head.uri.query(),
        method: preflight.unwrap_or(&head.method),
        scheme: request.context.scheme.get(),
        headers: &head.headers,
        own: own.as_ref(),
        preflight: preflight.is_some(),
        tokens: None,
    };
    if !table.asks_for_claims() {
        return (table.choose(&looked_at), None);
    }
    view.verifiers()
        .examine(&request.context, &head.headers, |examination| {
            let tokens = Verified {
                examination,
                verifiers: view.verifiers(),
                newer_keys: Cell::new(None),
            };
            let choice = table.choose(&Head {
                tokens: Some(&tokens),
                ..looked_at
            });
            (choice, tokens.newer_keys.get())
        })
}

/// The tokens of a request, verified when a match first asks for them.
struct Verified<'a> {
    examination: &'a Examination<'a, Verifiers>,
    verifiers: &'a Verifiers,
    newer_keys: Cell<Option<ProviderId>>,
}

impl Verified<'_> {
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

impl Tokens for Verified<'_> {
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
