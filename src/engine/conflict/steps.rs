//! A function from keys to versions that changes at some keys only, as a B+tree.
//!
//! Each step stands at a key. It tells the version of that key, and the version of the keys between
//! it and the next step. So a write of one key is one step, and the keys beside it keep theirs.
//!
//! ```text
//!   leaf          [ before │ a: 7,3 │ c: 5,5 │ k: 9,5 )     key: its version, that of the gap
//!   its keys       ≤…<a: before   a: 7   (a,c): 3   c: 5   (c,k): 5   k: 9   (k,…): 5
//! ```
//!
//! A leaf knows everything about the keys between its separators, also of those before its first
//! step. An inner page knows the greatest version below each child.
//!
//! Ranges get versions above all before, and keys versions above all ranges before, which gives the
//! invariant that makes checks cheap: **a gap is never newer than the key before it.** So the greatest version of a range is that of
//! its first key and of the steps within; gaps need not be looked at. For the same reason a value
//! that is left over for a gap which has become empty does no harm.

use plinth_protocol::Version;

use crate::engine::key::{Digests, KeyBuf, KeyRef};

/// Steps of a leaf, and children of an inner page, at most.
const PAGE_MAX: usize = 64;
#[derive(Debug)]
pub(super) enum Page {
    Leaf(Leaf),
    Inner(Inner),
}

#[derive(Debug)]
pub(super) struct Leaf {
    /// The version of the keys before the first step.
    before: Version,
    digests: Digests,
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    key: KeyBuf,
    version: Version,
    /// The version of the keys up to the next step.
    gap: Version,
}

#[derive(Debug)]
pub(super) struct Inner {
    digests: Digests,
    /// The first key of each child but the first.
    separators: Vec<KeyBuf>,
    children: Vec<Child>,
}

#[derive(Debug)]
pub(super) struct Child {
    newest: Version,
    page: Page,
}

/// A page became too long; its right half is to be put beside it.
#[derive(Debug)]
pub(super) struct Split {
    pub(super) separator: KeyBuf,
    pub(super) right: Page,
}

impl Default for Page {
    /// Nothing was ever written.
    fn default() -> Self {
        Self::Leaf(Leaf::new(Version::ZERO, Vec::new()))
    }
}

impl Page {
    /// A page above two others.
    fn above(left: Self, Split { separator, right }: Split) -> Self {
        let children = [left, right].map(|page| Child { newest: page.newest(), page });
        Self::Inner(Inner::new(vec![separator], children.into()))
    }

    /// The greatest version of the page.
    fn newest(&self) -> Version {
        match self {
            Self::Leaf(leaf) => {
                leaf.steps.iter().map(|step| step.version).fold(leaf.before, Version::max)
            }
            Self::Inner(inner) => {
                inner.children.iter().map(|child| child.newest).max().unwrap_or_default()
            }
        }
    }

    /// Whether the key's version is above `since`.
    pub(super) fn key_exceeds(&self, key: KeyRef<'_>, since: Version) -> bool {
        let mut page = self;
        loop {
            match page {
                Self::Leaf(leaf) => {
                    return match leaf.find(key) {
                        Ok(at) => leaf.steps.get(at).is_some_and(|step| step.version > since),
                        Err(at) => leaf.gap_before(at) > since,
                    };
                }
                Self::Inner(inner) => {
                    let Some(child) = inner.children.get(inner.child_with(key)) else {
                        return false;
                    };
                    if child.newest <= since {
                        return false;
                    }
                    page = &child.page;
                }
            }
        }
    }

    /// Whether any version from `begin` to before `end` is above `since`; without `begin` from the
    /// page's first key, without `end` to its last.
    pub(super) fn range_exceeds(
        &self,
        begin: Option<KeyRef<'_>>,
        end: Option<KeyRef<'_>>,
        since: Version,
    ) -> bool {
        match self {
            Self::Leaf(leaf) => leaf.range_exceeds(begin, end, since),
            Self::Inner(inner) => {
                let (first, last) = inner.children_with(begin, end);
                let exceeds = |at: usize, begin, end| {
                    inner.children.get(at).is_some_and(|child| {
                        child.newest > since && child.page.range_exceeds(begin, end, since)
                    })
                };
                if first == last {
                    return exceeds(first, begin, end);
                }
                let between = inner.children.get(first + 1..last).unwrap_or_default();
                between.iter().any(|child| child.newest > since)
                    || exceeds(first, begin, None)
                    || exceeds(last, None, end)
            }
        }
    }

    /// Puts a page above this one and what it has split off.
    pub(super) fn grow(&mut self, split: Option<Split>) {
        if let Some(split) = split {
            *self = Self::above(std::mem::take(self), split);
        }
    }

    /// Gives a key a version, not below that of any range, nor below the one it has.
    pub(super) fn assign_key(&mut self, key: KeyRef<'_>, version: Version) -> Option<Split> {
        match self {
            Self::Leaf(leaf) => leaf.assign_key(key, version),
            Self::Inner(inner) => {
                let at = inner.child_with(key);
                let child = inner.children.get_mut(at)?;
                child.newest = child.newest.max(version);
                let split = child.page.assign_key(key, version);
                inner.take_split(at, split);
                inner.split()
            }
        }
    }

