//! What a connection needs only while there is something to read or to answer. A worker keeps some of it for whoever is
//! next, so that an idle connection has none and a busy one asks the allocator for none.

use std::cell::RefCell;

use bytes::BytesMut;
use http::HeaderMap;

use super::head::Scan;
use crate::codec::{date::Today, outgoing::Outgoing};

/// What grew beyond these for a large head is not kept.
const MOST_WRITTEN: usize = 8 * 1024;
const MOST_FIELDS: usize = 128;

/// How many a worker keeps.
const KEPT: usize = 128;

/// The room in which one request is read and answered.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// What is read goes here; lent to the [`crate::connection::link::Link`] meanwhile.
    pub(super) read: BytesMut,
    pub(super) scan: Scan,
    /// The map of one answer, for the fields of the next request.
    pub(super) fields: HeaderMap,
    pub(super) out: Outgoing,
}

thread_local! {
    /// The rooms that nobody needs for now.
    #[expect(
        clippy::vec_box,
        reason = "a connection holds its room in a box, which goes from one to the next as it is"
    )]
    static ROOMS: RefCell<Vec<Box<Room>>> = const { RefCell::new(Vec::new()) };
    /// The date for all answers of a worker.
    static TODAY: Today = Today::default();
}

/// A room, used or new.
pub(super) fn take() -> Box<Room> {
    ROOMS.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Gives it back for the next.
pub(super) fn put(mut room: Box<Room>) {
    ROOMS.with_borrow_mut(|rooms| {
        if rooms.len() == KEPT {
            return;
        }
        if room.fields.capacity() > MOST_FIELDS {
            room.fields = HeaderMap::new();
        }
        room.scan.restart();
        room.out.clear();
        room.out.shrink_to(MOST_WRITTEN);
        rooms.push(room);
    });
}

/// Writes an answer that may need the date.
pub(super) fn with_today<R>(write: impl FnOnce(&Today) -> R) -> R {
    TODAY.with(write)
}
