//! Warning about kubelet probes on mTLS listeners.

use crate::{
    block::problem::Report,
    file::{Config, File},
    listener::tls::ClientAuthMode,
};

/// The kubelet has no client certificate: on a listener that requires one, its probes always fail.
/// A configuration with a `status` block has a place for probes; without it, or with `status: off`,
/// there is a warning.
pub(crate) fn check(file: &File, config: &Config, report: &mut Report) {
    let known = file.status.is_some() && config.status.is_some();
    let written = file
        .listeners
        .as_ref()
        .map_or(&[][..], |listeners| &listeners.value);
    for (item, listener) in written.iter().zip(&config.listeners).filter(|_| !known) {
        let block = item
            .value
            .tls
            .as_ref()
            .and_then(|tls| tls.value.client_auth.as_ref());
        let mode = listener
            .tls
            .as_ref()
            .and_then(|tls| tls.client_auth.as_ref())
            .map(|auth| auth.mode);
        if let Some(block) = block.filter(|_| mode == Some(ClientAuthMode::Required)) {
            let place = block
                .value
                .mode
                .as_ref()
                .map_or(&block.place, |mode| &mode.place);
            let message =
                "the kubelet has no client certificate, so its probes fail on this listener";
            let help = "configure `status: { address: \"[::]:9902\" }` and send probes to it";
            report.warning(place, "probes-need-status", message, help);
        }
    }
}
