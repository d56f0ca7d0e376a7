//! The A and AAAA queries of a name, and the last result of each.
//!
//! A server may respond to one and fail the other, for a moment or permanently. So the families are
//! independent: the addresses of one stay until it gets a new response, even an empty one, and a
//! response waits only a moment for the other family (RFC 8305 section 3).

use std::{fmt, future::Future, net::IpAddr, pin::Pin, time::Duration};

use hickory_resolver::{
    TokioResolver,
    lookup::Lookup,
    net::{DnsError, NetError},
    proto::{
        op::ResponseCode,
        rr::{Name, Record, RecordType},
    },
};
use tokio::time::timeout;

use super::failure::Failure;

/// How long the addresses of one family wait for those of the other.
const GRACE: Duration = Duration::from_millis(50);

/// The result of a query.
enum QueryResult {
    /// These addresses, and their TTL.
    Addresses(Vec<IpAddr>, Duration),
    /// The name has no address in this family.
    Empty,
    /// The name does not exist.
    Gone,
    /// No usable response.
    Failed(Failure),
}

impl From<Result<Lookup, NetError>> for QueryResult {
    fn from(response: Result<Lookup, NetError>) -> Self {
        let error = match response {
            Ok(found) => {
                let addresses: Vec<_> = found
                    .answers()
                    .iter()
                    .filter_map(|one| one.data.ip_addr())
                    .collect();
                return match addresses.is_empty() {
                    true => Self::Empty,
                    false => Self::Addresses(addresses, ttl(found.answers())),
                };
            }
            Err(error) => error,
        };
        let gone = matches!(&error, NetError::Dns(DnsError::NoRecordsFound(none)) if none.response_code == ResponseCode::NXDomain);
        match Failure::from(error) {
            Failure::NotFound if gone => Self::Gone,
            Failure::NotFound => Self::Empty,
            failure => Self::Failed(failure),
        }
    }
}

/// A query for one family.
pub(super) struct Query {
    family: RecordType,
    state: State,
}

enum State {
    InProgress(Pin<Box<dyn Future<Output = QueryResult> + Send>>),
    Done(QueryResult),
}

impl Query {
    fn begin(resolver: &TokioResolver, name: &Name, family: RecordType) -> Self {
        let (resolver, name) = (resolver.clone(), name.clone());
        let response = async move { resolver.lookup(name, family).await.into() };
        Self {
            family,
            state: State::InProgress(Box::pin(response)),
        }
    }

    /// Waits for the end of the query. Cancel safe: may be dropped and called again.
    pub(super) async fn end(&mut self) {
        if let State::InProgress(response) = &mut self.state {
            self.state = State::Done(response.as_mut().await);
        }
    }

    fn has_addresses(&self) -> bool {
        matches!(self.state, State::Done(QueryResult::Addresses(..)))
    }

    fn is_nxdomain(&self) -> bool {
        matches!(self.state, State::Done(QueryResult::Gone))
    }
}

/// Queries both families. Ends when both are done, or when one has addresses and the other had its
/// grace period. NXDOMAIN counts for both families only when the A query returns it: some servers
/// return it to the AAAA query of every name (RFC 4074 section 4.2).
pub(super) async fn ask(resolver: &TokioResolver, name: &Name) -> [Query; 2] {
    let mut v4 = Query::begin(resolver, name, RecordType::A);
    let mut v6 = Query::begin(resolver, name, RecordType::AAAA);
    tokio::select! {
        () = v4.end() => {}
        () = v6.end() => {}
    }
    let enough = v4.has_addresses() || v6.has_addresses() || v4.is_nxdomain();
    let both = async {
        v4.end().await;
        v6.end().await;
    };
    match enough {
        true => drop(timeout(GRACE, both).await),
        false => both.await,
    }
    [v4, v6]
}

/// A result with addresses of at least one family.
pub(super) struct Resolution {
    /// How long they are valid.
    pub(super) ttl: Duration,
    /// Failure of the other family.
    pub(super) missing: Option<Missing>,
    /// Query of the other family, while it is in progress.
    pub(super) late: Option<Late>,
}

