//! What a configuration decides by: tables, keys, rules and steps, made once for it.

use std::{future::Future, rc::Rc};

use http::HeaderValue;
use outrigger_config::model::{Config, ListenerId, ProviderId, RouteId, UpstreamId};
use outrigger_filters::{claim_headers::ClaimHeaders, cors, jwt::Keys, step::Steps};

use crate::{auth::Verifiers, router::RouteTable};

/// The running side of one configuration, as decisions see it.
pub trait Runtime {
    /// Where the keys of token providers are.
    type Keys: KeySource;

    /// What was accepted.
    fn config(&self) -> &Config;

    /// The routes of a listener.
    fn table(&self, listener: ListenerId) -> &RouteTable;

    /// Fields that carry claims and that no client of this listener may send.
    fn claim_headers(&self, listener: ListenerId) -> Option<&ClaimHeaders>;

    /// Whether a TLS handshake for either of two names, in lower case, shows the same certificate; `true` where the
    /// listener does not terminate TLS.
    fn is_one_certificate(&self, listener: ListenerId, one: &str, other: &str) -> bool;

    /// What tokens are verified with.
    fn verifiers(&self) -> &Rc<Verifiers<Self::Keys>>;

    /// Which origins may read the responses of a route.
    fn cors(&self, route: RouteId) -> Option<&cors::Policy>;

    /// The steps of a route, in their order. The data path has them in a chain that it builds once.
    fn steps(&self, route: RouteId) -> Steps;

    /// The credentials that the proxy shows to an upstream in `Authorization`.
    fn authorization(&self, upstream: UpstreamId) -> Option<&HeaderValue>;
}

/// Keys that may be renewed.
pub trait KeySource: Keys + 'static {
    /// Whether keys of a provider may become newer than they are: not where they stand in the configuration.
    fn may_renew(&self, provider: ProviderId) -> bool;

    /// Has the keys of a provider fetched, within limits of its own, and returns when they are as new as they get.
    fn renew(&self, provider: ProviderId) -> impl Future<Output = ()>;
}
