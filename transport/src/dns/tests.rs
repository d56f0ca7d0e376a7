//! Lookups against a server whose responses change. Only the patience of the tests bounds what they
//! wait for.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use outrigger_config::{
    load_str,
    model::{EndpointSpec, NamedEndpoints, Upstream},
};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::{
    resolver::SystemFiles,
    stub::{A, AAAA, Dns, Reply, SRV},
    *,
};
use crate::address::{Address, ConnectTo, LastLookup};

const PATIENCE: Duration = Duration::from_secs(20);

/// Lookups by their result.
#[derive(Default)]
struct Counted([AtomicU64; LookupResult::ALL.len()]);

impl Counters for Counted {
    fn looked_up(&self, result: LookupResult) {
        self.0[result as usize].fetch_add(1, Relaxed);
    }
}

/// An upstream whose endpoints come from a name.
struct Named {
    label: Arc<str>,
    named: Option<NamedEndpoints>,
    lookup: LastLookup,
    /// The endpoints, and how often they were replaced.
    set: Mutex<(Vec<EndpointSpec>, u64)>,
}

impl Named {
    fn endpoints(&self) -> Vec<EndpointSpec> {
        self.set.lock().unwrap().0.clone()
    }

    fn replaced(&self) -> u64 {
        self.set.lock().unwrap().1
    }
}

impl Endpoints for Named {
    fn label(&self) -> &Arc<str> {
        &self.label
    }

    fn named(&self) -> Option<&NamedEndpoints> {
        self.named.as_ref()
    }

    fn lookup(&self) -> &LastLookup {
        &self.lookup
    }

    fn replace(&self, endpoints: &[EndpointSpec]) {
        let mut set = self.set.lock().unwrap();
        *set = (endpoints.to_vec(), set.1 + 1);
    }
}

/// A server, and the files that name it.
struct Bench {
    dns: Dns,
    folder: TempDir,
    lookups: Lookups,
    counters: Arc<Counted>,
}

impl Bench {
    fn start() -> Self {
        Self::with(
            "search first.example second.example\noptions ndots:2 timeout:1 attempts:1\n",
            "",
        )
    }

    fn with(resolv_conf: &str, hosts: &str) -> Self {
        let (dns, folder) = (Dns::start(), tempfile::tempdir().unwrap());
        let files = SystemFiles {
            resolv_conf: folder.path().join("resolv.conf"),
            hosts: folder.path().join("hosts"),
            port: dns.address.port(),
        };
        std::fs::write(
            &files.resolv_conf,
            format!("nameserver 127.0.0.1\n{resolv_conf}"),
        )
        .unwrap();
        std::fs::write(&files.hosts, hosts).unwrap();
        let lookups = Lookups::with(Resolver::at(files));
        Self {
            dns,
            folder,
            lookups,
            counters: Arc::default(),
        }
    }

    fn resolv_conf(&self) -> PathBuf {
        self.folder.path().join("resolv.conf")
    }

    /// Looks up the host of a URL.
    async fn endpoint(&mut self, host: &str) -> Arc<Address> {
        let model = upstream(&format!("endpoints: [{{ url: \"http://{host}:80\" }}]"));
        let address = Arc::new(Address::new(model.endpoints[0].clone()));
        self.begin(User::Host(Arc::clone(&address) as _)).await;
        address
    }

    /// Looks up the endpoints of an upstream.
    async fn named(&mut self, dns: &str) -> Arc<Named> {
        let named = Arc::new(Named {
            label: "u".into(),
            named: upstream(&format!("dns: {{ {dns} }}")).dns,
            lookup: LastLookup::default(),
            set: Mutex::default(),
        });
        self.begin(User::Endpoints(Arc::clone(&named) as _)).await;
        named
    }

    async fn begin(&mut self, user: User) {
        let name = Name {
            user,
            counters: Some(Arc::clone(&self.counters) as _),
        };
        self.lookups.begin(vec![name], PATIENCE).await;
    }

    fn lookups(&self, result: LookupResult) -> u64 {
        self.counters.0[result as usize].load(Relaxed)
    }
}

