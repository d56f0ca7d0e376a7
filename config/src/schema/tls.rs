//! `listeners[].tls`.

use serde_json::json;

use crate::{
    block::{
        At, Flag, Read, Reader, Word, Words, block, inline_schema, json,
        node::{Node, Value},
        problem::Place,
    },
    model::{ClientAuthMode, TlsVersion},
};

block! {
    /// TLS towards clients: what is shown to them, and who they must be. Files are read again when they change; a certificate and its key are taken as a pair or not at all.
    TlsBlock {
        /// PEM file with the server's certificate first, then those that signed it, each before its own issuer.
        "certFile" cert_file: String,
        /// PEM file with the key of `certFile`, not encrypted: PKCS#8, PKCS#1 or SEC1; ECDSA, Ed25519, or RSA from 2048 bits.
        "keyFile" key_file: String,
        /// One PEM file with key and chain, in place of `certFile` and `keyFile`.
        "bundleFile" bundle_file: String,
        /// The lowest version of TLS that is spoken: "1.2" or "1.3", in quotes. Default "1.2".
        "minVersion" min_version: Version,
        /// More certificates, chosen by the server name that the client asks for: exact before wildcard, longer first. Any other name gets the certificate above.
        "sni" sni: Vec<At<SniBlock>>,
        /// Who may connect. Default: clients present no certificate.
        "clientAuth" client_auth: ClientAuthBlock,
    }
    one_of ["certFile", "bundleFile"]
}

block! {
    /// A certificate for some server names.
    SniBlock {
        /// Server names, such as `api.example.com` or `*.example.com` (one or more labels in place of the star). At least one.
        "hostnames" hostnames: Vec<At<String>>,
        /// PEM file with the chain, as in `tls`.
        "certFile" cert_file: String,
        /// PEM file with the key, as in `tls`.
        "keyFile" key_file: String,
        /// One PEM file with key and chain, in place of `certFile` and `keyFile`.
        "bundleFile" bundle_file: String,
    }
    required ["hostnames"]
    one_of ["certFile", "bundleFile"]
}

block! {
    /// mTLS: which certificates clients present.
    ClientAuthBlock {
        /// `required`: without a certificate that these CAs vouch for no connection. `optional`: a client may have none, and a route that needs `mtls` answers 403. Default required. Kubelet probes have no certificate and belong on `status`.
        "mode" mode: Word<ClientAuthMode>,
        /// PEM files with the CAs that sign clients' certificates. At least one.
        "caFiles" ca_files: Vec<At<String>>,
        /// PEM files with certificate revocation lists. With any, every CA in a client's chain needs one that is current, else the client is refused. Default none.
        "crlFiles" crl_files: Vec<At<String>>,
        /// Whether the app is told who the client is, in X-Forwarded-Client-Cert. Default false; from clients that header is always removed.
        "forwardIdentity" forward_identity: Flag,
    }
    required ["caFiles"]
}

block! {
    /// TLS towards the endpoints, whose URLs begin with https. They are always verified. Files are read again when they change; a certificate and its key are taken as a pair or not at all.
    UpstreamTlsBlock {
        /// The server name that is asked for (SNI), that the certificate must be for, and that is Host on outbound routes. Default: the host of the endpoint's URL.
        "hostname" hostname: String,
        /// Names of which the certificate must have one, in place of the server name: URIs such as `spiffe://example.com/ns/pay/sa/api`, DNS names, addresses. Default: the server name.
        "subjectAltNames" subject_alt_names: Vec<At<String>>,
        /// PEM files with the CAs that sign the endpoints' certificates. Default: the system's roots.
        "caFiles" ca_files: Vec<At<String>>,
        /// PEM file with the certificate that is shown to endpoints that ask for one, first, then those that signed it. Default: none is shown.
        "certFile" cert_file: String,
        /// PEM file with the key of `certFile`, not encrypted: PKCS#8, PKCS#1 or SEC1; ECDSA, Ed25519, or RSA from 2048 bits.
        "keyFile" key_file: String,
    }
}

/// `minVersion`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Version(pub(crate) TlsVersion);

impl Read for Version {
    fn read(node: &Node, place: &Place, reader: &mut Reader<'_>) -> Option<Self> {
        const HELP: &str = "use \"1.2\" or \"1.3\"";
        let text = match &node.value {
            Value::Text(text) => reader.substituted(text, place)?.0,
            Value::Integer(_) | Value::Float => {
                let number = reader.report.source().slice(node.span).to_owned();
                let found = TlsVersion::WORDS.iter().find(|(word, _)| *word == number);
                let help = found.map_or_else(|| HELP.to_owned(), |(word, _)| format!("write \"{word}\""));
                reader.mismatch(node, place, "a string", &help);
                return None;
            }
            _ => {
                reader.mismatch(node, place, "a string", HELP);
                return None;
            }
        };
        let found =
            TlsVersion::WORDS.iter().find(|(word, _)| *word == text).map(|(_, version)| Self(*version));
        if found.is_none() {
            let message = format!("{text:?} is not supported");
            reader.invalid(place, "bad-value", message, HELP.to_owned());
        }
        found
    }
}

inline_schema!([] Version, |_generator| {
    json::or_variable(json!({ "type": "string", "enum": TlsVersion::WORDS.iter().map(|(word, _)| *word).collect::<Vec<_>>() }))
});
