//! Step 10: authentication. [`outrigger_filters::jwt`] verifies tokens; this module contains the
//! state of a worker, the wait for newer keys, and the headers for the app.

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

/// The state with which one worker verifies tokens.
#[derive(Debug)]
pub struct Verifiers<K> {
    providers: Arc<Providers>,
    keys: K,
    /// The worker's own cache, so that there is no lock; it survives reloads.
    cache: Rc<RefCell<TokenCache>>,
}

impl<K: KeySource> Verifiers<K> {
    /// The providers and access to their keys.
    pub fn new(providers: Arc<Providers>, keys: K, cache: Rc<RefCell<TokenCache>>) -> Self {
        Self {
            providers,
            keys,
            cache,
        }
    }

    /// Calls `look` with an examination of the request. Results are kept for the request.
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

    /// Fetches the keys of a provider, as [`KeySource::renew`] does.
    pub async fn newer_keys(&self, provider: ProviderId) {
        self.keys.renew(provider).await;
    }
}
