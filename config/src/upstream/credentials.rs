//! `credentials` of an upstream: sent with each request.

use crate::{
    block::{At, problem::Report, show::Object},
    files::Files,
    part::url::EndpointSpec,
    secret::{self, CredentialsBlock, SecretText},
};

/// The bearer token of an upstream; never sent unencrypted, except to this host.
pub(crate) fn accept(
    written: Option<&At<CredentialsBlock>>,
    named: bool,
    endpoints: &[EndpointSpec],
    secure: Option<bool>,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Option<SecretText> {
    let credentials = written?;
    let here = !named && endpoints.iter().all(|endpoint| endpoint.address.is_local());
    if secure == Some(false) && !here {
        let message = "credentials are never sent over http to another host: an attacker on the network path could use them";
        report.error(
            &credentials.place,
            "insecure-credentials",
            message,
            "write https:// in the URLs, or `tls` beside `dns`",
        );
    }
    secret::reloadable_bearer_token(credentials.value.bearer_token.as_ref()?, files, report)
}

/// Renders the accepted value.
pub(crate) fn show(token: &SecretText) -> Object {
    Object::new().with("bearerToken", secret::show(token.origin()))
}
