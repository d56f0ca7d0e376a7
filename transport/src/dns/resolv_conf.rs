//! `/etc/resolv.conf`: DNS servers, search domains and options (resolv.conf(5)).
//!
//! As lenient as the C library: unknown lines are skipped, and without a `nameserver` the server on
//! this host is used.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

/// Further servers and search domains are ignored.
const MOST_SERVERS: usize = 3;
const MOST_DOMAINS: usize = 32;

/// The settings of the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ResolvConf {
    pub(super) servers: Vec<IpAddr>,
    /// Domains that are appended to a name with fewer dots than `ndots`.
    pub(super) search: Vec<String>,
    pub(super) ndots: usize,
    /// For one response of one server.
    pub(super) timeout: Duration,
    pub(super) attempts: usize,
    /// Whether servers are used in rotation.
    pub(super) rotate: bool,
    /// Whether EDNS0 is used, for larger responses.
    pub(super) edns0: bool,
    /// Whether only TCP is used.
    pub(super) use_vc: bool,
}

impl Default for ResolvConf {
    fn default() -> Self {
        Self {
            servers: vec![Ipv4Addr::LOCALHOST.into()],
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
            rotate: false,
            edns0: false,
            use_vc: false,
        }
    }
}

impl ResolvConf {
    pub(super) fn parse(text: &str) -> Self {
        let mut conf = Self::default();
        let mut servers = Vec::new();
        for line in text.lines().filter(|line| !line.starts_with(['#', ';'])) {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => servers.extend(
                    words
                        .next()
                        .and_then(|server| server.parse::<IpAddr>().ok()),
                ),
                // The last of `search` and `domain` applies.
                Some("search") => {
                    conf.search = words.take(MOST_DOMAINS).map(str::to_owned).collect()
                }
                Some("domain") => conf.search = words.take(1).map(str::to_owned).collect(),
                Some("options") => words.for_each(|option| conf.option(option)),
                _ => {}
            }
        }
        servers.truncate(MOST_SERVERS);
        if !servers.is_empty() {
            conf.servers = servers;
        }
        conf
    }

    fn option(&mut self, option: &str) {
        let (name, value) = option.split_once(':').unwrap_or((option, ""));
        let number = |least: u64, most: u64| {
            value
                .parse::<u64>()
                .ok()
                .map(|number| number.clamp(least, most))
        };
        match name {
            "ndots" => self.ndots = number(0, 15).map_or(self.ndots, |n| n as usize),
            "timeout" => self.timeout = number(1, 30).map_or(self.timeout, Duration::from_secs),
            "attempts" => self.attempts = number(1, 5).map_or(self.attempts, |n| n as usize),
            "rotate" => self.rotate = true,
            "edns0" => self.edns0 = true,
            "use-vc" | "usevc" | "tcp" => self.use_vc = true,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_cluster_writes_is_read() {
        let conf = ResolvConf::parse(
            "search prod.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\n\
             options ndots:5 timeout:2 attempts:9 edns0 trust-ad\n",
        );
        assert_eq!(conf.servers, ["10.96.0.10".parse::<IpAddr>().unwrap()]);
        assert_eq!(
            conf.search,
            [
                "prod.svc.cluster.local",
                "svc.cluster.local",
                "cluster.local"
            ]
        );
        assert_eq!(
            (conf.ndots, conf.timeout, conf.attempts),
            (5, Duration::from_secs(2), 5)
        );
        assert!(conf.edns0 && !conf.rotate && !conf.use_vc);
    }

    #[test]
    fn what_is_not_understood_is_skipped() {
        assert_eq!(ResolvConf::parse(""), ResolvConf::default());
        let conf = ResolvConf::parse(
            "# nameserver 1.1.1.1\n;x\nnonsense\nnameserver\nnameserver fe80::1%eth0\nnameserver here\n\
             nameserver ::1\nnameserver 1.0.0.1\nnameserver 1.0.0.2\nnameserver 1.0.0.3\nsearch a b\ndomain c\n\
             options ndots:x timeout:0 ndots rotate use-vc\n",
        );
        let servers: Vec<String> = conf.servers.iter().map(IpAddr::to_string).collect();
        assert_eq!(servers, ["::1", "1.0.0.1", "1.0.0.2"]);
        assert_eq!(
            (conf.search, conf.ndots, conf.timeout),
            (vec!["c".to_owned()], 1, Duration::from_secs(1))
        );
        assert!(conf.rotate && conf.use_vc);
    }
}
