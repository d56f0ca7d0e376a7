//! The running state of a configuration: tables, keys, rules and steps, created once for it.

use std::{future::Future, rc::Rc};

use http::HeaderValue;
use outrigger_config::model::{Config, ListenerId, ProviderId, RouteId, UpstreamId};
use outrigger_filters::{claim_headers::ClaimHeaders, cors, jwt::Keys, step::Steps};

use crate::{auth::Verifiers, router::RouteTable};

/// The running state of one configuration, as decisions use it.
pub trait Runtime {
    /// Access to the keys of token providers.
    type Keys: KeySource;

    /// The accepted configuration.
    fn config(&self) -> &Config;

    /// The routes of a listener.
    fn table(&self, listener: ListenerId) -> &RouteTable;

    /// Fields that contain claims and that no client of this listener may send.
    fn claim_headers(&self, listener: ListenerId) -> Option<&ClaimHeaders>;

    /// Whether a TLS handshake gets the same certificate for both names, which are in lower case;
    /// `true` if the listener does not terminate TLS.
    fn is_one_certificate(&self, listener: ListenerId, one: &str, other: &str) -> bool;

    /// The state for verifying tokens.
    fn verifiers(&self) -> &Rc<Verifiers<Self::Keys>>;

    /// The CORS policy of a route.
    fn cors(&self, route: RouteId) -> Option<&cors::Policy>;

    /// The steps of a route, in their order. The data path builds a chain of them once.
    fn steps(&self, route: RouteId) -> Steps;

    /// The proxy's own credentials for an upstream, in `Authorization`.
    fn authorization(&self, upstream: UpstreamId) -> Option<&HeaderValue>;
}

/// Keys that may be renewed.
pub trait KeySource: Keys + 'static {
    /// Whether keys of a provider can be renewed: not if they are in the configuration.
    fn may_renew(&self, provider: ProviderId) -> bool;

    /// Fetches the keys of a provider, within limits of its own, and returns when that has
    /// succeeded or failed.
    fn renew(&self, provider: ProviderId) -> impl Future<Output = ()>;
}
