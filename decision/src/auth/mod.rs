//! Step 10: who the client is. The decisions are [`outrigger_filters::jwt`]'s; here stand what a worker decides with, the wait
//! for newer keys, and what the app gets of it.

mod hand_over;
mod step;

use std::{cell::RefCell, rc::Rc, sync::Arc};

use http::HeaderMap;
use outrigger_config::model::ProviderId;
use outrigger_filters::{
    context::Exchange,
    jwt::{Examination, Providers, TokenCache, since_epoch},
};

use crate::KeySource;

pub use hand_over::HandOverStep;
pub use step::AuthStep;

/// What one worker verifies tokens with.
#[derive(Debug)]
pub struct Verifiers<K> {
    providers: Arc<Providers>,
    keys: K,
    /// The worker's own, so that no other worker waits for it; it outlives reloads.
    cache: Rc<RefCell<TokenCache>>,
}

impl<K: KeySource> Verifiers<K> {
    /// Providers and where their keys are.
    pub fn new(providers: Arc<Providers>, keys: K, cache: Rc<RefCell<TokenCache>>) -> Self {
        Self {
            providers,
            keys,
            cache,
        }
    }

    /// Lets `look` examine a request. What was verified once stays known for it.
    pub fn examine<R>(
        &self,
        context: &Exchange,
        headers: &HeaderMap,
        look: impl FnOnce(&Examination<'_, K>) -> R,
    ) -> R {
        look(&Examination {
            providers: &self.providers,
            keys: &self.keys,
            cache: &self.cache,
            memo: context.memo(),
            headers,
            now: since_epoch(context.wall_time()),
            certificate: context.identity.as_ref().map(|identity| &identity.sha256),
        })
    }

    /// All providers.
    pub fn ids(&self) -> impl Iterator<Item = ProviderId> + Clone + use<K> {
        self.providers.ids()
    }

    /// Whether a provider may have newer keys.
    pub fn may_renew(&self, provider: ProviderId) -> bool {
        self.keys.may_renew(provider)
    }

    /// Has the keys of a provider fetched, as [`KeySource::renew`] does.
    pub async fn newer_keys(&self, provider: ProviderId) {
        self.keys.renew(provider).await;
    }
}