fn upstream(keys: &str) -> Upstream {
    let yaml =
        format!("upstreams: {{ u: {{ {keys} }} }}\nroutes: [{{ name: r, backendRefs: [u] }}]");
    let loaded = load_str("outrigger.yaml", &yaml, &|_: &str| None);
    let config = loaded
        .unwrap_or_else(|error| panic!("{}", error.render(false)))
        .config;
    config.upstreams.into_iter().next().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn found(ttl: u32, addresses: &[&str]) -> Reply {
    Reply::Addresses(ttl, addresses.iter().map(|one| ip(one)).collect())
}

/// The addresses of an endpoint, sorted.
fn addresses(endpoint: &Address) -> BTreeSet<IpAddr> {
    match endpoint.connect_to() {
        ConnectTo::Tcp(addresses) => addresses.iter().map(|one| one.ip()).collect(),
        ConnectTo::Unix(_) => panic!(),
    }
}

fn set(addresses: &[&str]) -> BTreeSet<IpAddr> {
    addresses.iter().map(|one| ip(one)).collect()
}

/// The endpoints of an upstream, with their weights.
fn labels(upstream: &Named) -> Vec<String> {
    let label = |spec: &EndpointSpec| Address::new(spec.clone()).label;
    let endpoints = upstream.endpoints();
    endpoints
        .iter()
        .map(|one| format!("{} {}", label(one), one.authority))
        .collect()
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn addresses_of_both_kinds_are_followed_however_short_they_are_good() {
    let mut bench = Bench::start();
    bench
        .dns
        .set("a.b.example", found(0, &["10.0.0.1", "fd00::1"]));
    let endpoint = bench.endpoint("a.b.example.").await;
    assert_eq!(addresses(&endpoint), set(&["10.0.0.1", "fd00::1"]));
    bench
        .dns
        .set("a.b.example", found(0, &["10.0.0.2", "10.0.0.3"]));
    until("new addresses", || {
        addresses(&endpoint) == set(&["10.0.0.2", "10.0.0.3"])
    })
    .await;
    assert!(
        !endpoint.still_has(Some((ip("10.0.0.1"), 80).into())),
        "its connections get no new requests"
    );
    // At least 1 s: TTL 0 does not cause a lookup in a loop.
    let before = bench.dns.count("a.b.example");
    sleep(Duration::from_millis(2500)).await;
    assert!(bench.dns.count("a.b.example") - before <= 3);
}

#[tokio::test]
async fn an_answer_that_is_good_for_a_day_is_asked_for_once_and_aliases_count() {
    let mut bench = Bench::start();
    bench.dns.set("day.b.example", found(86_400, &["10.0.0.1"]));
    bench.dns.set(
        "alias.b.example",
        Reply::Alias(0, "real.example".into(), 86_400, vec![ip("10.0.0.2")]),
    );
    let (day, alias) = (
        bench.endpoint("day.b.example.").await,
        bench.endpoint("alias.b.example.").await,
    );
    assert_eq!(
        (addresses(&day), addresses(&alias)),
        (set(&["10.0.0.1"]), set(&["10.0.0.2"]))
    );
    until("the alias to be asked for again", || {
        bench.dns.count("alias.b.example") > 1
    })
    .await;
    assert_eq!(bench.dns.count("day.b.example"), 1);
}

/// After every kind of failure, the last addresses stay and the failure is counted.
#[tokio::test]
async fn the_last_good_answer_stays() {
    let mut bench = Bench::start();
    bench.dns.set("a.b.example", found(0, &["10.0.0.1"]));
    let endpoint = bench.endpoint("a.b.example.").await;
    for (reply, result) in [
        (Reply::Error(3), LookupResult::NotFound),
        (found(0, &[]), LookupResult::NotFound),
        (Reply::Error(2), LookupResult::Failed),
        (Reply::Error(5), LookupResult::Failed),
        (Reply::Silence, LookupResult::Timeout),
    ] {
        let before = bench.lookups(result);
        bench.dns.set("a.b.example", reply.clone());
        until(&format!("{reply:?} to be counted"), || {
            bench.lookups(result) > before
        })
        .await;
        assert_eq!(addresses(&endpoint), set(&["10.0.0.1"]), "{reply:?}");
        bench.dns.set("a.b.example", found(0, &["10.0.0.1"]));
        let good = bench.lookups(LookupResult::Ok);
        until("a good answer", || bench.lookups(LookupResult::Ok) > good).await;
    }
}

/// Each way in which the query of one family can fail, beside a new response to the other.
#[tokio::test]
async fn while_one_family_fails_its_last_addresses_stay() {
    let mut bench = Bench::start();
    bench
        .dns
        .set("a.b.example", found(0, &["10.0.0.1", "fd00::1"]));
    let endpoint = bench.endpoint("a.b.example.").await;
    let mut last = 1;
    for failure in [
        Reply::Error(2),
        Reply::Error(5),
        Reply::Silence,
        Reply::Garbage,
    ] {
        last += 1;
        let (v4, v6) = (format!("10.0.0.{last}"), format!("fd00::{last}"));
        let before = addresses(&endpoint);
        let old_v4 = before
            .iter()
            .find(|one| one.is_ipv4())
            .copied()
            .unwrap()
            .to_string();
        bench.dns.set(
            "a.b.example",
            Reply::per_family(failure.clone(), found(0, &[&v6])),
        );
        until(&format!("{v6} beside {failure:?}"), || {
            addresses(&endpoint).contains(&ip(&v6))
        })
        .await;
        assert_eq!(addresses(&endpoint), set(&[&old_v4, &v6]), "A: {failure:?}");
        bench.dns.set(
            "a.b.example",
            Reply::per_family(found(0, &[&v4]), failure.clone()),
        );
        until(&format!("{v4} beside {failure:?}"), || {
            addresses(&endpoint).contains(&ip(&v4))
        })
        .await;
        assert_eq!(addresses(&endpoint), set(&[&v4, &v6]), "AAAA: {failure:?}");
    }
}

#[tokio::test]
async fn a_family_that_has_no_addresses_any_more_is_believed() {
    let mut bench = Bench::start();
    for none in [found(0, &[]), Reply::Error(3)] {
        bench
            .dns
            .set("a.b.example", found(0, &["10.0.0.1", "fd00::1"]));
        let endpoint = bench.endpoint("a.b.example.").await;
        until("both families", || {
            addresses(&endpoint) == set(&["10.0.0.1", "fd00::1"])
        })
        .await;
        bench.dns.set(
            "a.b.example",
            Reply::per_family(found(0, &["10.0.0.1"]), none.clone()),
        );
        until(&format!("the end of IPv6: {none:?}"), || {
            addresses(&endpoint) == set(&["10.0.0.1"])
        })
        .await;
    }
}

#[tokio::test]
async fn endpoints_of_dns_do_not_move_to_ipv6_while_a_fails() {
    let mut bench = Bench::start();
    bench
        .dns
        .set("search.b.example", found(0, &["10.0.0.1", "fd00::1"]));
    let upstream = bench.named("name: search.b.example., port: 9200").await;
    assert_eq!(labels(&upstream), ["10.0.0.1:9200 search.b.example:9200"]);
    let failing = Reply::per_family(Reply::Error(2), found(0, &["fd00::2"]));
    bench.dns.set("search.b.example", failing);
    until("the failure of A to be noted", || {
        upstream.lookup.read().failure.is_some()
    })
    .await;
    assert_eq!(labels(&upstream), ["10.0.0.1:9200 search.b.example:9200"]);
    let failure = upstream.lookup.read().failure.unwrap();
    assert!(failure.starts_with("A records: "), "{failure}");
    bench.dns.set(
        "search.b.example",
        Reply::per_family(found(0, &[]), found(0, &["fd00::2"])),
    );
    until("IPv6, when A has none", || {
        labels(&upstream) == ["[fd00::2]:9200 search.b.example:9200"]
    })
    .await;
    until("the failure to be over", || {
        upstream.lookup.read().failure.is_none()
    })
    .await;
}

/// The resolver keeps its default timeout of 5 s, three times: longer than a lookup may take.
#[tokio::test]
async fn one_family_is_enough_to_start_and_the_other_one_joins_later() {
    let mut bench = Bench::with("", "");
    for (host, one, rest) in [
        ("a.b.example", "10.0.0.1", "fd00::1"),
        ("b.b.example", "fd00::1", "10.0.0.1"),
    ] {
        let reply = |silent: Reply| match ip(one).is_ipv4() {
            true => Reply::per_family(found(1, &[one]), silent),
            false => Reply::per_family(silent, found(1, &[one])),
        };
        bench.dns.set(host, reply(Reply::Silence));
        let endpoint = bench.endpoint(&format!("{host}.")).await;
        assert_eq!(addresses(&endpoint), set(&[one]), "{:?}", bench.dns.asked());
        bench.dns.set(host, reply(found(60, &[rest])));
        until("the other family", || {
            addresses(&endpoint) == set(&[one, rest])
        })
        .await;
    }
    bench.dns.set(
        "c.b.example",
        Reply::per_family(found(60, &["10.0.0.1"]), Reply::Silence),
    );
    let upstream = bench.named("name: c.b.example., port: 9200").await;
    assert_eq!(labels(&upstream), ["10.0.0.1:9200 c.b.example:9200"]);
    // The key set of a token provider, for which no lookup task runs.
    let found = bench
        .lookups
        .resolver()
        .sockets("c.b.example.", 443)
        .await
        .unwrap();
    assert_eq!(found, [(ip("10.0.0.1"), 443).into()]);
}

#[tokio::test]
async fn a_family_that_is_never_answered_is_asked_for_less_and_less_often() {
    let mut bench = Bench::start();
    bench.dns.set(
        "a.b.example",
        Reply::per_family(found(300, &["10.0.0.1"]), Reply::Silence),
    );
    let endpoint = bench.endpoint("a.b.example.").await;
    until("the failure of AAAA to be noted", || {
        endpoint.lookup.read().failure.is_some()
    })
    .await;
    let failure = endpoint.lookup.read().failure.unwrap();
    assert!(failure.starts_with("AAAA records: "), "{failure}");
    // One lookup with all its repetitions; the next one waits 1 s, the one after that 2 s.
    assert!(bench.dns.asked().len() < 40, "{:?}", bench.dns.asked());
    until("another lookup, long before the answer is over", || {
        bench.dns.count("a.b.example") > 1
    })
    .await;
}

#[tokio::test]
async fn a_target_of_a_service_needs_one_family_and_keeps_the_other() {
    let mut bench = Bench::start();
    let service = (10, 1, 8080, "a.b.example".to_owned());
    bench
        .dns
        .set("_http._tcp.b.example", Reply::Services(0, vec![service]));
    bench.dns.set(
        "a.b.example",
        Reply::per_family(found(0, &["10.0.0.1"]), Reply::Silence),
    );
    let upstream = bench.named("name: _http._tcp.b.example., type: SRV").await;
    assert_eq!(labels(&upstream), ["10.0.0.1:8080 a.b.example:8080"]);
    let asked = bench.dns.asked().len();
    bench.dns.set(
        "a.b.example",
        Reply::per_family(Reply::Error(2), found(0, &["fd00::1"])),
    );
    until("two more lookups", || bench.dns.asked().len() > asked + 12).await;
    assert_eq!(labels(&upstream), ["10.0.0.1:8080 a.b.example:8080"]);
}

/// Otherwise the failure of one domain would send the traffic to another service with that name.
#[tokio::test]
async fn while_a_search_domain_fails_the_next_one_does_not_take_its_place() {
    let mut bench = Bench::start();
    bench.dns.set("db.first.example", found(0, &["10.0.0.1"]));
    bench.dns.set("db.second.example", found(0, &["10.0.0.2"]));
    let endpoint = bench.endpoint("db").await;
    assert_eq!(addresses(&endpoint), set(&["10.0.0.1"]));
    for failure in [
        Reply::Error(2),
        Reply::per_family(Reply::Error(2), found(0, &[])),
    ] {
        let before = bench.lookups(LookupResult::Failed);
        bench.dns.set("db.first.example", failure.clone());
        until("a failure", || bench.lookups(LookupResult::Failed) > before).await;
        assert_eq!(addresses(&endpoint), set(&["10.0.0.1"]), "{failure:?}");
        bench.dns.set("db.first.example", found(0, &["10.0.0.1"]));
        let good = bench.lookups(LookupResult::Ok);
        until("a good answer", || bench.lookups(LookupResult::Ok) > good).await;
    }
    bench.dns.set("db.first.example", Reply::Error(3));
    until("the next domain, when the first has no such name", || {
        addresses(&endpoint) == set(&["10.0.0.2"])
    })
    .await;
}

#[tokio::test]
async fn a_name_that_appears_later_is_found() {
    let mut bench = Bench::start();
    let endpoint = bench.endpoint("later.b.example.").await;
    assert!(!endpoint.is_resolved());
    bench.dns.set("later.b.example", found(60, &["10.0.0.1"]));
    until("the address", || endpoint.is_resolved()).await;
}

#[tokio::test]
async fn a_large_answer_comes_over_tcp() {
    let mut bench = Bench::start();
    let many: Vec<IpAddr> = (1..=100)
        .map(|last| Ipv4Addr::new(10, 0, 1, last).into())
        .collect();
    bench.dns.set(
        "large.b.example",
        Reply::OverTcp(Box::new(Reply::Addresses(60, many.clone()))),
    );
    let endpoint = bench.endpoint("large.b.example.").await;
    assert_eq!(addresses(&endpoint), many.into_iter().collect());
    assert!(
        bench
            .dns
            .asked()
            .contains(&("large.b.example".to_owned(), A, true)),
        "{:?}",
        bench.dns.asked()
    );
}

#[tokio::test]
async fn search_domains_dots_and_the_dot_at_the_end_are_as_in_resolv_conf() {
    let mut bench = Bench::start();
    for (name, address) in [
        ("one.second.example", "10.0.0.1"),
        ("a.b.c", "10.0.0.2"),
        ("a.b.c.first.example", "10.0.0.3"),
        ("one", "10.0.0.4"),
    ] {
        bench.dns.set(name, found(60, &[address]));
    }
    // Fewer dots than ndots: search domains first, in their order.
    assert_eq!(addresses(&*bench.endpoint("one").await), set(&["10.0.0.1"]));
    assert_eq!(
        (bench.dns.count("one.first.example"), bench.dns.count("one")),
        (1, 0)
    );
    // As many as ndots: the name itself first. With a dot at the end: nothing else.
    assert_eq!(
        addresses(&*bench.endpoint("a.b.c").await),
        set(&["10.0.0.2"])
    );
    assert_eq!(
        addresses(&*bench.endpoint("one.").await),
        set(&["10.0.0.4"])
    );
    assert_eq!(
        bench.dns.count("one.first.example"),
        1,
        "{:?}",
        bench.dns.asked()
    );
}

#[tokio::test]
async fn the_hosts_file_needs_no_server_and_both_files_are_read_again() {
    let mut bench = Bench::with("options timeout:1 attempts:1\n", "10.9.9.9 db\n");
    bench.dns.set("db", found(0, &["10.0.0.1"]));
    bench.dns.set("other", found(0, &["10.0.0.2"]));
    let (db, other) = (bench.endpoint("db").await, bench.endpoint("other").await);
    assert_eq!(
        (addresses(&db), bench.dns.count("db")),
        (set(&["10.9.9.9"]), 0)
    );
    assert_eq!(addresses(&other), set(&["10.0.0.2"]));
    // A second server, on another address of this host.
    let moved = std::net::SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), bench.dns.address.port()));
    let second = Dns::at(moved).unwrap();
    second.set("other", found(0, &["10.0.0.5"]));
    std::fs::write(
        bench.resolv_conf(),
        "nameserver 127.0.0.2\noptions timeout:1 attempts:1\n",
    )
    .unwrap();
    std::fs::write(bench.folder.path().join("hosts"), "10.9.9.8 db\n").unwrap();
    until("the other server's answer", || {
        addresses(&other) == set(&["10.0.0.5"])
    })
    .await;
    until("the other address", || addresses(&db) == set(&["10.9.9.8"])).await;
}

