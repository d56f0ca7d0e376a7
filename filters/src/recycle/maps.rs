//! Header maps that are used again: of requests whose response could not take the map, and of trailers.

use http::HeaderMap;

use super::{Pool, limit};

/// The most maps of one thread.
const MOST: usize = limit("maps", 64);

/// The largest capacity of a map that is kept, in headers.
const LARGEST: usize = 64;

thread_local! {
    static MAPS: Pool<HeaderMap> = const { Pool::new(MOST) };
}

/// An empty map.
pub fn take() -> HeaderMap {
    MAPS.with(Pool::take).unwrap_or_default()
}

/// Keeps the memory of a map.
pub fn give_back(mut fields: HeaderMap) {
    if fields.capacity() <= LARGEST {
        fields.clear();
        MAPS.with(|maps| maps.put(fields));
    }
}
