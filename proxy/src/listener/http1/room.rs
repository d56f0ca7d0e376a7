//! The buffers that a connection needs only while it reads or writes. A worker keeps some of them
//! for reuse, so that an idle connection holds none and a busy one does not allocate.

use bytes::BytesMut;
use http::HeaderMap;
use outrigger_filters::recycle::{self, Pool};

use super::head::Scan;
use crate::codec::{date::Today, outgoing::Outgoing};

/// Buffers that grew beyond this size for a large head are not kept.
const MOST_WRITTEN: usize = 8 * 1024;
const MOST_FIELDS: usize = 128;

/// How many a worker keeps.
const KEPT: usize = recycle::limit("rooms", 128);

/// The buffers for one request and its response.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// The read buffer; lent to the [`crate::connection::link::Link`] while it reads.
    pub(super) read: BytesMut,
    pub(super) scan: Scan,
    /// The header map of one response, reused for the next request.
    pub(super) fields: HeaderMap,
    pub(super) out: Outgoing,
}

thread_local! {
    /// Boxed, because a connection holds its buffers in a box, which is passed on as it is.
    static ROOMS: Pool<Box<Room>> = const { Pool::new(KEPT) };
    /// The Date header of all responses of a worker.
    static TODAY: Today = Today::default();
}

/// Reused or new buffers.
pub(super) fn take() -> Box<Room> {
    ROOMS.with(Pool::take).unwrap_or_default()
}

/// Returns buffers for reuse.
pub(super) fn put(mut room: Box<Room>) {
    ROOMS.with(|rooms| {
        if !rooms.has_room() {
            return;
        }
        if room.fields.capacity() > MOST_FIELDS {
            room.fields = HeaderMap::new();
        }
        room.scan.restart();
        room.out.clear();
        room.out.shrink_to(MOST_WRITTEN);
        rooms.put(room);
    });
}

/// Runs `write`, which may need the Date header.
pub(super) fn with_today<R>(write: impl FnOnce(&Today) -> R) -> R {
    TODAY.with(write)
}