#[tokio::test]
async fn each_address_of_a_name_is_an_endpoint_and_a_failure_replaces_none() {
    let mut bench = Bench::start();
    bench.dns.set(
        "search.b.example",
        found(0, &["10.0.0.1", "10.0.0.2", "fd00::1"]),
    );
    let upstream = bench.named("name: search.b.example., port: 9200").await;
    assert_eq!(
        labels(&upstream),
        [
            "10.0.0.1:9200 search.b.example:9200",
            "10.0.0.2:9200 search.b.example:9200"
        ]
    );
    bench
        .dns
        .set("search.b.example", found(0, &["10.0.0.2", "10.0.0.3"]));
    until("the new endpoints", || {
        labels(&upstream)[0].starts_with("10.0.0.2")
    })
    .await;
    assert_eq!(upstream.replaced(), 2);
    bench.dns.set("search.b.example", Reply::Error(3));
    let before = bench.lookups(LookupResult::NotFound);
    until("a failure", || {
        bench.lookups(LookupResult::NotFound) > before
    })
    .await;
    assert_eq!(
        (upstream.endpoints().len(), upstream.replaced()),
        (2, 2),
        "an answer that changes nothing replaces nothing"
    );
}

#[tokio::test]
async fn services_of_the_best_priority_are_endpoints_by_their_weight() {
    let mut bench = Bench::start();
    let service =
        |priority, weight, port, target: &str| (priority, weight, port, target.to_owned());
    let first = service(10, 3, 8080, "a.b.example");
    let second = service(10, 1, 8081, "b.b.example");
    let both = vec![first.clone(), second, service(20, 9, 1, "late.b.example")];
    bench
        .dns
        .set("_http._tcp.b.example", Reply::Services(0, both));
    bench.dns.set("a.b.example", found(60, &["10.0.0.1"]));
    bench.dns.set("b.b.example", found(60, &["fd00::2"]));
    let upstream = bench.named("name: _http._tcp.b.example., type: SRV").await;
    assert_eq!(
        labels(&upstream),
        [
            "10.0.0.1:8080 a.b.example:8080",
            "[fd00::2]:8081 b.b.example:8081"
        ]
    );
    let weights: Vec<u32> = upstream.endpoints().iter().map(|one| one.weight).collect();
    assert_eq!(weights, [180, 60], "three to one");
    assert!(bench.dns.asked().iter().any(|(_, kind, _)| *kind == SRV));
    assert_eq!(
        bench.dns.count("late.b.example"),
        0,
        "only when the others are gone from the answer"
    );
    // One target cannot be looked up: its last addresses stay, and the share of the other does not
    // grow.
    bench.dns.set("b.b.example", Reply::Error(2));
    sleep(Duration::from_millis(2500)).await;
    assert_eq!(upstream.endpoints().len(), 2);
    bench
        .dns
        .set("_http._tcp.b.example", Reply::Services(0, vec![first]));
    until("the end of the other", || upstream.endpoints().len() == 1).await;
    assert!(bench.dns.asked().iter().any(|(_, kind, _)| *kind == AAAA));
}

