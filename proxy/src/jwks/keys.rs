//! The keys of all providers, as decisions use them.

use std::sync::Arc;

use outrigger_config::model::ProviderId;
use outrigger_decision::KeySource;
use outrigger_filters::jwt::{KeySet, Keys};

use super::cell::KeyCell;

/// The cells of a configuration, by [`ProviderId`].
#[derive(Clone)]
pub(crate) struct ProviderKeys(Arc<[Arc<KeyCell>]>);

impl ProviderKeys {
    /// These cells, in the order of their providers.
    pub(crate) fn new(cells: Arc<[Arc<KeyCell>]>) -> Self {
        Self(cells)
    }
}

impl Keys for ProviderKeys {
    fn with<R>(&self, provider: ProviderId, read: impl FnOnce(Option<&KeySet>) -> R) -> R {
        self.0[provider.0 as usize].with(read)
    }
}

impl KeySource for ProviderKeys {
    fn may_renew(&self, provider: ProviderId) -> bool {
        self.0[provider.0 as usize].remote().is_some()
    }

    /// Within the limits of [`KeyCell::ask`].
    async fn renew(&self, provider: ProviderId) {
        self.0[provider.0 as usize].ask().await;
    }
}
