//! Cache of verified tokens: verifying a signature takes tens of microseconds, a lookup well under
//! one.
//!
//! Each worker has its own, so there is no lock. The key of an entry is the token's whole text,
//! compared byte by byte. An entry is valid while its provider's configuration is equal and the key
//! that verified it is still in the key set; times and the client's certificate are checked at
//! every use. Rejections are never cached.

use std::{collections::HashMap, rc::Rc, sync::Arc, time::Duration};

use foldhash::quality::RandomState;

use super::{KeySet, VerifiedToken, Verifier, verify::Thumbprint};
use crate::reason::Reason;

/// The most tokens in the cache of one worker.
pub const MAX_TOKENS: usize = 1_000;

/// The most text of tokens in the cache of one worker, in bytes: one token usually has a few
/// thousand, at most 16 KiB.
const MAX_TEXT: usize = 4 << 20;

/// The verified tokens of one worker.
#[derive(Debug)]
pub struct TokenCache {
    entries: Vec<Entry>,
    places: HashMap<Rc<str>, usize, RandomState>,
    /// Where the search for an entry to give up goes on: a clock, which spares what was used since it came by last.
    hand: usize,
    text: usize,
    max_tokens: usize,
}

#[derive(Debug)]
struct Entry {
    text: Rc<str>,
    token: Arc<VerifiedToken>,
    verifier: Arc<Verifier>,
    /// The key set that is known to contain the token's key.
    generation: u64,
    used: bool,
}

impl Default for TokenCache {
    fn default() -> Self {
        Self::new(MAX_TOKENS)
    }
}

impl TokenCache {
    /// An empty cache for at most this many tokens; at least one.
    pub fn new(max_tokens: usize) -> Self {
        Self {
            entries: Vec::new(),
            places: HashMap::default(),
            hand: 0,
            text: 0,
            max_tokens: max_tokens.max(1),
        }
    }

    /// How many tokens it holds.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The token with this text, if this provider verified it before with a key that it still has;
    /// everything that may have changed since is checked again. `None` if it must be verified.
    pub(super) fn get(
        &mut self,
        text: &str,
        verifier: &Arc<Verifier>,
        keys: &KeySet,
        now: Duration,
        certificate: Option<&Thumbprint>,
    ) -> Option<Result<Arc<VerifiedToken>, Reason>> {
        let place = *self.places.get(text)?;
        let entry = &mut self.entries[place];
        if entry.verifier.provider().name != verifier.provider().name {
            return None;
        }
        if !entry.holds_for(verifier, keys) {
            self.remove(place);
            return None;
        }
        match verifier.still_holds(&entry.token, now, certificate) {
            Ok(()) => {
                entry.used = true;
                Some(Ok(Arc::clone(&entry.token)))
            }
            Err(refusal) => {
                if refusal == Reason::AuthExpired {
                    self.remove(place);
                }
                Some(Err(refusal))
            }
        }
    }

    /// Caches a token that this provider has just verified with these keys.
    pub(super) fn insert(
        &mut self,
        text: &str,
        token: &Arc<VerifiedToken>,
        verifier: &Arc<Verifier>,
        keys: &KeySet,
    ) {
        if let Some(place) = self.places.get(text) {
            self.remove(*place);
        }
        while self.entries.len() >= self.max_tokens || self.text + text.len() > MAX_TEXT {
            self.give_one_up();
        }
        let text: Rc<str> = text.into();
        self.text += text.len();
        self.places.insert(Rc::clone(&text), self.entries.len());
        self.entries.push(Entry {
            text,
            token: Arc::clone(token),
            verifier: Arc::clone(verifier),
            generation: keys.generation(),
            used: false,
        });
    }

    fn give_one_up(&mut self) {
        loop {
            self.hand %= self.entries.len();
            if !std::mem::take(&mut self.entries[self.hand].used) {
                return self.remove(self.hand);
            }
            self.hand += 1;
        }
    }

    fn remove(&mut self, place: usize) {
        let entry = self.entries.swap_remove(place);
        self.text -= entry.text.len();
        self.places.remove(&entry.text);
        if let Some(moved) = self.entries.get(place) {
            self.places.insert(Rc::clone(&moved.text), place);
        }
    }
}

impl Entry {
    /// Whether provider and key are unchanged. After a reload or a fetch that changed neither, they
    /// are compared once.
    fn holds_for(&mut self, verifier: &Arc<Verifier>, keys: &KeySet) -> bool {
        if !Arc::ptr_eq(&self.verifier, verifier) {
            if self.verifier != *verifier {
                return false;
            }
            self.verifier = Arc::clone(verifier);
        }
        if self.generation != keys.generation() {
            if !keys.has(self.token.key()) {
                return false;
            }
            self.generation = keys.generation();
        }
        true
    }
}
