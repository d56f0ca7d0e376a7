//! The lookup of one name: queries it and publishes the result.

use std::{collections::HashMap, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use hickory_resolver::proto::rr::Name;
use outrigger_config::model::{DnsKind, EndpointAddress, EndpointSpec, NamedEndpoints};
use tokio::time::{Instant, timeout_at};

use super::{
    LONGEST, LOOKUP_TIMEOUT, SHORTEST,
    failure::Failure,
    families::{CachedAddresses, Late, Missing, Resolution},
    good_for,
    records::{self, Service},
    resolver::Resolver,
    retry,
    user::User,
};

/// One name and its last results.
pub(super) struct Lookup {
    pub(super) user: User,
    cached: CachedAddresses,
    /// The services of the name, and the addresses of each target.
    services: Vec<Service>,
    targets: HashMap<Box<str>, CachedAddresses>,
    /// The name, with its search domain, that has the services.
    service_name: Option<Name>,
    /// The endpoints that were made from these services.
    set: Vec<EndpointSpec>,
}

/// The result of a lookup.
pub(super) struct LookupOutcome {
    /// How long it is valid.
    pub(super) ttl: Duration,
    /// A failed family of a name.
    missing: Option<Missing>,
    /// Queries in progress, each with the target of its service; `None` for the name itself.
    late: Vec<(Option<Box<str>>, Late)>,
}

impl LookupOutcome {
    fn new(ttl: Duration) -> Self {
        Self {
            ttl,
            missing: None,
            late: Vec::new(),
        }
    }

    fn add(&mut self, target: Option<&str>, found: Resolution) {
        self.ttl = self.ttl.min(found.ttl);
        if found.missing.is_some() {
            self.missing = found.missing;
        }
        self.late
            .extend(found.late.map(|late| (target.map(Into::into), late)));
    }
}

impl Lookup {
    pub(super) fn new(user: User) -> Self {
        let (cached, services, targets) = Default::default();
        Self {
            user,
            cached,
            services,
            targets,
            service_name: None,
            set: Vec::new(),
        }
    }

    /// Runs one lookup and publishes its result.
    pub(super) async fn run(&mut self, resolver: &Resolver) -> Result<LookupOutcome, Failure> {
        let mut outcome = LookupOutcome::new(LONGEST);
        match self.user.clone() {
            User::Host(host) => {
                let EndpointAddress::Host { name, .. } = &host.address().spec.address else {
                    return Ok(outcome);
                };
                outcome.add(None, resolver.addresses(name, &mut self.cached).await?);
            }
            User::Endpoints(endpoints) => match endpoints.named() {
                None => return Ok(outcome),
                Some(NamedEndpoints {
                    name,
                    kind: DnsKind::Addresses { .. },
                    ..
                }) => {
                    outcome.add(None, resolver.addresses(name, &mut self.cached).await?);
                }
                Some(NamedEndpoints {
                    name,
                    kind: DnsKind::Services,
                    ..
                }) => {
                    self.services(name, resolver, &mut outcome).await?;
                }
            },
        }
        self.publish();
        Ok(outcome)
    }

    /// Takes over the queries of `outcome` that are still in progress, for as long as `outcome` is
    /// valid. Returns when to look up again. A failed family is retried like a failed name:
    /// `incomplete` counts the consecutive results that lacked one.
    pub(super) async fn rest(&mut self, outcome: LookupOutcome, incomplete: &mut u32) -> Instant {
        let begun = Instant::now();
        let mut again = begun + good_for(outcome.ttl);
        let until = again.min(begun + LOOKUP_TIMEOUT);
        let each = |(target, mut late): (Option<Box<str>>, Late)| async move {
            let _ = timeout_at(until, late.end()).await;
            (target, late)
        };
        let mut in_progress: FuturesUnordered<_> = outcome.late.into_iter().map(each).collect();
        let mut missing = outcome
            .missing
            .inspect(|missing| self.incomplete(missing, incomplete));
        while let Some((target, late)) = in_progress.next().await {
            let cached = match &target {
                Some(target) => self.targets.get_mut(target),
                None => Some(&mut self.cached),
            };
            let Some(found) = cached.and_then(|cached| cached.take_late(late)) else {
                continue;
            };
            again = again.min(begun + good_for(found.ttl));
            self.publish();
            if let (None, Some(failed)) = (&missing, found.missing) {
                self.incomplete(&failed, incomplete);
                missing = Some(failed);
            }
        }
        if missing.is_some() {
            return again.min(Instant::now() + retry(*incomplete));
        }
        *incomplete = 0;
        self.user.last().complete();
        again
    }

    fn incomplete(&self, missing: &Missing, incomplete: &mut u32) {
        self.user.last().failed(missing.to_string());
        *incomplete = incomplete.saturating_add(1);
        if incomplete.is_power_of_two() {
            let (name, failures) = (self.user.label(), *incomplete);
            tracing::warn!(%name, error = %missing, failures, "one address family cannot be looked up; its last addresses stay in use");
        }
    }

    /// Hands the addresses or endpoints to the user of the name.
    fn publish(&mut self) {
        match self.user.clone() {
            User::Host(host) => {
                let address = host.address();
                let EndpointAddress::Host { port, .. } = address.spec.address else {
                    return;
                };
                let addresses = self.cached.addresses();
                if address.resolved(addresses.iter().map(|ip| (*ip, port).into()).collect()) {
                    tracing::info!(endpoint = %address.label, ?addresses, "host name resolved");
                }
            }
            User::Endpoints(endpoints) => {
                let Some(named) = endpoints.named() else {
                    return;
                };
                let mut set = self.endpoints(named);
                records::bound(&mut set);
                if self.set != set {
                    let addresses: Vec<_> = set.iter().map(|spec| &spec.address).collect();
                    tracing::info!(upstream = %endpoints.label(), ?addresses, "endpoints looked up");
                    endpoints.replace(&set);
                    self.set = set;
                }
            }
        }
    }

    fn endpoints(&self, named: &NamedEndpoints) -> Vec<EndpointSpec> {
        if let DnsKind::Addresses { port } = named.kind {
            return records::endpoints(&self.cached.addresses(), port, &named.authority);
        }
        let of = |service: &Service| {
            Some((
                service.clone(),
                self.targets.get(&service.target)?.addresses(),
            ))
        };
        records::service_endpoints(&self.services.iter().filter_map(of).collect::<Vec<_>>())
    }

    async fn services(
        &mut self,
        name: &str,
        resolver: &Resolver,
        outcome: &mut LookupOutcome,
    ) -> Result<(), Failure> {
        let found = resolver.services(name, &mut self.service_name).await?;
        outcome.ttl = outcome.ttl.min(found.ttl);
        let mut services = Vec::new();
        for service in found.services {
            if self.target(&service, resolver, outcome).await? {
                services.push(service);
            }
        }
        if services.is_empty() {
            return Err(Failure::NotFound);
        }
        self.targets
            .retain(|target, _| services.iter().any(|one| one.target == *target));
        self.services = services;
        Ok(())
    }

    /// Queries the addresses of a target, and keeps its last ones when the query fails. Returns
    /// whether it has any.
    async fn target(
        &mut self,
        service: &Service,
        resolver: &Resolver,
        outcome: &mut LookupOutcome,
    ) -> Result<bool, Failure> {
        let cached = self.targets.entry(service.target.clone()).or_default();
        match resolver.addresses(&service.target, cached).await {
            Ok(found) => outcome.add(Some(&service.target), found),
            Err(Failure::NotFound) => return Ok(false),
            // A target without addresses would give its share of traffic to the others: fail, and
            // retry soon.
            Err(failure) if cached.is_empty() => return Err(failure),
            Err(_) => outcome.ttl = SHORTEST,
        }
        Ok(true)
    }
}
