//! Step 10: who the client is. The decisions are [`outrigger_filters::jwt`]'s; here stand what a worker decides with, the wait
//! for newer keys, and what the app gets of it.

mod hand_over;
mod step;

use std::{cell::RefCell, rc::Rc, sync::Arc, time::SystemTime};

use http::HeaderMap;
use outrigger_config::model::ProviderId;
use outrigger_filters::{
    context::Exchange,
    jwt::{Examination, KeySet, Keys, Providers, TokenCache, since_epoch},
};

use crate::jwks::cell::KeyCell;

pub(crate) use hand_over::HandOverStep;
pub(crate) use step::AuthStep;

/// What one worker verifies tokens with.
pub(crate) struct Verifiers {
    providers: Arc<Providers>,
    keys: Arc<[Arc<KeyCell>]>,
    /// The worker's own, so nobody waits for it; it outlives reloads.
    cache: Rc<RefCell<TokenCache>>,
}

impl Verifiers {
    /// Providers and their keys, both in the order of the configuration.
    pub(crate) fn new(
        providers: Arc<Providers>,
        keys: Arc<[Arc<KeyCell>]>,
        cache: Rc<RefCell<TokenCache>>,
    ) -> Self {
        Self {
            providers,
            keys,
            cache,
        }
    }

    /// Lets `look` examine a request. What was verified once stays known for it.
    pub(crate) fn examine<R>(
        &self,
        context: &Exchange,
        headers: &HeaderMap,
        look: impl FnOnce(&Examination<'_, Self>) -> R,
    ) -> R {
        look(&Examination {
            providers: &self.providers,
            keys: self,
            cache: &self.cache,
            memo: context.memo(),
            headers,
            now: since_epoch(SystemTime::now()),
            certificate: context.identity.as_ref().map(|identity| &identity.sha256),
        })
    }

    /// All providers.
    pub(crate) fn ids(&self) -> impl Iterator<Item = ProviderId> + Clone + use<> {
        self.providers.ids()
    }

    /// Has the keys of a provider fetched, within the limits of [`KeyCell::ask`].
    pub(crate) async fn newer_keys(&self, provider: ProviderId) {
        self.keys[provider.0 as usize].ask().await;
    }
}

impl Keys for Verifiers {
    fn with<R>(&self, provider: ProviderId, read: impl FnOnce(Option<&KeySet>) -> R) -> R {
        self.keys[provider.0 as usize].with(read)
    }
}
