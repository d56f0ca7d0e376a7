//! Requests of one worker that wait for an HTTP/1.1 connection while no more may be opened.

use std::{cell::RefCell, collections::VecDeque};

use tokio::sync::oneshot;

use crate::upstream::{
    breaker::{Breaker, Claim},
    http1::Connection,
};

/// The requests that wait, first come first served.
#[derive(Default)]
pub(super) struct Waiting(RefCell<VecDeque<oneshot::Sender<Box<Connection>>>>);

/// What a request gets that has no connection yet.
pub(super) enum Granted {
    /// It may open one.
    Open(Option<Claim>),
    /// One that another request has done with.
    Connection(Box<Connection>),
}

impl Waiting {
    /// Waits for the right to open a connection, or for one that another request on this worker gives back first.
    pub(super) async fn next(&self, breaker: &Breaker) -> Granted {
        loop {
            let returned = self.enter();
            tokio::select! {
                claim = breaker.claim() => return Granted::Open(Some(claim)),
                Ok(mut connection) = returned => {
                    if connection.is_quiet() {
                        return Granted::Connection(connection);
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

    /// Hands a connection to the request that waits longest; back when none does.
    pub(super) fn hand_over(&self, mut connection: Box<Connection>) -> Option<Box<Connection>> {
        loop {
            let next = self.0.borrow_mut().pop_front();
            let Some(next) = next else {
                return Some(connection);
            };
            match next.send(connection) {
                Ok(()) => return None,
                Err(back) => connection = back, // it has gone away
            }
        }
    }
}
