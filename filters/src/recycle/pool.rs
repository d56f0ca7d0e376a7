//! A bounded pool of used items.

use std::cell::RefCell;

/// Items that no request uses now, on one thread.
#[derive(Debug)]
pub struct Pool<T> {
    items: RefCell<Vec<T>>,
    most: usize,
}

impl<T> Pool<T> {
    /// An empty pool for at most this many items.
    pub const fn new(most: usize) -> Self {
        Self {
            items: RefCell::new(Vec::new()),
            most,
        }
    }

    /// The item that was used last.
    pub fn take(&self) -> Option<T> {
        self.items.borrow_mut().pop()
    }

    /// Whether an item that is put back now would be kept.
    pub fn has_room(&self) -> bool {
        self.items.borrow().len() < self.most
    }

    /// Puts an item back; it is dropped when the pool is full.
    pub fn put(&self, item: T) {
        if self.has_room() {
            self.items.borrow_mut().push(item);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_keeps_at_most_its_limit() {
        let pool = Pool::new(2);
        assert_eq!(pool.take(), None);
        (0..3).for_each(|item| pool.put(item));
        assert!(!pool.has_room());
        assert_eq!(
            [pool.take(), pool.take(), pool.take()],
            [Some(1), Some(0), None]
        );
        let none = Pool::new(0);
        none.put(1);
        assert_eq!(none.take(), None);
    }
}
