//! Boxes for request heads that are used again.

use http::request::Parts;

use super::{Pool, limit, maps};

/// The most boxes of one thread.
const MOST: usize = limit("heads", 64);

thread_local! {
    static HEADS: Pool<Box<Parts>> = const { Pool::new(MOST) };
}

/// Boxes a head.
pub fn store(head: Parts) -> Box<Parts> {
    match HEADS.with(Pool::take) {
        Some(mut used) => {
            *used = head;
            used
        }
        None => Box::new(head),
    }
}

/// Keeps the box of a head, and the memory of its map.
pub fn give_back(mut head: Box<Parts>) {
    if head.headers.capacity() > 0 {
        maps::give_back(std::mem::take(&mut head.headers));
    }
    // They hold memory of the connection's read buffer.
    head.uri = http::Uri::default();
    if !head.extensions.is_empty() {
        head.extensions.clear();
    }
    HEADS.with(|heads| heads.put(head));
}