/// A query that is still in progress while the addresses of the other family are in use.
pub(super) struct Late {
    name: Name,
    query: Query,
}

impl Late {
    /// Waits for its response. Cancel safe: may be dropped and called again.
    pub(super) async fn end(&mut self) {
        self.query.end().await;
    }
}

/// A family without a response, and the reason.
#[derive(Debug)]
pub(super) struct Missing {
    family: RecordType,
    failure: Failure,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} records: {}", self.family, self.failure)
    }
}

/// The last result of each family of a name.
#[derive(Default)]
pub(super) struct CachedAddresses {
    /// The name with its search domain; `None` for a name of the hosts file.
    name: Option<Name>,
    v4: Vec<IpAddr>,
    v6: Vec<IpAddr>,
}

impl CachedAddresses {
    /// All addresses, sorted.
    pub(super) fn addresses(&self) -> Vec<IpAddr> {
        let mut addresses = [&self.v4[..], &self.v6[..]].concat();
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }

    pub(super) fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Whether these are addresses of exactly this name.
    pub(super) fn is_of(&self, name: &Name) -> bool {
        !self.is_empty() && self.name.as_ref() == Some(name)
    }

    /// Takes both families from the hosts file.
    pub(super) fn replace(&mut self, addresses: &[IpAddr]) {
        let (v4, v6) = addresses.iter().partition(|one| one.is_ipv4());
        *self = Self { name: None, v4, v6 };
    }

    /// Takes over the responses of both queries. When neither has addresses, nothing changes.
    ///
    /// # Errors
    /// No family has addresses, or both queries failed.
    pub(super) fn take(
        &mut self,
        name: &Name,
        [v4, v6]: [Query; 2],
    ) -> Result<Resolution, Failure> {
        if !v4.has_addresses() && !v6.has_addresses() {
            return Err(neither(v4, v6));
        }
        if self.name.as_ref() != Some(name) {
            *self = Self {
                name: Some(name.clone()),
                ..Self::default()
            };
        }
        let mut found = Resolution {
            ttl: Duration::MAX,
            missing: None,
            late: None,
        };
        for query in [v4, v6] {
            self.family(query, &mut found);
        }
        Ok(found)
    }

    /// Takes over a late response; `None` when the lookup has moved on to another name.
    pub(super) fn take_late(&mut self, late: Late) -> Option<Resolution> {
        if self.name.as_ref() != Some(&late.name) {
            return None;
        }
        let mut query = late.query;
        if let State::InProgress(_) = query.state {
            query.state = State::Done(QueryResult::Failed(Failure::Timeout));
        }
        let mut found = Resolution {
            ttl: Duration::MAX,
            missing: None,
            late: None,
        };
        self.family(query, &mut found);
        Some(found)
    }

    fn family(&mut self, Query { family, state }: Query, found: &mut Resolution) {
        let addresses = match family {
            RecordType::A => &mut self.v4,
            _ => &mut self.v6,
        };
        match state {
            State::Done(QueryResult::Addresses(new, ttl)) => {
                *addresses = new;
                found.ttl = found.ttl.min(ttl);
            }
            State::Done(QueryResult::Empty | QueryResult::Gone) => addresses.clear(),
            State::Done(QueryResult::Failed(failure)) => {
                found.missing = Some(Missing { family, failure })
            }
            State::InProgress(_) => {
                let name = self.name.clone().unwrap_or_default();
                found.late = Some(Late {
                    name,
                    query: Query { family, state },
                });
            }
        }
    }
}

/// Why there are no addresses. A failed family may have some, so its failure is reported first.
fn neither(v4: Query, v6: Query) -> Failure {
    match (v4.state, v6.state) {
        (State::Done(QueryResult::Gone), _) => Failure::NotFound,
        (State::Done(QueryResult::Failed(failure)), _)
        | (_, State::Done(QueryResult::Failed(failure))) => failure,
        _ => Failure::NotFound,
    }
}

/// The shortest TTL of all records, aliases included.
pub(super) fn ttl(records: &[Record]) -> Duration {
    Duration::from_secs(
        records
            .iter()
            .map(|record| record.ttl)
            .min()
            .unwrap_or(0)
            .into(),
    )
}
