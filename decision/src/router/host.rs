//! One table for each host name, and the order in which the tables of a host are queried.

use outrigger_config::model::Hostname;
use outrigger_filters::host;

use super::lookup::{TextMap, lengths};

/// A DNS name has at most 253 characters; requests for longer names were rejected before.
const MAX_HOST: usize = 255;

/// A `T` for each host name.
#[derive(Debug, Clone, Default)]
pub(super) struct Hosts<T> {
    exact: TextMap<T>,
    /// By suffix, with its leading dot.
    wildcards: TextMap<T>,
    wildcard_lengths: Box<[usize]>,
    any: T,
}

impl<T: Default> Hosts<T> {
    /// The table of one name; `None` is any host. Call [`finish`](Self::finish) after the last one.
    pub(super) fn table(&mut self, name: Option<&Hostname>) -> &mut T {
        match name {
            Some(Hostname::Exact(name)) => self.exact.entry((&**name).into()).or_default(),
            Some(Hostname::Wildcard(suffix)) => {
                self.wildcards.entry((&**suffix).into()).or_default()
            }
            None => &mut self.any,
        }
    }

    /// Finishes every table.
    pub(super) fn finish(&mut self, each: impl Fn(&mut T)) {
        self.exact
            .values_mut()
            .chain(self.wildcards.values_mut())
            .for_each(&each);
        each(&mut self.any);
        self.wildcard_lengths = lengths(&self.wildcards);
    }

    /// Whether there is a table with a host name.
    pub(super) fn have_names(&self) -> bool {
        !self.exact.is_empty() || !self.wildcards.is_empty()
    }

    /// Queries the tables of all names that match `host`, most specific first, until one returns a
    /// result. `find` gets the name of the table: for a wildcard its suffix, `None` for the table
    /// of any host.
    #[inline]
    pub(super) fn find<R>(
        &self,
        host: Option<&str>,
        ask: impl Fn(Option<&str>, &T) -> Option<R>,
    ) -> Option<R> {
        self.named(host, &ask).or_else(|| ask(None, &self.any))
    }

    #[inline]
    fn named<R>(
        &self,
        host: Option<&str>,
        ask: impl Fn(Option<&str>, &T) -> Option<R>,
    ) -> Option<R> {
        if !self.have_names() {
            return None;
        }
        let host = host::name_of(host?);
        let mut buffer = [0; MAX_HOST];
        let host = lower_case(host, &mut buffer)?;
        self.exact
            .get(host)
            .and_then(|table| ask(Some(host), table))
            .or_else(|| self.wildcard(host, ask))
    }

    #[inline]
    fn wildcard<R>(&self, host: &str, ask: impl Fn(Option<&str>, &T) -> Option<R>) -> Option<R> {
        self.wildcard_lengths
            .iter()
            // At least one character before the suffix, which begins with a dot.
            .filter_map(|length| host.len().checked_sub(*length).filter(|at| *at > 0))
            .filter(|at| host.as_bytes()[*at] == b'.')
            .find_map(|at| {
                let suffix = &host[at..];
                let table = self.wildcards.get(suffix)?;
                ask(Some(suffix), table)
            })
    }
}

/// The host in lower case; almost always it already is.
fn lower_case<'a>(host: &'a str, buffer: &'a mut [u8; MAX_HOST]) -> Option<&'a str> {
    if !host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Some(host).filter(|host| host.len() <= MAX_HOST);
    }
    let lower = buffer.get_mut(..host.len())?;
    lower.copy_from_slice(host.as_bytes());
    lower.make_ascii_lowercase();
    std::str::from_utf8(lower).ok()
}
