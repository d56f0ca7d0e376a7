//! `auth` of a route and of `defaults`: the required credentials.
//!
//! A route without `auth` inherits that of `defaults`, and without it requires any token of any
//! provider. A route can require less only with an `auth` of its own.

use serde_json::{Value as Json, json};

use crate::{
    block::{
        At, Read, Reader, Word, block, field, inline_schema, json, name,
        node::{Node, Value},
        problem::{Place, Report},
        show::{self, Object},
    },
    listener::direction::Direction,
    part::{
        id::{ListenerId, ProviderId},
        words::Mode,
    },
    provider::JwtProvider,
    route::context::Context,
};

block! {
    /// Required credentials: names of token providers, and `mtls` for a verified client
    /// certificate.
    AuthBlock {
        /// One of these is required.
        "anyOf" any_of: Vec<At<String>>,
        /// All of these are required.
        "allOf" all_of: Vec<At<String>>,
        /// Token providers. A request without a token is accepted, a request with an invalid token
        /// is not.
        "optional" optional: Vec<At<String>>,
        /// `enforce`, or `report`: requests that fail are forwarded, logged and counted. Default
        /// enforce.
        "mode" mode: Word<Mode>,
    }
    one_of ["anyOf", "allOf", "optional"]
}

/// `none`, or the required credentials.
#[derive(Debug, Clone)]
pub(crate) enum AuthValue {
    None,
    Asked(Box<AuthBlock>),
}

impl Read for AuthValue {
    fn read(node: &Node, place: &Place, reader: &mut Reader<'_>) -> Option<Self> {
        const EXPECTED: &str = "a map, or none";
        match &node.value {
            Value::Map(_) => AuthBlock::read(node, place, reader)
                .map(Box::new)
                .map(Self::Asked),
            Value::Text(text) => {
                let (text, _) = reader.substituted(text, place)?;
                if text == "none" {
                    return Some(Self::None);
                }
                let help = format!("write {{ anyOf: [{text}] }}, or none for an open route");
                reader.mismatch(node, place, EXPECTED, &help);
                None
            }
            _ => {
                reader.mismatch(
                    node,
                    place,
                    EXPECTED,
                    "write { anyOf: […] }, or none for an open route",
                );
                None
            }
        }
    }
}

inline_schema!([] AuthValue, |generator| {
    json::object(json!({
        "anyOf": [generator.subschema_for::<AuthBlock>(), json::or_variable(json!({ "const": "none" }))],
    }))
});

/// `auth` of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Auth {
    /// The required credentials.
    pub requirement: Requirement,
    /// Whether a request that fails is rejected or only counted.
    pub mode: Mode,
}

impl Auth {
    /// The required credentials, and the mode.
    pub fn new(requirement: Requirement, mode: Mode) -> Self {
        Self { requirement, mode }
    }

    /// A route that is open.
    pub fn none() -> Self {
        Self::new(Requirement::None, Mode::Enforce)
    }
}

/// The required credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requirement {
    /// None; tokens are not verified.
    None,
    /// One of these is required; at least one item.
    AnyOf(Vec<Credential>),
    /// All of these are required; at least one item.
    AllOf(Vec<Credential>),
    /// A token of one of these providers is optional, but must be valid; at least one item.
    Optional(Vec<ProviderId>),
}

impl Requirement {
    /// The providers whose tokens are accepted, in their order.
    pub fn providers(&self) -> impl Iterator<Item = ProviderId> {
        let (credentials, optional): (&[Credential], &[ProviderId]) = match self {
            Self::None => (&[], &[]),
            Self::AnyOf(all) | Self::AllOf(all) => (all, &[]),
            Self::Optional(providers) => (&[], providers),
        };
        let token = |credential: &Credential| match credential {
            Credential::Token(provider) => Some(*provider),
            Credential::Mtls => None,
        };
        credentials
            .iter()
            .filter_map(token)
            .chain(optional.iter().copied())
    }
}

