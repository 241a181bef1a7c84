//! The conflict index: which keys were written when, as far back as the window reaches.
//!
//! The history is one function from keys to versions, *when was this key last written*, constant
//! but for the steps at keys that were written. [`steps`] keeps it in a tree that knows the
//! greatest version below each of its pages; so a check of a read range looks at the pages at the
//! range's ends only, whatever its width and whatever was written inside it. It is exact: a
//! conflict is reported if, and only if, a key of the range was written after the reader's version.
//!
//! What the window has left behind is forgotten page by page: each expiry tidies a number of pages
//! in proportion to what was inserted, and remembers where to go on. Nothing is ever tidied all at
//! once.

mod steps;

use plinth_protocol::{ConflictRange, KeyspaceId, Version};

use self::steps::Page;
use super::key::{KeyBuf, KeyRef};

/// Insertions for which expiry tidies one page. A page has some forty steps, so that each insertion
/// pays for looking at five.
const INSERTIONS_PER_PAGE: usize = 8;
/// Pages of overwritten history that each insertion frees. An insertion makes less than one.
const PAGES_FREED: usize = 2;

/// The write history of the window. Lives in the sequencer; one thread.
#[derive(Debug)]
pub struct ConflictIndex {
    oldest: Version,
    /// No key was written after this.
    newest: Version,
    root: Page,
    /// Pages that were overwritten as a whole, freed a few at a time.
    overwritten: Vec<Page>,
    insertions: usize,
    /// Where to go on tidying.
    next_tidied: KeyBuf,
}

/// What a [`ConflictIndex`] holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConflictStats {
    /// Keys at which the version of the last write changes.
    pub steps: usize,
    /// About how many bytes they take.
    pub bytes: usize,
}

impl ConflictIndex {
    /// An empty history that begins at `oldest`.
    pub fn new(oldest: Version) -> Self {
        Self {
            oldest,
            newest: Version::ZERO,
            root: Page::default(),
            overwritten: Vec::new(),
            insertions: 0,
            next_tidied: first_key(),
        }
    }

    /// The version after which every write is known.
    pub fn oldest(&self) -> Version {
        self.oldest
    }

    /// What is held. Counts, so it isn't for every commit.
    pub fn stats(&self) -> ConflictStats {
        let mut stats = ConflictStats::default();
        let mut pages: Vec<&Page> = self.overwritten.iter().chain([&self.root]).collect();
        while let Some(page) = pages.pop() {
            stats.steps += page.steps();
            stats.bytes += page.bytes();
            pages.extend(page.children());
        }
        stats
    }

    /// Whether any key of `range` was written after `since`. True also if that is not known,
    /// because `since` is before [`oldest`](Self::oldest).
    pub fn check(&self, keyspace: KeyspaceId, range: &ConflictRange, since: Version) -> bool {
        if since < self.oldest {
            return true;
        }
        if self.newest <= since {
            return false;
        }
        match range {
            ConflictRange::Key(key) => self.root.key_exceeds(KeyRef::new(keyspace, key), since),
            ConflictRange::Range(range) if range.is_empty() => false,
            ConflictRange::Range(range) => {
                let (begin, end) =
                    (KeyRef::new(keyspace, &range.begin), KeyRef::new(keyspace, &range.end));
                self.root.range_exceeds(Some(begin), Some(end), since)
            }
        }
    }

    /// Notes that `range` is written at `version`.
    ///
    /// # Panics
    /// If an earlier write has a greater version: that history would be wrong.
    pub fn insert(&mut self, keyspace: KeyspaceId, range: &ConflictRange, version: Version) {
        assert!(self.newest <= version, "history is written in order");
        let split = match range {
            ConflictRange::Key(key) => self.root.assign_key(KeyRef::new(keyspace, key), version),
            ConflictRange::Range(range) if range.is_empty() => return,
            ConflictRange::Range(range) => {
                let (begin, end) =
                    (KeyRef::new(keyspace, &range.begin), KeyRef::new(keyspace, &range.end));
                self.root.assign_range(Some(begin), Some(end), version, &mut self.overwritten)
            }
        };
        if let Some(split) = split {
            self.root = Page::above(std::mem::take(&mut self.root), split);
        }
        self.newest = version;
        self.insertions += 1;
        self.free_some();
    }

    /// Forgets what was written at or before `oldest`, in its time.
    pub fn expire(&mut self, oldest: Version) {
        self.oldest = self.oldest.max(oldest);
        let pages = self.insertions / INSERTIONS_PER_PAGE;
        self.insertions %= INSERTIONS_PER_PAGE;
        if self.newest <= self.oldest {
            // All of it is past.
            self.overwritten.push(std::mem::take(&mut self.root));
            self.next_tidied = first_key();
        }
        for _ in 0..pages {
            let next = self.root.tidy(self.next_tidied.as_ref(), self.oldest);
            self.next_tidied = next.unwrap_or_else(first_key);
            self.root.shed_levels();
        }
        self.free_some();
    }

    fn free_some(&mut self) {
        for _ in 0..PAGES_FREED {
            let Some(page) = self.overwritten.pop() else { return };
            self.overwritten.extend(page.into_children());
        }
    }
}

fn first_key() -> KeyBuf {
    KeyRef::new(KeyspaceId(0), b"").into()
}

#[cfg(test)]
mod tests;