    /// Gives the keys from `begin` to before `end` a version, not below any other; without `begin`
    /// from the page's first key, without `end` to its last.
    pub(super) fn assign_range(
        &mut self,
        begin: Option<KeyRef<'_>>,
        end: Option<KeyRef<'_>>,
        version: Version,
    ) -> Option<Split> {
        let inner = match self {
            Self::Leaf(leaf) => return leaf.assign_range(begin, end, version),
            Self::Inner(inner) => inner,
        };
        let (first, mut last) = inner.children_with(begin, end);
        if first + 1 < last {
            // What is between falls to the first child.
            inner.children.drain(first + 1..last);
            inner.separators.drain(first..last - 1);
            inner.digest();
            last = first + 1;
        }
        let assign = |inner: &mut Inner, at: usize, begin, end| {
            let Some(child) = inner.children.get_mut(at) else { return };
            child.newest = version;
            let split = child.page.assign_range(begin, end, version);
            inner.take_split(at, split);
        };
        if first == last {
            assign(inner, first, begin, end);
        } else {
            assign(inner, last, None, end);
            assign(inner, first, begin, None);
        }
        inner.split()
    }
}

impl Leaf {
    fn new(before: Version, steps: Vec<Step>) -> Self {
        let mut leaf = Self { before, digests: Digests::default(), steps };
        leaf.digest();
        leaf
    }

    fn digest(&mut self) {
        let steps = &self.steps;
        self.digests = Digests::build(steps.len(), |at| steps[at].key.as_ref());
    }

    fn find(&self, key: KeyRef<'_>) -> Result<usize, usize> {
        self.digests.find(key, |at| self.steps[at].key.as_ref())
    }

    /// The version of the keys before the step at `at`.
    fn gap_before(&self, at: usize) -> Version {
        let step = at.checked_sub(1).and_then(|before| self.steps.get(before));
        step.map_or(self.before, |step| step.gap)
    }

    fn range_exceeds(
        &self,
        begin: Option<KeyRef<'_>>,
        end: Option<KeyRef<'_>>,
        since: Version,
    ) -> bool {
        let found = begin.map_or(Err(0), |begin| self.find(begin));
        let (Ok(first) | Err(first)) = found;
        if found.is_err() && self.gap_before(first) > since {
            return true;
        }
        let after = end.map_or(self.steps.len(), |end| match self.find(end) {
            Ok(at) | Err(at) => at,
        });
        let within = self.steps.get(first..after).unwrap_or_default();
        within.iter().any(|step| step.version > since)
    }

    fn assign_key(&mut self, key: KeyRef<'_>, version: Version) -> Option<Split> {
        match self.find(key) {
            Ok(at) => {
                self.steps.get_mut(at)?.version = version;
                None
            }
            Err(at) => {
                let gap = self.gap_before(at);
                self.steps.insert(at, Step { key: key.into(), version, gap });
                let steps = &self.steps;
                self.digests = self.digests.with(at, |at| steps[at].key.as_ref());
                self.split()
            }
        }
    }

    fn assign_range(
        &mut self,
        begin: Option<KeyRef<'_>>,
        end: Option<KeyRef<'_>>,
        version: Version,
    ) -> Option<Split> {
        let (after, end) = match end.map(|end| (end, self.find(end))) {
            None => (self.steps.len(), None),
            Some((_, Ok(at))) => (at, None),
            Some((end, Err(at))) => {
                let gap = self.gap_before(at);
                (at, Some(Step { key: end.into(), version: gap, gap }))
            }
        };
        let first = match begin.map(|begin| self.find(begin)) {
            None => {
                self.before = version;
                0
            }
            Some(Ok(at) | Err(at)) => at,
        };
        let begin = begin.map(|begin| Step { key: begin.into(), version, gap: version });
        self.steps.splice(first..after, begin.into_iter().chain(end));
        self.digest();
        self.split()
    }

    fn split(&mut self) -> Option<Split> {
        if self.steps.len() <= PAGE_MAX {
            return None;
        }
        let steps = self.steps.split_off(self.steps.len() / 2);
        self.steps.shrink_to(PAGE_MAX);
        self.digest();
        let separator = steps.first()?.key.clone();
        // No key lies between the separator and the first step.
        Some(Split { separator, right: Page::Leaf(Self::new(Version::ZERO, steps)) })
    }
}

impl Inner {
    fn new(separators: Vec<KeyBuf>, children: Vec<Child>) -> Self {
        let mut inner = Self { digests: Digests::default(), separators, children };
        inner.digest();
        inner
    }

    fn digest(&mut self) {
        let separators = &self.separators;
        self.digests = Digests::build(separators.len(), |at| separators[at].as_ref());
    }

    fn find(&self, key: KeyRef<'_>) -> Result<usize, usize> {
        self.digests.find(key, |at| self.separators[at].as_ref())
    }

    /// The child that a key is in.
    fn child_with(&self, key: KeyRef<'_>) -> usize {
        match self.find(key) {
            Ok(at) => at + 1,
            Err(at) => at,
        }
    }

    /// The first and the last child that have keys from `begin` to before `end`.
    fn children_with(&self, begin: Option<KeyRef<'_>>, end: Option<KeyRef<'_>>) -> (usize, usize) {
        let first = begin.map_or(0, |begin| self.child_with(begin));
        let last = end.map_or(self.separators.len(), |end| match self.find(end) {
            // A child that begins with `end` has none.
            Ok(at) | Err(at) => at,
        });
        (first, last)
    }

    /// Puts what a child has split off beside it.
    fn take_split(&mut self, at: usize, split: Option<Split>) {
        let Some(Split { separator, right }) = split else { return };
        let right = Child { newest: right.newest(), page: right };
        if let Some(left) = self.children.get_mut(at) {
            left.newest = left.page.newest();
        }
        self.children.insert(at + 1, right);
        self.separators.insert(at, separator);
        self.digest();
    }

    fn split(&mut self) -> Option<Split> {
        if self.children.len() <= PAGE_MAX {
            return None;
        }
        let middle = self.children.len() / 2;
        let children = self.children.split_off(middle);
        let separators = self.separators.split_off(middle);
        let separator = self.separators.pop()?;
        self.digest();
        Some(Split { separator, right: Page::Inner(Self::new(separators, children)) })
    }
}
