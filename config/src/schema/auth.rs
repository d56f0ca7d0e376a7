//! What a route asks of its clients: `auth`, `authorize`, `extAuth` and `cors`.

use serde_json::json;

use crate::{
    block::{
        At, Entries, Flag, OneOrMany, Read, Reader, Time, Word, block, inline_schema, json,
        node::{Node, Value},
        problem::Place,
    },
    model::RuleAction,
    part::{
        value_match::MatchValue,
        words::{Mode, OnError},
    },
    schema::UpstreamTlsBlock,
};

block! {
    /// What a client must present: names of token providers, and `mtls` for a verified client certificate.
    AuthBlock {
        /// One of these.
        "anyOf" any_of: Vec<At<String>>,
        /// Every one of these.
        "allOf" all_of: Vec<At<String>>,
        /// Token providers; a token may be absent, but never wrong.
        "optional" optional: Vec<At<String>>,
        /// `enforce`, or `report`: the request goes on, and is logged and counted. Default enforce.
        "mode" mode: Word<Mode>,
    }
    one_of ["anyOf", "allOf", "optional"]
}

/// `none`, or what is asked for.
#[derive(Debug, Clone)]
pub(crate) enum AuthValue {
    None,
    Asked(Box<AuthBlock>),
}

block! {
    /// Who of those may do what: `deny` beats `allow`, and with any `allow` rule a request that none takes is refused.
    AuthorizeBlock {
        /// `enforce`, or `report`: the request goes on, and is logged and counted. Default enforce.
        "mode" mode: Word<Mode>,
        /// The rules, at least one.
        "rules" rules: Vec<At<RuleBlock>>,
    }
    required ["rules"]
}

block! {
    /// One rule.
    RuleBlock {
        /// A DNS label, unique in the route; stands in the log when the rule refuses.
        "name" name: String,
        /// `allow` or `deny`.
        "action" action: Word<RuleAction>,
        /// Which requests it takes: all keys must hold. Default: every request.
        "when" when: WhenBlock,
    }
    required ["name", "action"]
}

block! {
    /// Which requests a rule takes; all keys must hold.
    WhenBlock {
        /// Methods, one of which must be the request's.
        "methods" methods: Vec<At<String>>,
        /// Scopes, all of which the token must have (`scope`, or `scp`).
        "scopes" scopes: Vec<At<String>>,
        /// Claims of the token, all of which must match: a string is the exact value, a list holds one of several. An array in the token matches when one element does.
        "claims" claims: Entries<OneOrMany<MatchValue>>,
        /// The client's certificate.
        "clientCert" client_cert: ClientCertBlock,
        /// Address ranges, one of which must hold the client's address.
        "sourceCIDRs" source_cidrs: Vec<At<String>>,
    }
}

block! {
    /// What the client's certificate must be.
    ClientCertBlock {
        /// URI and DNS names, one of which must be the certificate's. `*` is one segment between slashes (dots, in a DNS name), `**` any number.
        "subjectAltNames" subject_alt_names: Vec<At<String>>,
    }
    required ["subjectAltNames"]
}

block! {
    /// A service that is asked about every request: 2xx lets it go on, anything else is the answer.
    ExtAuthBlock {
        /// Where it is asked, such as `http://127.0.0.1:8181/v1/check`, or with https.
        "url" url: String,
        /// TLS towards it, where the URL begins with https: who is believed, and what is shown.
        "tls" tls: UpstreamTlsBlock,
        /// From the start of the connect to the whole answer, over 0. Default 200ms.
        "timeout" timeout: Time,
        /// What happens without an answer: `deny` (503) or `allow`. Default deny.
        "onError" on_error: Word<OnError>,
        /// Headers of the request that are sent to the service, beside `authorization`. One of `claimHeaders` has the claim of the verified token. Default none.
        "requestHeaders" request_headers: Vec<At<String>>,
        /// Headers of a 2xx answer that are handed on: `set-cookie` to the client, every other one to the app. What clients send under such a name never reaches the app. Default none.
        "responseHeaders" response_headers: Vec<At<String>>,
        /// Whether `x-forwarded-uri` has the query string. Default false.
        "includeQuery" include_query: Flag,
        /// Whether the client's address is sent, as `x-forwarded-for`. Default false.
        "includeClientAddress" include_client_address: Flag,
    }
    required ["url"]
}

impl Read for AuthValue {
    fn read(node: &Node, place: &Place, reader: &mut Reader<'_>) -> Option<Self> {
        const EXPECTED: &str = "a map, or none";
        match &node.value {
            Value::Map(_) => AuthBlock::read(node, place, reader).map(Box::new).map(Self::Asked),
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
                reader.mismatch(node, place, EXPECTED, "write { anyOf: […] }, or none for an open route");
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