#[tokio::test]
async fn bytes_that_are_no_answer_are_none() {
    let mut bench = Bench::start();
    bench.dns.set("a.b.example", Reply::Garbage);
    let endpoint = bench.endpoint("a.b.example.").await;
    assert!(!endpoint.is_resolved());
    assert_eq!(bench.lookups(LookupResult::Ok), 0);
}

#[tokio::test]
async fn lookups_of_unused_names_stop() {
    let mut bench = Bench::start();
    bench.dns.set("a.b.example", found(0, &["10.0.0.1"]));
    bench.endpoint("a.b.example.").await;
    bench.lookups.retain(&[]);
    sleep(Duration::from_millis(100)).await; // responses in flight may still arrive
    let before = bench.dns.count("a.b.example");
    sleep(Duration::from_millis(1500)).await;
    assert_eq!(bench.dns.count("a.b.example"), before);
}

#[test]
fn failures_are_tried_again_less_and_less_often() {
    for (failures, expected) in (1..).zip([1, 2, 4, 8, 16, 30, 30, 30]) {
        for _ in 0..100 {
            let pause = retry(failures).as_secs_f64() / f64::from(expected);
            assert!(
                (0.9..=1.1).contains(&pause),
                "{failures} failures: {pause} of {expected} s"
            );
        }
    }
    assert!(retry(u32::MAX) <= Duration::from_secs(33));
}
