//! One name: it is asked for, and what comes is put where it is needed.

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

/// One name, and what was found out about it.
pub(super) struct Lookup {
    pub(super) user: User,
    /// The addresses of the name.
    known: Known,
    /// The services of the name, and the addresses of each target.
    services: Vec<Service>,
    targets: HashMap<Box<str>, Known>,
    /// The name, with its search domain, that had the services.
    served: Option<Name>,
    /// The endpoints that were made of it.
    set: Vec<EndpointSpec>,
}

/// What a lookup brought.
pub(super) struct Answer {
    /// For how long it is good.
    pub(super) ttl: Duration,
    /// A family of a name that failed.
    missing: Option<Missing>,
    /// What is still under way; the target of a service, or none for the name itself.
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

    /// Asks once, and puts the answer where it is needed.
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

    /// Takes over what is still under way of an answer, for as long as that is good; when to ask again. A family that fails
    /// is asked for again like a name that does: `incomplete` counts the answers in a row that lacked one.
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
            tracing::warn!(%name, error = %missing, failures, "one address family not looked up; its last addresses stay");
        }
    }

    /// Puts what is known where it is needed.
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

    /// Asks for the addresses of a target, whose last ones stay when it cannot be asked for now; whether it has any.
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
            // Without it the others would get its share: better to ask again soon.
            Err(failure) if known.is_empty() => return Err(failure),
            Err(_) => answer.ttl = SHORTEST,
        }
        Ok(true)
    }
}
