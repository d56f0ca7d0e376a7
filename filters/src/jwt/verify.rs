//! One provider's rules for a token: every check besides the signature.
//!
//! Cheap checks come first: a client that repeats an expired token costs no signature, and neither
//! it nor a token for another audience causes a fetch of newer keys. Every check must pass, so the
//! order changes only the reason in the log; before [`Reason::AuthSignature`] is ruled out, that
//! reason depends on unverified claims.

use std::time::{Duration, SystemTime};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use outrigger_config::{
    model::{JwtProvider, TokenBinding},
    strict_json::Json,
};

use super::{KeySet, Token, VerifiedToken, token::Times};
use crate::reason::Reason;

/// SHA-256 of a certificate (DER), as `x5t#S256` names it.
pub type Thumbprint = [u8; 32];

/// The verifier of one provider.
#[derive(Debug, PartialEq)]
pub struct Verifier {
    provider: JwtProvider,
}

/// A token that passed every check except the signature, which is still unverified.
pub(super) struct Checked<'a> {
    pub(super) token: Token<'a>,
    pub(super) expires: Duration,
    pub(super) not_before: Option<Duration>,
    pub(super) bound_to: Option<Thumbprint>,
}

/// The time of a wall clock as tokens count it.
pub fn since_epoch(now: SystemTime) -> Duration {
    now.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}

impl Verifier {
    /// The verifier of an accepted provider.
    pub fn new(provider: &JwtProvider) -> Self {
        Self {
            provider: provider.clone(),
        }
    }

    /// The provider.
    pub fn provider(&self) -> &JwtProvider {
        &self.provider
    }

    /// Verifies a token at a time since the epoch, from a client with this certificate.
    ///
    /// # Errors
    /// The reason of the first check that fails. After [`Reason::AuthUnknownKid`], retry with newer
    /// keys.
    pub fn verify(
        &self,
        keys: &KeySet,
        token: Token<'_>,
        now: Duration,
        certificate: Option<&Thumbprint>,
    ) -> Result<VerifiedToken, Reason> {
        self.verify_signature(self.check(token, now, certificate)?, keys)
    }

    /// Every check except the signature.
    pub(super) fn check<'a>(
        &self,
        token: Token<'a>,
        now: Duration,
        certificate: Option<&Thumbprint>,
    ) -> Result<Checked<'a>, Reason> {
        self.check_header(&token)?;
        self.check_audience(&token)?;
        let times = token.times();
        let expires = times.expires.ok_or(Reason::AuthExpiryMissing)?;
        self.check_issue(times, expires, now)?;
        let bound_to = self.binding(&token)?;
        self.check_now(
            expires,
            times.not_before,
            bound_to.as_ref(),
            now,
            certificate,
        )?;
        Ok(Checked {
            token,
            expires,
            not_before: times.not_before,
            bound_to,
        })
    }

    /// Checks the signature.
    pub(super) fn verify_signature(
        &self,
        checked: Checked<'_>,
        keys: &KeySet,
    ) -> Result<VerifiedToken, Reason> {
        let key = keys.verify(&checked.token)?;
        Ok(VerifiedToken::new(&self.provider, checked, key))
    }

    /// The checks whose result may change between two requests with the same token.
    pub(super) fn still_holds(
        &self,
        token: &VerifiedToken,
        now: Duration,
        certificate: Option<&Thumbprint>,
    ) -> Result<(), Reason> {
        self.check_now(
            token.expires(),
            token.not_before(),
            token.bound_to(),
            now,
            certificate,
        )
    }

    fn check_header(&self, token: &Token<'_>) -> Result<(), Reason> {
        if !self.provider.algorithms.contains(&token.algorithm()) {
            return Err(Reason::AuthAlgorithmNotAllowed);
        }
        match token.token_type() {
            Some(found)
                if !self
                    .provider
                    .token_types
                    .iter()
                    .any(|listed| **listed == *found) =>
            {
                Err(Reason::AuthTokenType)
            }
            _ => Ok(()),
        }
    }

    fn check_audience(&self, token: &Token<'_>) -> Result<(), Reason> {
        match token.issuer() {
            None => return Err(Reason::AuthIssuerMissing),
            Some(issuer) if *issuer != *self.provider.issuer => {
                return Err(Reason::AuthUnknownIssuer);
            }
            Some(_) => {}
        }
        let mut audiences = token.audiences().ok_or(Reason::AuthAudienceMissing)?;
        if audiences.any(|audience| self.provider.audiences.iter().any(|own| **own == *audience)) {
            Ok(())
        } else {
            Err(Reason::AuthAudienceMismatch)
        }
    }

    fn check_issue(&self, times: Times, expires: Duration, now: Duration) -> Result<(), Reason> {
        if times
            .issued
            .is_some_and(|issued| issued > now.saturating_add(self.provider.clock_skew))
        {
            return Err(Reason::AuthIssuedInFuture);
        }
        let Some(longest) = self.provider.max_lifetime else {
            return Ok(());
        };
        let issued = times.issued.ok_or(Reason::AuthIssueTimeMissing)?;
        if expires.saturating_sub(issued) > longest {
            Err(Reason::AuthLifetimeTooLong)
        } else {
            Ok(())
        }
    }

    fn check_now(
        &self,
        expires: Duration,
        not_before: Option<Duration>,
        bound_to: Option<&Thumbprint>,
        now: Duration,
        certificate: Option<&Thumbprint>,
    ) -> Result<(), Reason> {
        let skew = self.provider.clock_skew;
        if now >= expires.saturating_add(skew) {
            return Err(Reason::AuthExpired);
        }
        if not_before.is_some_and(|start| start > now.saturating_add(skew)) {
            return Err(Reason::AuthNotYetValid);
        }
        match bound_to {
            Some(named) if certificate != Some(named) => Err(Reason::AuthBindingMismatch),
            _ => Ok(()),
        }
    }

    /// The certificate that the token is bound to (RFC 8705 section 3.1). Any other binding is
    /// rejected, because it requires a proof that the proxy cannot check (RFC 7800 section 3.1).
    fn binding(&self, token: &Token<'_>) -> Result<Option<Thumbprint>, Reason> {
        let confirmation = match (self.provider.binding, token.claims().get("cnf")) {
            (TokenBinding::Never, _) | (TokenBinding::WhenPresent, None) => return Ok(None),
            (TokenBinding::Required, None) => return Err(Reason::AuthBindingMissing),
            (_, Some(confirmation)) => confirmation,
        };
        let members = confirmation
            .as_object()
            .filter(|members| members.len() == 1);
        let named = members
            .and_then(|members| members.get("x5t#S256"))
            .and_then(Json::as_str);
        named
            .and_then(thumbprint)
            .map(Some)
            .ok_or(Reason::AuthBindingUnknown)
    }
}

fn thumbprint(text: &str) -> Option<Thumbprint> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}
