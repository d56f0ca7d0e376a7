//! Heads of requests, and maps for the fields of answers, that are used again.
//!
//! A request's head is of no use once its answer is handed on, and so is the map of its fields where an answer could not
//! take it because another try might have needed it. New ones would cost every request up to three allocations, so each
//! worker keeps a few for its next requests.

use std::cell::RefCell;

use http::{HeaderMap, request::Parts};

/// Kept by one worker, of each.
const MOST: usize = 64;

/// A map with room for more fields than this is let go.
const LARGEST: usize = 64;

thread_local! {
    #[expect(clippy::vec_box, reason = "it is the boxes that are used again")]
    static HEADS: RefCell<Vec<Box<Parts>>> = const { RefCell::new(Vec::new()) };
    static MAPS: RefCell<Vec<HeaderMap>> = const { RefCell::new(Vec::new()) };
}

/// A place for a head, with this one in it.
pub(crate) fn head(head: Parts) -> Box<Parts> {
    match HEADS.with_borrow_mut(Vec::pop) {
        Some(mut place) => {
            *place = head;
            place
        }
        None => Box::new(head),
    }
}

/// Nobody needs this head any more.
pub(crate) fn give_back_head(mut head: Box<Parts>) {
    if head.headers.capacity() > 0 {
        give_back(std::mem::take(&mut head.headers));
    }
    // What holds memory of the client's is let go now.
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

/// Nobody needs these fields any more.
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
