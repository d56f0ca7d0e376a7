//! Peers of the proxy run on separate threads and tasks, where a panic would pass unnoticed.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use super::PATIENCE;

#[derive(Default)]
struct State {
    playing: usize,
    panicked: usize,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Owns what plays one peer. When it is dropped, it waits until every part is over, and fails the test if one of them
/// panicked: so the proxy must have ended its connections before, as it does when it is dropped.
#[derive(Default)]
pub struct Cast(Arc<Shared>);

/// Begins parts; belongs to the thread that accepts connections.
#[derive(Clone)]
pub struct Stage(Arc<Shared>);

/// One part; dropped where it ends or panics.
pub struct Part(Arc<Shared>);

impl Cast {
    pub fn stage(&self) -> Stage {
        Stage(Arc::clone(&self.0))
    }
}

impl Stage {
    /// To be moved into the task that plays the part.
    pub fn begin(&self) -> Part {
        self.0.state().playing += 1;
        Part(Arc::clone(&self.0))
    }

    /// Plays a part on a thread of its own.
    pub fn spawn(&self, play: impl FnOnce() + Send + 'static) {
        let part = self.begin();
        thread::spawn(move || {
            let _part = part;
            play();
        });
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.playing -= 1;
        state.panicked += usize::from(thread::panicking());
        self.0.changed.notify_all();
    }
}

impl Drop for Cast {
    fn drop(&mut self) {
        if thread::panicking() {
            return; // the test has failed already
        }
        let waited = self
            .0
            .changed
            .wait_timeout_while(self.0.state(), PATIENCE * 2, |state| state.playing > 0);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let (playing, panicked) = (state.playing, state.panicked);
        drop(state);
        assert_eq!(panicked, 0, "a scripted peer panicked, see above");
        assert_eq!(playing, 0, "a scripted peer does not end");
    }
}

#[test]
#[should_panic(expected = "a scripted peer panicked")]
fn a_panic_of_a_thread_fails_the_test() {
    let cast = Cast::default();
    cast.stage().spawn(|| panic!("as scripted"));
}

#[tokio::test]
#[should_panic(expected = "a scripted peer panicked")]
async fn a_panic_of_a_task_fails_the_test() {
    let cast = Cast::default();
    let part = cast.stage().begin();
    let _ = tokio::spawn(async move {
        let _part = part;
        panic!("as scripted");
    })
    .await;
}
