//! Selects the server certificate by server name: an exact name before a wildcard, longer wildcards
//! first (RFC 6066 section 3; RFC 9525 for the meaning of a wildcard).

use std::{collections::HashMap, sync::Arc};

use outrigger_config::model::{Certificate, Hostname, ServerTls};
use rustls::{
    crypto::CryptoProvider,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::identity;

#[derive(Debug)]
pub(crate) struct Certificates {
    exact: HashMap<Box<str>, Arc<ServerCertificate>>,
    /// Suffixes with their dot, longest first.
    wildcards: Vec<(Box<str>, Arc<ServerCertificate>)>,
    default: Arc<ServerCertificate>,
}

/// One server certificate.
#[derive(Debug)]
pub(crate) struct ServerCertificate {
    key: Arc<CertifiedKey>,
    /// Its URI names: the proxy's own identity in X-Forwarded-Client-Cert.
    pub uris: Vec<Arc<str>>,
}

impl ServerCertificate {
    fn new(
        certificate: &Certificate,
        provider: &CryptoProvider,
    ) -> Result<Arc<Self>, rustls::Error> {
        let key = provider
            .key_provider
            .load_private_key(certificate.key.der().clone_key())?;
        let leaf = certificate.chain.first();
        // An unreadable certificate has no names; the library still sends it.
        let uris = leaf
            .and_then(|leaf| identity::read(leaf).ok())
            .map(|identity| identity.uris);
        Ok(Arc::new(Self {
            key: Arc::new(CertifiedKey::new(certificate.chain.clone(), key)),
            uris: uris.unwrap_or_default(),
        }))
    }
}

impl Certificates {
    /// The certificates of the accepted configuration.
    ///
    /// # Errors
    /// The library cannot sign with a key.
    pub(crate) fn new(model: &ServerTls, provider: &CryptoProvider) -> Result<Self, rustls::Error> {
        let default = ServerCertificate::new(&model.certificate, provider)?;
        let (mut exact, mut wildcards) = (HashMap::new(), Vec::new());
        for item in &model.sni {
            let certificate = ServerCertificate::new(&item.certificate, provider)?;
            for hostname in &item.hostnames {
                match hostname {
                    Hostname::Exact(name) => {
                        exact
                            .entry(Box::from(&**name))
                            .or_insert_with(|| Arc::clone(&certificate));
                    }
                    Hostname::Wildcard(suffix) => {
                        wildcards.push((Box::from(&**suffix), Arc::clone(&certificate)))
                    }
                }
            }
        }
        wildcards.sort_by_key(|(suffix, _): &(Box<str>, _)| std::cmp::Reverse(suffix.len()));
        Ok(Self {
            exact,
            wildcards,
            default,
        })
    }

    /// The certificate for a client with this server name, in lower case.
    pub(crate) fn choose(&self, name: Option<&str>) -> &Arc<ServerCertificate> {
        name.and_then(|name| self.named(name))
            .unwrap_or(&self.default)
    }

    /// Whether both names, in lower case, get the same certificate.
    pub(crate) fn are_same(&self, one: &str, other: &str) -> bool {
        let (one, other) = (self.choose(Some(one)), self.choose(Some(other)));
        Arc::ptr_eq(one, other) || one.key.cert == other.key.cert
    }

    fn named(&self, name: &str) -> Option<&Arc<ServerCertificate>> {
        let wildcard = || {
            // The wildcard stands for at least one label: the suffix alone does not match.
            let holds = |suffix: &str| {
                name.strip_suffix(suffix)
                    .is_some_and(|label| !label.is_empty())
            };
            self.wildcards
                .iter()
                .find(|(suffix, _)| holds(suffix))
                .map(|(_, certificate)| certificate)
        };
        self.exact.get(name).or_else(wildcard)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.choose(hello.server_name()).key))
    }
}
