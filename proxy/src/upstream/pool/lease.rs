//! An HTTP/1.1 connection of a pool while a request uses it, and its socket after an upgrade.

use std::rc::Rc;

use outrigger_transport::connect::UpstreamStream;

use super::Pool;
use crate::upstream::{breaker::ConnectionPermit, endpoint::Open, http1::Connection};

/// An HTTP/1.1 connection while one request uses it. Dropping it early closes the connection.
pub(crate) struct Lease {
    connection: Option<Box<Connection>>,
    pool: Rc<Pool>,
    reused: bool,
}

impl Lease {
    pub(super) fn new(connection: Box<Connection>, pool: &Rc<Pool>, reused: bool) -> Self {
        Self {
            connection: Some(connection),
            pool: Rc::clone(pool),
            reused,
        }
    }

    /// Whether an earlier request used this connection.
    pub(crate) fn is_reused(&self) -> bool {
        self.reused
    }

    pub(crate) fn connection(&mut self) -> &mut Connection {
        self.connection
            .as_mut()
            .expect("a lease has its connection until it is released")
    }

    /// Returns the connection to the pool: everything was sent and read.
    pub(crate) fn release(mut self) {
        if let Some(connection) = self.connection.take() {
            self.pool.give_back(connection);
        }
    }

    /// Takes the socket after a 101.
    pub(crate) fn into_upgraded(mut self) -> Upgraded {
        let mut connection = self
            .connection
            .take()
            .expect("a lease has its connection until it is released");
        let (permit, open) = (connection.permit.take(), connection.open.take());
        let (stream, read) = connection.into_parts();
        Upgraded {
            stream,
            read,
            _permit: permit,
            _open: open,
        }
    }
}

/// The socket of an upgraded connection, and the bytes that were already read from it.
pub(crate) struct Upgraded {
    pub stream: UpstreamStream,
    /// Bytes that the peer sent right after its 101.
    pub read: bytes::Bytes,
    /// The permit to have it open, held to its end.
    _permit: Option<ConnectionPermit>,
    _open: Option<Open>,
}
