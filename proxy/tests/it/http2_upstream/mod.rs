//! HTTP/2 towards apps, against peers that are read and written frame by frame.

mod concurrency;
mod connect;
mod empty_frames;
mod expect;
mod goaway;
mod heads;
mod reset;
mod small_frames;
mod trailers;

use crate::support::Proxy;

/// One worker, so that all calls may share an upstream connection, in front of an h2c app on this port.
fn in_front_of(port: u16) -> Proxy {
    with(port, "")
}

/// The same with more keys at the top of the file.
fn with(port: u16, keys: &str) -> Proxy {
    Proxy::start(&format!(
        "workers: 1\napp: {{ port: {port}, protocol: h2c }}\nlisteners: [{{ port: 0 }}]\n{keys}"
    ))
}
