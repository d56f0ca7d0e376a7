//! Reuse of request heads, and of header maps for responses.
//!
//! A request's head is no longer needed once its response is passed on. The same applies to the map
//! of its headers, where the response could not take it because a retry might have needed it. New
//! ones would cost each request up to three allocations, so each worker keeps a few.

use std::cell::RefCell;

use http::{HeaderMap, request::Parts};

/// Most heads, and most maps, that one worker keeps.
const MOST: usize = 64;

/// A map with a capacity for more headers than this is dropped.
const LARGEST: usize = 64;

thread_local! {
    #[expect(clippy::vec_box, reason = "the boxes are what is reused")]
    static HEADS: RefCell<Vec<Box<Parts>>> = const { RefCell::new(Vec::new()) };
    static MAPS: RefCell<Vec<HeaderMap>> = const { RefCell::new(Vec::new()) };
}

/// Boxes this head, in a reused box if there is one.
pub(crate) fn head(head: Parts) -> Box<Parts> {
    match HEADS.with_borrow_mut(Vec::pop) {
        Some(mut place) => {
            *place = head;
            place
        }
        None => Box::new(head),
    }
}

/// Returns a head for reuse.
pub(crate) fn give_back_head(mut head: Box<Parts>) {
    if head.headers.capacity() > 0 {
        give_back(std::mem::take(&mut head.headers));
    }
    // Frees the memory of the client's data now.
    head.uri = http::Uri::default();
    if !head.extensions.is_empty() {
        head.extensions.clear();
    }
    HEADS.with_borrow_mut(|heads| {
        if heads.len() < MOST {
            heads.push(head);
        }
    });
}

/// An empty map.
pub(crate) fn take() -> HeaderMap {
    MAPS.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Returns a map for reuse.
pub(crate) fn give_back(mut fields: HeaderMap) {
    if fields.capacity() <= LARGEST {
        fields.clear();
        MAPS.with_borrow_mut(|maps| {
            if maps.len() < MOST {
                maps.push(fields);
            }
        });
    }
}
