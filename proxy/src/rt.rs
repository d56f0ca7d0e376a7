//! How a worker spawns: always on its own thread.

use std::future::Future;

use hyper::rt::Executor;

/// Spawns hyper's tasks on the current worker, so that their futures need not be `Send`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LocalExecutor;

impl<F> Executor<F> for LocalExecutor
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}
