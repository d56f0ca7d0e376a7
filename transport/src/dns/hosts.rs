//! `/etc/hosts`: names that are resolved without a server.

use std::{collections::HashMap, net::IpAddr};

/// The addresses of each name, in lower case.
#[derive(Debug, Default)]
pub(super) struct Hosts(HashMap<String, Vec<IpAddr>>);

impl Hosts {
    /// Parses the lines; invalid lines are skipped, as hosts(5) does.
    pub(super) fn parse(text: &str) -> Self {
        let mut hosts = Self::default();
        for line in text.lines() {
            let mut words = line
                .split('#')
                .next()
                .unwrap_or_default()
                .split_whitespace();
            let Some(Ok(address)) = words.next().map(str::parse::<IpAddr>) else {
                continue;
            };
            for name in words {
                let addresses = hosts.0.entry(plain(name)).or_default();
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        hosts
    }

    /// The addresses of a name, with or without the dot of the root.
    pub(super) fn get(&self, name: &str) -> Option<&[IpAddr]> {
        self.0.get(&plain(name)).map(Vec::as_slice)
    }
}

fn plain(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_name_addresses_and_their_names() {
        let hosts = Hosts::parse(
            "127.0.0.1 localhost\n::1\tlocalhost ip6-localhost\n# 10.0.0.9 no\n10.0.0.1 Db db.internal # 10.0.0.2\n\
             fe80::1%eth0 scoped\nnonsense here\n10.0.0.3 db\n10.0.0.3 db\n",
        );
        let get = |name: &str| {
            hosts
                .get(name)
                .map(|all| all.iter().map(IpAddr::to_string).collect())
        };
        assert_eq!(
            get("localhost"),
            Some(vec!["127.0.0.1".to_owned(), "::1".to_owned()])
        );
        assert_eq!(
            get("DB."),
            Some(vec!["10.0.0.1".to_owned(), "10.0.0.3".to_owned()])
        );
        assert_eq!(get("db.internal"), Some(vec!["10.0.0.1".to_owned()]));
        for none in ["no", "10.0.0.2", "scoped", "here", ""] {
            assert_eq!(get(none), None, "{none}");
        }
    }
}
