//! Types that several blocks share: names, addresses, paths, and conditions.

pub(crate) mod address;
pub(crate) mod algorithm;
pub(crate) mod cidr;
pub(crate) mod claim;
pub(crate) mod hash_on;
pub(crate) mod headers;
pub(crate) mod hostname;
pub(crate) mod id;
pub(crate) mod method;
pub(crate) mod path;
pub(crate) mod probe;
pub(crate) mod scheme;
pub(crate) mod url;
pub(crate) mod value_match;
pub(crate) mod words;
