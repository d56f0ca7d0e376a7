//! The lookup of one name: queries it and publishes the result.

use std::{collections::HashMap, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use hickory_resolver::proto::rr::Name;
use outrigger_config::model::{DnsKind, EndpointAddress, EndpointSpec, NamedEndpoints};
use tokio::time::{Instant, timeout_at};

use super::{
    LONGEST, LOOKUP_TIMEOUT, SHORTEST,
    answer::{self, Service},
    failure::Failure,
    families::{Found, Known, Late, Missing},
    good_for,
    resolver::Resolver,
    retry,
    user::User,
};

/// One name and its last results.
pub(super) struct Lookup {
    pub(super) user: User,
    known: Known,
    /// The services of the name, and the addresses of each target.
    services: Vec<Service>,
    targets: HashMap<Box<str>, Known>,
    /// The name, with its search domain, that has the services.
    served: Option<Name>,
    /// The endpoints that were made from these services.
    set: Vec<EndpointSpec>,
}

/// The result of a lookup.
pub(super) struct Answer {
    /// How long it is valid.
    pub(super) ttl: Duration,
    /// A failed family of a name.
    missing: Option<Missing>,
    /// Queries in progress, each with the target of its service; `None` for the name itself.
    late: Vec<(Option<Box<str>>, Late)>,
}

impl Answer {
    fn new(ttl: Duration) -> Self {
        Self {
            ttl,
            missing: None,
            late: Vec::new(),
        }
    }

    fn add(&mut self, target: Option<&str>, found: Found) {
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
        let (known, services, targets) = Default::default();
        Self {
            user,
            known,
            services,
            targets,
            served: None,
            set: Vec::new(),
        }
    }

    /// Runs one lookup and publishes its result.
    pub(super) async fn run(&mut self, resolver: &Resolver) -> Result<Answer, Failure> {
        let mut answer = Answer::new(LONGEST);
        match self.user.clone() {
            User::Host(host) => {
                let EndpointAddress::Host { name, .. } = &host.address().spec.address else {
                    return Ok(answer);
                };
                answer.add(None, resolver.addresses(name, &mut self.known).await?);
            }
            User::Endpoints(endpoints) => match endpoints.named() {
                None => return Ok(answer),
                Some(NamedEndpoints {
                    name,
                    kind: DnsKind::Addresses { .. },
                    ..
                }) => {
                    answer.add(None, resolver.addresses(name, &mut self.known).await?);
                }
                Some(NamedEndpoints {
                    name,
                    kind: DnsKind::Services,
                    ..
                }) => {
                    self.services(name, resolver, &mut answer).await?;
                }
            },
        }
        self.publish();
        Ok(answer)
    }

    /// Takes over the queries of `answer` that are still in progress, for as long as `answer` is
    /// valid. Returns when to look up again. A failed family is retried like a failed name:
    /// `incomplete` counts the consecutive results that lacked one.
    pub(super) async fn rest(&mut self, answer: Answer, incomplete: &mut u32) -> Instant {
        let begun = Instant::now();
        let mut again = begun + good_for(answer.ttl);
        let until = again.min(begun + LOOKUP_TIMEOUT);
        let each = |(target, mut late): (Option<Box<str>>, Late)| async move {
            let _ = timeout_at(until, late.end()).await;
            (target, late)
        };
        let mut under_way: FuturesUnordered<_> = answer.late.into_iter().map(each).collect();
        let mut missing = answer
            .missing
            .inspect(|missing| self.incomplete(missing, incomplete));
        while let Some((target, late)) = under_way.next().await {
            let known = match &target {
                Some(target) => self.targets.get_mut(target),
                None => Some(&mut self.known),
            };
            let Some(found) = known.and_then(|known| known.take_late(late)) else {
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
                let addresses = self.known.addresses();
                if address.resolved(addresses.iter().map(|ip| (*ip, port).into()).collect()) {
                    tracing::info!(endpoint = %address.label, ?addresses, "host name resolved");
                }
            }
            User::Endpoints(endpoints) => {
                let Some(named) = endpoints.named() else {
                    return;
                };
                let mut set = self.endpoints(named);
                answer::bound(&mut set);
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
            return answer::endpoints(&self.known.addresses(), port, &named.authority);
        }
        let of = |service: &Service| {
            Some((
                service.clone(),
                self.targets.get(&service.target)?.addresses(),
            ))
        };
        answer::service_endpoints(&self.services.iter().filter_map(of).collect::<Vec<_>>())
    }

    async fn services(
        &mut self,
        name: &str,
        resolver: &Resolver,
        answer: &mut Answer,
    ) -> Result<(), Failure> {
        let found = resolver.services(name, &mut self.served).await?;
        answer.ttl = answer.ttl.min(found.ttl);
        let mut services = Vec::new();
        for service in found.services {
            if self.target(&service, resolver, answer).await? {
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
        answer: &mut Answer,
    ) -> Result<bool, Failure> {
        let known = self.targets.entry(service.target.clone()).or_default();
        match resolver.addresses(&service.target, known).await {
            Ok(found) => answer.add(Some(&service.target), found),
            Err(Failure::NotFound) => return Ok(false),
            // A target without addresses would give its share of traffic to the others: fail, and
            // retry soon.
            Err(failure) if known.is_empty() => return Err(failure),
            Err(_) => answer.ttl = SHORTEST,
        }
        Ok(true)
    }
}
