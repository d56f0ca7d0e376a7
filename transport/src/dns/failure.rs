//! Why a name has no answer.

use hickory_resolver::{
    net::{DnsError, NetError},
    proto::op::ResponseCode,
};

use super::user::LookupResult;

/// Why a name has no answer now.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// It does not exist, or has no such records.
    #[error("there is no such name, or it has no address")]
    NotFound,
    /// Nobody answered.
    #[error("no answer in time")]
    Timeout,
    /// Something else.
    #[error("{0}")]
    Server(NetError),
    /// The name cannot be asked for.
    #[error("this is no name: {0}")]
    Name(String),
}

impl Failure {
    /// As a label has it.
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
