//! Probes of kubelet, which has no client certificate.

use crate::{
    block::problem::Report,
    file::{Config, File},
    listener::tls::ClientAuthMode,
};

/// The kubelet has no client certificate: where one is required, its probes always fail. A configuration with `status` has a
/// place for probes; without it, or with `status: off`, there is a warning.
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
            let message = "kubelet has no client certificate, so its probes fail on this listener";
            let help = "send probes to the status server, and write `status: { address: \"[::]:9902\" }` to say so";
            report.warning(place, "probes-need-status", message, help);
        }
    }
}
