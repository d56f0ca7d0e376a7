//! DNS failures.

use hickory_resolver::{
    net::{DnsError, NetError},
    proto::op::ResponseCode,
};

use super::user::LookupResult;

/// Why a lookup of a name failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The name does not exist, or has no such records.
    #[error("there is no such name, or it has no address")]
    NotFound,
    /// No server responded in time.
    #[error("no response in time")]
    Timeout,
    /// Any other error of a server or of its response.
    #[error("{0}")]
    Server(NetError),
    /// The name is not a valid domain name.
    #[error("this is not a domain name: {0}")]
    Name(String),
}

impl Failure {
    /// The value of the metric label.
    pub(super) fn result(&self) -> LookupResult {
        match self {
            Self::NotFound => LookupResult::NotFound,
            Self::Timeout => LookupResult::Timeout,
            Self::Server(_) | Self::Name(_) => LookupResult::Failed,
        }
    }
}

impl From<NetError> for Failure {
    fn from(error: NetError) -> Self {
        match &error {
            NetError::Timeout => Self::Timeout,
            NetError::Dns(DnsError::NoRecordsFound(none))
                if matches!(
                    none.response_code,
                    ResponseCode::NXDomain | ResponseCode::NoError
                ) =>
            {
                Self::NotFound
            }
            _ => Self::Server(error),
        }
    }
}
