//! Authorities, certificates and revocation lists, made when a test runs so that nothing in the repository expires.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer,
    CrlDistributionPoint, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyIdMethod,
    KeyPair, KeyUsagePurpose, NameConstraints, RevokedCertParams, SanType, SerialNumber,
    SignatureAlgorithm,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use x509_parser::time::ASN1Time;

/// A day, in seconds.
pub const DAY: i64 = 24 * 3600;

static SERIAL: AtomicU64 = AtomicU64::new(1000);

/// Something that signs.
pub struct Ca(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, and what stands between it and a root.
pub struct Leaf {
    pub certificate: CertificateDer<'static>,
    pub serial: u64,
    between: Vec<String>,
    pem: String,
    key: KeyPair,
}

/// What a certificate is to say; by default a client's, good for a year.
pub struct Wanted {
    params: CertificateParams,
    serial: u64,
    key: &'static SignatureAlgorithm,
}

/// A moment so many seconds from now, or before it.
fn moment(seconds: i64) -> ASN1Time {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    ASN1Time::from_timestamp(i64::try_from(now).unwrap() + seconds).unwrap()
}

fn serial() -> u64 {
    SERIAL.fetch_add(1, Ordering::Relaxed)
}

fn authority(name: &str) -> CertificateParams {
    let mut params = Wanted::client(name).params;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.extended_key_usages.clear();
    params
}

impl Ca {
    pub fn new(name: &str) -> Self {
        Self(CertifiedIssuer::self_signed(authority(name), KeyPair::generate().unwrap()).unwrap())
    }

    /// One that this one has signed; its serial number too.
    pub fn intermediate(&self, name: &str) -> (Self, u64) {
        let serial = serial();
        let mut params = authority(name);
        params.serial_number = Some(SerialNumber::from(serial));
        (
            Self(
                CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &self.0).unwrap(),
            ),
            serial,
        )
    }

    /// One that may name hosts in this domain alone.
    pub fn intermediate_for(&self, name: &str, domain: &str) -> Self {
        let mut params = authority(name);
        let permitted_subtrees = vec![GeneralSubtree::DnsName(domain.to_owned())];
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees,
            excluded_subtrees: Vec::new(),
        });
        Self(CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &self.0).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    pub fn der(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    pub fn sign(&self, wanted: Wanted) -> Leaf {
        let key = KeyPair::generate_for(wanted.key).unwrap();
        let made = wanted.params.signed_by(&key, &self.0).unwrap();
        Leaf {
            certificate: made.der().clone(),
            serial: wanted.serial,
            between: Vec::new(),
            pem: made.pem(),
            key,
        }
    }

    /// A list that takes these back and is due in so many seconds.
    pub fn crl(&self, revoked: &[u64], due: i64) -> String {
        let one = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: moment(-DAY).to_datetime(),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: moment(-10 * DAY).to_datetime(),
            next_update: moment(due).to_datetime(),
            crl_number: SerialNumber::from(serial()),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(one).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.0).unwrap().pem().unwrap()
    }
}

impl Wanted {
    pub fn client(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = moment(-DAY).to_datetime();
        params.not_after = moment(365 * DAY).to_datetime();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let serial = serial();
        params.serial_number = Some(SerialNumber::from(serial));
        Self {
            params,
            serial,
            key: &rcgen::PKCS_ECDSA_P256_SHA256,
        }
    }

    pub fn server(names: &[&str]) -> Self {
        let wanted = Self::client(names[0]).usages(&[ExtendedKeyUsagePurpose::ServerAuth]);
        names
            .iter()
            .fold(wanted, |wanted, name| match name.parse::<IpAddr>() {
                Ok(address) => wanted.san(SanType::IpAddress(address)),
                Err(_) => wanted.dns(name),
            })
    }

    pub fn san(mut self, name: SanType) -> Self {
        self.params.subject_alt_names.push(name);
        self
    }

    pub fn dns(self, name: &str) -> Self {
        self.san(SanType::DnsName(name.try_into().unwrap()))
    }

    /// It may sign others, as `openssl req -x509` makes it.
    pub fn signing(mut self) -> Self {
        self.params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        self
    }

    /// It is made for these uses of its key alone.
    pub fn key_usages(mut self, usages: &[KeyUsagePurpose]) -> Self {
        self.params.key_usages = usages.to_vec();
        self
    }

    /// Self-signed.
    pub fn by_itself(self) -> Leaf {
        let key = KeyPair::generate_for(self.key).unwrap();
        let made = self.params.self_signed(&key).unwrap();
        Leaf {
            certificate: made.der().clone(),
            serial: self.serial,
            between: Vec::new(),
            pem: made.pem(),
            key,
        }
    }

    /// This name and no other.
    pub fn only_dns(mut self, name: &str) -> Self {
        self.params.subject_alt_names.clear();
        self.dns(name)
    }

    pub fn uri(self, uri: &str) -> Self {
        self.san(SanType::URI(uri.try_into().unwrap()))
    }

    pub fn named(mut self, kind: DnType, value: &str) -> Self {
        self.params.distinguished_name.push(kind, value);
        self
    }

    pub fn usages(mut self, usages: &[ExtendedKeyUsagePurpose]) -> Self {
        self.params.extended_key_usages = usages.to_vec();
        self
    }

    /// Valid between these seconds from now.
    pub fn valid(mut self, from: i64, to: i64) -> Self {
        self.params.not_before = moment(from).to_datetime();
        self.params.not_after = moment(to).to_datetime();
        self
    }

    /// Names where its revocation list would be.
    pub fn listed_at(mut self, url: &str) -> Self {
        self.params.crl_distribution_points = vec![CrlDistributionPoint {
            uris: vec![url.to_owned()],
        }];
        self
    }

    pub fn key(mut self, algorithm: &'static SignatureAlgorithm) -> Self {
        self.key = algorithm;
        self
    }
}

impl Leaf {
    /// Shows this authority too.
    pub fn over(mut self, between: &Ca) -> Self {
        self.between.push(between.pem());
        self
    }

    pub fn chain_pem(&self) -> String {
        self.pem.clone() + &self.between.concat()
    }

    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        use rustls_pki_types::pem::PemObject;
        CertificateDer::pem_slice_iter(self.chain_pem().as_bytes())
            .map(Result::unwrap)
            .collect()
    }

    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }

    /// Writes `NAME.crt` and `NAME.key`.
    pub fn write(&self, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let (certificate, key) = (
            folder.join(format!("{name}.crt")),
            folder.join(format!("{name}.key")),
        );
        std::fs::write(&certificate, self.chain_pem()).unwrap();
        std::fs::write(&key, self.key_pem()).unwrap();
        (certificate, key)
    }
}
