//! Requests of one worker that wait for an HTTP/1.1 connection at the limit on connections.

use std::{cell::RefCell, collections::VecDeque};

use tokio::sync::oneshot;

use crate::upstream::{
    breaker::{Breaker, ConnectionPermit},
    http1::Connection,
};

/// The waiting requests, in order of arrival.
#[derive(Default)]
pub(super) struct Waiting(RefCell<VecDeque<oneshot::Sender<Box<Connection>>>>);

/// What a waiting request gets.
pub(super) enum Grant {
    /// A permit to open a connection.
    Open(Option<ConnectionPermit>),
    /// A connection that another request has returned.
    Connection(Box<Connection>),
}

impl Waiting {
    /// Waits for a permit to open a connection, or for a connection that another request on this
    /// worker returns first.
    pub(super) async fn next(&self, breaker: &Breaker) -> Grant {
        loop {
            let returned = self.enter();
            tokio::select! {
                permit = breaker.permit() => return Grant::Open(Some(permit)),
                Ok(mut connection) = returned => {
                    // The endpoint may have closed it meanwhile: then wait again.
                    if connection.is_quiet() {
                        return Grant::Connection(connection);
                    }
                }
            }
        }
    }

    fn enter(&self) -> oneshot::Receiver<Box<Connection>> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.0.borrow_mut();
        waiting.retain(|one| !one.is_closed());
        waiting.push_back(sender);
        receiver
    }

    /// Hands a connection to the request that has waited longest; returns it when none waits.
    pub(super) fn hand_over(&self, mut connection: Box<Connection>) -> Option<Box<Connection>> {
        loop {
            let next = self.0.borrow_mut().pop_front();
            let Some(next) = next else {
                return Some(connection);
            };
            match next.send(connection) {
                Ok(()) => return None,
                Err(back) => connection = back, // its client has disconnected
            }
        }
    }
}
