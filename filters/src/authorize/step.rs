//! The step around [`super::Rules`].

use outrigger_config::model::{self, Mode};

use super::{Decision, Rules, Subject};
use crate::{
    error::Error,
    service::Request,
    step::{Step, Verdict},
};

/// Rejects what the rules of a route deny.
#[derive(Debug)]
pub struct AuthorizeStep {
    rules: Rules,
    mode: Mode,
}

impl AuthorizeStep {
    /// `authorize` of a route.
    pub fn new(accepted: &model::Authorize) -> Self {
        Self {
            rules: Rules::new(accepted),
            mode: accepted.mode,
        }
    }

    /// # Errors
    /// The rules deny the request, and the mode is not `report`.
    fn admit(&self, request: &Request) -> Result<(), Error> {
        let context = &request.context;
        let subject = Subject {
            method: &request.head.method,
            claims: &**context,
            identity: context.identity.as_deref(),
            address: context.client_address.get(),
        };
        let Decision::Deny { rule, reason } = self.rules.decide(&subject) else {
            return Ok(());
        };
        if let Some(rule) = rule {
            context.refused_by(rule);
        }
        match self.mode {
            Mode::Enforce => Err(Error::Forbidden(reason)),
            Mode::Report => {
                context.would_deny(reason);
                Ok(())
            }
        }
    }
}

impl Step for AuthorizeStep {
    fn on_request(&self, request: &mut Request) -> Verdict {
        self.admit(request).into()
    }
}