/// A credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Credential {
    /// A token of this provider.
    Token(ProviderId),
    /// A verified client certificate.
    Mtls,
}

/// The name of a client certificate, beside the names of providers.
const MTLS: &str = "mtls";

/// The route whose `auth` is validated.
pub(crate) struct AuthContext<'a> {
    /// The name of the route, for messages about inherited settings.
    pub(crate) name: &'a str,
    pub(crate) direction: Direction,
    pub(crate) listeners: &'a [ListenerId],
    pub(crate) context: &'a Context<'a>,
}

impl AuthContext<'_> {
    /// The route's own `auth`, or the inherited one.
    pub(crate) fn auth(
        &self,
        own: Option<&At<AuthValue>>,
        inherited: Option<&At<AuthValue>>,
        report: &mut Report,
    ) -> Auth {
        if self.direction == Direction::Outbound {
            if let Some(own) = own {
                let message =
                    "`auth` is for inbound routes only: outbound requests come from the app";
                report.error(&own.place, "conflicting-keys", message, "remove it");
            }
            return Auth::none();
        }
        match own.or(inherited) {
            Some(At {
                value: AuthValue::Asked(block),
                ..
            }) => self.validate_block(block, report),
            Some(At {
                value: AuthValue::None,
                ..
            }) => Auth::none(),
            None if self.context.providers.is_empty() => Auth::none(),
            None => {
                let all = (0..).map(ProviderId).zip(self.context.providers);
                let any = all.map(|(id, _)| Credential::Token(id)).collect();
                Auth::new(Requirement::AnyOf(any), Mode::Enforce)
            }
        }
    }

    /// Whether a listener requests client certificates; otherwise no client has one.
    pub(crate) fn may_have_certificate(&self) -> bool {
        self.listeners
            .iter()
            .any(|id| self.context.requests_certificates(*id))
    }

    fn validate_block(&self, block: &AuthBlock, report: &mut Report) -> Auth {
        let mode = field::word(&block.mode, Mode::Enforce);
        let requirement = if let Some(written) = &block.any_of {
            Requirement::AnyOf(self.credentials(written, report))
        } else if let Some(written) = &block.all_of {
            let credentials = self.credentials(written, report);
            self.check_combination(&credentials, written, report);
            Requirement::AllOf(credentials)
        } else if let Some(written) = &block.optional {
            Requirement::Optional(self.optional(written, report))
        } else {
            Requirement::None
        };
        Auth::new(requirement, mode)
    }

    fn credentials(&self, written: &At<Vec<At<String>>>, report: &mut Report) -> Vec<Credential> {
        let mut credentials = Vec::new();
        for item in listed(written, report) {
            let credential = if item.value == MTLS {
                self.check_certificates(&item.place, report);
                Some(Credential::Mtls)
            } else {
                self.provider(item, &[MTLS], report).map(Credential::Token)
            };
            credentials.extend(credential);
        }
        credentials
    }

    fn optional(&self, written: &At<Vec<At<String>>>, report: &mut Report) -> Vec<ProviderId> {
        let mut providers = Vec::new();
        for item in listed(written, report) {
            if item.value == MTLS {
                let help = "remove it; `clientAuth.mode: optional` of the listener accepts clients without a certificate";
                report.error(
                    &item.place,
                    "bad-value",
                    "`mtls` cannot be optional on a route",
                    help,
                );
                continue;
            }
            providers.extend(self.provider(item, &[], report));
        }
        providers
    }

    fn provider(
        &self,
        item: &At<String>,
        others: &[&str],
        report: &mut Report,
    ) -> Option<ProviderId> {
        let providers = self.context.providers;
        let found = (0..)
            .map(ProviderId)
            .zip(providers)
            .find(|(_, provider)| *provider.name == *item.value);
        if found.is_none() && item.value == "none" {
            let help = "write `auth: none` for an open route";
            report.error(
                &item.place,
                "bad-value",
                "`none` is not allowed in a list",
                help,
            );
        } else if found.is_none() {
            let known = providers
                .iter()
                .map(|provider| &*provider.name)
                .chain(others.iter().copied());
            name::unresolved("token provider", &item.value, &item.place, known, report);
        }
        found.map(|(id, _)| id)
    }

    /// With a listener that does not request certificates, the route would reject all requests of
    /// this listener.
    fn check_certificates(&self, place: &Place, report: &mut Report) {
        for id in self
            .listeners
            .iter()
            .filter(|id| !self.context.requests_certificates(**id))
        {
            let message = format!(
                "the route `{}` requires a client certificate, but its listener `{}` has no `clientAuth`",
                self.name,
                self.context.listener(*id).name
            );
            let help =
                "add `tls.clientAuth` to the listener, or use other `listeners` for the route";
            report.error(place, "no-client-auth", message, help);
        }
    }

    /// Two required tokens must be in two locations, and must not write the same header.
    fn check_combination(
        &self,
        credentials: &[Credential],
        written: &At<Vec<At<String>>>,
        report: &mut Report,
    ) {
        let tokens = credentials
            .iter()
            .filter_map(|credential| match credential {
                Credential::Token(id) => Some(&self.context.providers[id.0 as usize]),
                Credential::Mtls => None,
            });
        let tokens: Vec<_> = tokens.collect();
        for (index, one) in tokens.iter().enumerate() {
            for other in &tokens[..index] {
                let both = format!("`{}` and `{}`", other.name, one.name);
                if one.from == other.from {
                    let message = format!(
                        "{both} read their token from the same location, so no request can have both"
                    );
                    let help = "write `anyOf`, or give one of the two another `from`";
                    report.warning(&written.place, "unsatisfiable-auth", message, help);
                }
                let header = one.claim_headers.iter().find(|header| {
                    other
                        .claim_headers
                        .iter()
                        .any(|other| other.name == header.name)
                });
                if let Some(header) = header {
                    let message = format!("{both} both write the header `{}`", header.name);
                    let help = "use different names in `claimHeaders`";
                    report.error(&written.place, "conflicting-keys", message, help);
                }
            }
        }
    }
}

