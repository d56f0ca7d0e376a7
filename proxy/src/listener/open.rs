//! The listeners of one worker.

use std::{
    cell::RefCell,
    collections::HashMap,
    rc::{Rc, Weak},
};

use crate::connection::listener::{ListenerLocal, ListenerShared};

/// One worker's state of every listener.
#[derive(Default)]
pub(crate) struct Listeners {
    open: RefCell<HashMap<u64, Rc<ListenerLocal>>>,
    /// Listeners that a reload has removed, while they have connections.
    removed: RefCell<Vec<Weak<ListenerLocal>>>,
}

impl Listeners {
    /// The listeners of the configuration.
    pub(crate) fn all(&self) -> Vec<Rc<ListenerLocal>> {
        self.open.borrow().values().cloned().collect()
    }

    /// All listeners, including removed ones that still have connections.
    pub(crate) fn with_connections(&self) -> Vec<Rc<ListenerLocal>> {
        let mut all = self.all();
        all.extend(self.removed.borrow().iter().filter_map(Weak::upgrade));
        all
    }

    /// Adds a listener.
    pub(crate) fn open(&self, local: &Rc<ListenerLocal>) {
        self.open
            .borrow_mut()
            .insert(local.shared.id, Rc::clone(local));
    }

    /// Removes a listener after a reload.
    pub(crate) fn remove(&self, shared: &ListenerShared) -> Option<Rc<ListenerLocal>> {
        let local = self.open.borrow_mut().remove(&shared.id)?;
        let mut removed = self.removed.borrow_mut();
        removed.retain(|one| one.strong_count() > 0);
        removed.push(Rc::downgrade(&local));
        Some(local)
    }
}
