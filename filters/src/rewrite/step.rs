//! The step around [`super::target`] and [`super::host`].

use outrigger_config::model::UrlRewrite;

use crate::{
    error::Error,
    reason::Reason,
    service::Request,
    step::{Step, Verdict},
};

/// Rewrites target and Host of requests. The edge has already made the path canonical.
#[derive(Debug)]
pub struct RewriteStep(UrlRewrite);

impl RewriteStep {
    /// `urlRewrite` of a route.
    pub fn new(rewrite: &UrlRewrite) -> Self {
        Self(rewrite.clone())
    }

    fn apply(&self, request: &mut Request) -> Result<(), Reason> {
        let (head, prefix_len) = (&mut request.head, request.context.prefix_len.get());
        if let Some(target) = super::target(&self.0, prefix_len, head.uri.path(), &head.uri)? {
            head.uri = target;
        }
        super::host(&self.0, &mut head.headers);
        Ok(())
    }
}

impl Step for RewriteStep {
    fn on_request(&self, request: &mut Request) -> Verdict {
        self.apply(request).map_err(Error::Malformed).into()
    }
}
