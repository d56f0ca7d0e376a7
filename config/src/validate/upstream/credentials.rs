//! What is sent along with each request to an upstream.

use crate::{
    block::problem::Report, files::Files, model::SecretText, part::url::EndpointSpec, schema::UpstreamBlock,
    validate::secret,
};

/// The bearer token of an upstream; it never goes out in the clear, except to this host.
pub(crate) fn bearer_token(
    block: &UpstreamBlock,
    endpoints: &[EndpointSpec],
    secure: Option<bool>,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Option<SecretText> {
    let credentials = block.credentials.as_ref()?;
    let here = block.dns.is_none() && endpoints.iter().all(|endpoint| endpoint.address.is_here());
    if secure == Some(false) && !here {
        let message =
            "credentials never go over http to another host: whoever sits on the way could use them";
        report.error(
            &credentials.place,
            "insecure-credentials",
            message,
            "write https:// in the URLs, or `tls` beside `dns`",
        );
    }
    secret::kept_bearer_token(credentials.value.bearer_token.as_ref()?, files, report)
}
