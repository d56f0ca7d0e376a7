//! Health and resource use of the app, read from outside of it.
//!
//! [`observer::Observer`] reads sockets, processes and cgroups from `/proc` and `/sys/fs/cgroup`. [`scrape::Scraper`] fetches the app's own
//! page of metrics, and [`exposition`] reads it and writes it behind another page. [`checks`] ask other servers, and [`push`] sends a page to a
//! collector. Nothing here knows of proxying, and nothing is read or fetched before a caller asks for it. A value that cannot be read is absent, never 0.

pub mod cgroup;
pub mod checks;
pub mod exposition;
pub mod observer;
pub mod otlp;
pub mod process;
pub mod push;
pub mod roots;
pub mod scrape;
pub mod sockets;