/// Whether an accepted request may have a verified token.
pub(crate) fn may_have_token(auth: &Auth) -> bool {
    match &auth.requirement {
        Requirement::None => false,
        Requirement::Optional(_) => true,
        Requirement::AnyOf(credentials) | Requirement::AllOf(credentials) => credentials
            .iter()
            .any(|credential| matches!(credential, Credential::Token(_))),
    }
}

/// The items of a list of credentials: at least one, without duplicates.
fn listed<'a>(written: &'a At<Vec<At<String>>>, report: &mut Report) -> Vec<&'a At<String>> {
    if written.value.is_empty() {
        let help = "add a token provider or `mtls`; for an open route write `auth: none`";
        report.error(
            &written.place,
            "empty-list",
            "the list of credentials is empty",
            help,
        );
    }
    name::each_once(&written.value, report)
}

/// Shows what was accepted; providers by their names.
pub(crate) fn show(auth: &Auth, providers: &[JwtProvider]) -> Json {
    let provider = |id: &ProviderId| -> Json { (*providers[id.0 as usize].name).into() };
    let credential = |credential: &Credential| match credential {
        Credential::Token(id) => provider(id),
        Credential::Mtls => "mtls".into(),
    };
    let (key, names): (_, Vec<Json>) = match &auth.requirement {
        Requirement::None => return "none".into(),
        Requirement::AnyOf(credentials) => ("anyOf", credentials.iter().map(credential).collect()),
        Requirement::AllOf(credentials) => ("allOf", credentials.iter().map(credential).collect()),
        Requirement::Optional(providers) => ("optional", providers.iter().map(provider).collect()),
    };
    Object::new()
        .with(key, names)
        .with("mode", show::word(auth.mode))
        .into()
}
