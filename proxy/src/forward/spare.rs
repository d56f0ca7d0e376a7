//! Maps for the fields of answers, where those of the request may be needed for another try.
//!
//! The map of a request has no use left once its answer is handed on, and a new one costs two allocations; so each
//! worker keeps a few for its next answers.

use std::cell::RefCell;

use http::HeaderMap;

/// Kept by one worker.
const MOST: usize = 64;

/// A map with room for more fields than this is let go.
const LARGEST: usize = 64;

thread_local! {
    static MAPS: RefCell<Vec<HeaderMap>> = const { RefCell::new(Vec::new()) };
}

/// An empty map.
pub(super) fn take() -> HeaderMap {
    MAPS.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Nobody needs these fields any more.
pub(super) fn give_back(mut fields: HeaderMap) {
    if fields.capacity() <= LARGEST {
        fields.clear();
        MAPS.with_borrow_mut(|maps| {
            if maps.len() < MOST {
                maps.push(fields);
            }
        });
    }
}
