//! The order of the keys: a B+tree of pages that readers never see half changed.
//!
//! One writer adds a node to its [`leaf`] in a way that readers see as one step, or replaces a page by a
//! changed copy, and swaps the pointer in its parent; a parent is copied only when it gets or loses a
//! child. Readers walk down from the root and along the leaves
//! without a lock and without retries: what they have reached stays as it was until their guard is
//! gone, and holds everything that had been inserted when they began. Forward and reverse cost the
//! same, and the nodes of a leaf lie side by side, so that their memory is fetched in parallel;
//! that is what a scan spends its time on.
//!
//! Leaves know two things that let a scan pass over them whole:
//!
//! - *empty since* a version: from there on no key of the leaf has a value (a queue whose items
//!   were taken leaves such leaves behind until the horizon has passed);
//! - the *last birth*: when a key of the leaf last got a value while it had none. A range tombstone
//!   that is newer hides them all.

mod build;
mod leaf;
#[cfg(test)]
mod tests;

use std::{ops::Range, slice, sync::Arc};

use plinth_protocol::Version;

use self::leaf::{Added, Leaf, View};
use super::{
    Direction,
    node::{NodePointer, NodeRef},
    reclaim::{Published, ReadGuard},
};
use crate::engine::{
    key::{Digests, KeyBuf, KeyRef, separator},
    prefetch::{CACHE_LINE, prefetch, prefetch_lines},
};

/// Children of an inner page at most.
const PAGE_MAX: usize = 64;
/// Levels that a tree of any size that fits a machine stays below.
const DEPTH: usize = 12;
/// How many nodes ahead a scan fetches nodes, and their newest records: about as far as it comes
/// while memory answers, twice over for what is reached through something fetched.
const NODES_AHEAD: usize = 16;
const RECORDS_AHEAD: usize = 8;
/// So many nodes before the end of a leaf a scan fetches the next leaf, and then its list of nodes.
const LEAF_AHEAD: usize = 28;
const LIST_AHEAD: usize = 22;
/// Leaves that are fetched together for the keys that come into them: not more than a cache takes.
const FETCHED_TOGETHER: usize = 32;

#[derive(Debug)]
enum Page {
    Leaf(Leaf),
    Inner(Inner),
}

#[derive(Debug)]
struct Inner {
    digests: Digests,
    /// What lies between two children: not below the left one's end, not above the right one.
    separators: Box<[Arc<KeyBuf>]>,
    children: Box<[Published<Page>]>,
}

impl Inner {
    fn build(separators: Box<[Arc<KeyBuf>]>, children: Box<[Published<Page>]>) -> Self {
        debug_assert_eq!(separators.len() + 1, children.len());
        let digests = Digests::build(separators.len(), |at| separators[at].as_ref().as_ref());
        Self { digests, separators, children }
    }

    fn child_for(&self, key: KeyRef<'_>) -> usize {
        match self.digests.find(key, |at| self.separators[at].as_ref().as_ref()) {
            Ok(at) => at + 1,
            Err(at) => at,
        }
    }

    /// Begins to fetch what is looked at on the way down.
    fn prefetch(&self) {
        self.digests.prefetch();
        prefetch_lines(&self.children);
    }

    fn child(&self, at: usize) -> &Published<Page> {
        self.children.get(at).expect("an inner page has one child more than separators")
    }
}

/// The tree, as readers and the writer share it.
#[derive(Debug)]
pub(super) struct Tree {
    root: Published<Page>,
}

/// A way from the root to a leaf.
struct Path<'g> {
    above: Vec<(&'g Inner, usize)>,
    leaf: &'g Leaf,
}

impl Tree {
    /// An empty tree.
    pub(super) fn new() -> Self {
        Self { root: Published::new(Box::new(Page::Leaf(Leaf::empty()))) }
    }

    fn path<'g>(&self, key: KeyRef<'_>, guard: &'g ReadGuard) -> Path<'g> {
        let mut above = Vec::with_capacity(DEPTH);
        let mut page = self.root.load(guard);
        loop {
            match page {
                Page::Leaf(leaf) => return Path { above, leaf },
                Page::Inner(inner) => {
                    let child = inner.child_for(key);
                    above.push((inner, child));
                    page = inner.child(child).load(guard);
                }
            }
        }
    }

    /// Begins to fetch the leaves that these keys belong in, to be added to: of each level the pages of
    /// all keys are asked for before the first is waited for.
    pub(super) fn fetch_leaves(&self, keys: &[KeyRef<'_>], guard: &ReadGuard) {
        let root = self.root.load(guard);
        for keys in keys.chunks(FETCHED_TOGETHER) {
            let mut pages = [root; FETCHED_TOGETHER];
            let mut is_above_leaves = true;
            while is_above_leaves {
                is_above_leaves = false;
                for (&key, page) in keys.iter().zip(&mut pages) {
                    if let Page::Inner(inner) = *page {
                        *page = inner.child(inner.child_for(key)).load(guard);
                        prefetch_lines(slice::from_ref(*page));
                    }
                }
                for (_, page) in keys.iter().zip(&pages) {
                    match page {
                        Page::Leaf(leaf) => leaf.prefetch_for_add(guard),
                        Page::Inner(inner) => {
                            inner.prefetch();
                            is_above_leaves = true;
                        }
                    }
                }
            }
        }
    }

    /// The cell that leads to the page below `above`.
    fn cell<'a>(&'a self, above: &[(&'a Inner, usize)]) -> &'a Published<Page> {
        above.last().map_or(&self.root, |(inner, child)| inner.child(*child))
    }

    /// Adds a node whose key isn't there, with its first record. Only the writer does this.
    pub(super) fn insert(&self, node: NodeRef<'_>, guard: &ReadGuard) {
        let Path { above, leaf } = self.path(node.key(), guard);
        match leaf.add(node, guard) {
            Added::Here => {}
            Added::Copy(leaf) => {
                self.cell(&above).replace(Box::new(Page::Leaf(leaf)), guard);
            }
            Added::Halves(left, right) => {
                let (least, greatest) = (left.view(guard), right.view(guard));
                let between = separator(least.key(least.len() - 1), greatest.key(0));
                self.split(above, Page::Leaf(left), between, Page::Leaf(right), guard);
            }
        }
    }

    /// Puts two pages in place of the one below `above`.
    fn split(
        &self,
        mut above: Vec<(&Inner, usize)>,
        left: Page,
        between: KeyBuf,
        right: Page,
        guard: &ReadGuard,
    ) {
        let (mut left, mut right) =
            (Published::new(Box::new(left)), Published::new(Box::new(right)));
        let mut between = Arc::new(between);
        // Cells of pages that are replaced by what is made here, freed once the new ones are in.
        let mut replaced = Vec::new();
        let page = loop {
            let Some((inner, at)) = above.pop() else {
                break Inner::build([between].into(), [left, right].into());
            };
            replaced.push(inner.child(at));
            let mut separators = inner.separators.to_vec();
            separators.insert(at, between);
            let mut children = alias_all(inner, 0..at);
            children.push(left);
            children.push(right);
            children.extend(alias_all(inner, at + 1..inner.children.len()));
            if children.len() <= PAGE_MAX {
                break Inner::build(separators.into(), children.into());
            }
            let is_last = at + 2 == children.len();
            let middle = if is_last { children.len() - 1 } else { children.len() / 2 };
            let right_children = children.split_off(middle);
            let right_separators = separators.split_off(middle);
            between = separators.pop().expect("a page that is split has two children or more");
            left = cell_of(Inner::build(separators.into(), children.into()));
            right = cell_of(Inner::build(right_separators.into(), right_children.into()));
        };
        self.cell(&above).replace(Box::new(Page::Inner(page)), guard);
        // Unless the root itself was split, the uppermost page in question was retired by
        // `replace`; with those below it goes the same.
        for cell in replaced {
            // SAFETY: its parent is unlinked now, and no new page aliases it.
            unsafe { cell.retire(guard) };
        }
    }

    /// Takes a node out. Only the writer does this, and retires the node afterwards.
    pub(super) fn remove(&self, key: KeyRef<'_>, at_version: Version, guard: &ReadGuard) {
        let Path { mut above, leaf } = self.path(key, guard);
        let view = leaf.view(guard);
        let Ok(at) = view.find(key) else {
            debug_assert!(false, "{key:?} is in the tree");
            return;
        };
        if view.len() > 1 || above.is_empty() {
            leaf.remove(at, at_version, guard);
            return;
        }
        // The leaf goes, and so does every page above that has no other child.
        let mut replaced = Vec::new();
        let page = loop {
            let Some((inner, at)) = above.pop() else { break Page::Leaf(Leaf::empty()) };
            replaced.push(inner.child(at));
            if inner.children.len() > 1 {
                let mut separators = inner.separators.to_vec();
                separators.remove(at.saturating_sub(1));
                let mut children = alias_all(inner, 0..at);
                children.extend(alias_all(inner, at + 1..inner.children.len()));
                break Page::Inner(Inner::build(separators.into(), children.into()));
            }
        };
        self.cell(&above).replace(Box::new(page), guard);
        for cell in replaced {
            // SAFETY: its parent is unlinked now, and no new page aliases it.
            unsafe { cell.retire(guard) };
        }
    }

    /// Notes that the newest record of a key has become one with a value, written at `version`
    /// while the key had none.
    pub(super) fn note_birth(
        &self,
        key: KeyRef<'_>,
        version: Version,
        was_set: bool,
        guard: &ReadGuard,
    ) {
        self.path(key, guard).leaf.note_birth(version, was_set);
    }

    /// Notes that the newest record of a key has become one without a value, at `version`.
    pub(super) fn note_clear(&self, key: KeyRef<'_>, version: Version, guard: &ReadGuard) {
        self.path(key, guard).leaf.note_clear(version);
    }

    /// A cursor before the first node not below `key`. It passes over leaves in which a read at
    /// `version` finds no value.
    pub(super) fn seek<'g>(
        &self,
        key: KeyRef<'_>,
        version: Version,
        guard: &'g ReadGuard,
    ) -> Cursor<'g> {
        let Path { above, leaf } = self.path(key, guard);
        leaf.prefetch_for_scan(guard);
        let leaf = leaf.view(guard);
        let at = match leaf.find(key) {
            Ok(at) | Err(at) => at,
        };
        Cursor { guard, version, above, leaf, leaves: 0, at, ahead: None }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // SAFETY: nobody else looks at a tree that is being dropped, and nothing of it is retired.
        let guard = unsafe { ReadGuard::unpinned() };
        let mut pages = vec![page_of(&mut self.root)];
        while let Some(page) = pages.pop() {
            match page {
                Page::Leaf(leaf) => {
                    let leaf = leaf.view(&guard);
                    let nodes = || (0..leaf.len()).filter_map(|at| leaf.pointer(at));
                    // All of a leaf are fetched before the first is waited for.
                    nodes().for_each(NodePointer::prefetch);
                    for node in nodes() {
                        // SAFETY: the leaf's nodes are there until they are freed below.
                        unsafe { node.prefetch_newest() };
                    }
                    for node in nodes() {
                        // SAFETY: every node is in one leaf, and nobody looks any more.
                        unsafe { node.free() };
                    }
                }
                Page::Inner(mut inner) => pages.extend(inner.children.iter_mut().map(page_of)),
            }
        }
    }
}

/// The page of a cell of a tree that is being dropped.
fn page_of(cell: &mut Published<Page>) -> Page {
    // SAFETY: nobody else looks at a tree that is being dropped; the cells that this one was
    // aliased from were unlinked, and cells do nothing when they are dropped.
    unsafe { cell.take() }
}

/// A place between two nodes.
pub(super) struct Cursor<'g> {
    guard: &'g ReadGuard,
    version: Version,
    above: Vec<(&'g Inner, usize)>,
    leaf: View<'g>,
    leaves: usize,
    /// The node after the place.
    at: usize,
    /// The leaf that comes next, once it is being fetched.
    ahead: Option<&'g Page>,
}

impl<'g> Cursor<'g> {
    /// Goes on to before the first node not below `key`, which is not before the place.
    pub(super) fn go_to(&mut self, tree: &'g Tree, key: KeyRef<'_>) {
        let is_here = self
            .leaf
            .len()
            .checked_sub(1)
            .is_some_and(|last| key <= self.leaf.key(last) && self.leaf.key(0) <= key);
        if !is_here {
            *self = tree.seek(key, self.version, self.guard);
            return;
        }
        self.at = match self.leaf.find(key) {
            Ok(at) | Err(at) => at,
        };
    }

    /// How many leaves the cursor has left behind: as long as that stays, it is in the same leaf.
    pub(super) fn leaves(&self) -> usize {
        self.leaves
    }

    /// Whether all keys of the leaf are certainly below `end`.
    pub(super) fn is_leaf_below(&self, end: KeyRef<'_>) -> bool {
        self.leaf.is_below(end)
    }

    /// Whether all keys of the leaf are certainly above `begin`.
    pub(super) fn is_leaf_above(&self, begin: KeyRef<'_>) -> bool {
        self.leaf.is_above(begin)
    }

    /// Steps over the next node.
    #[inline]
    pub(super) fn next(&mut self) -> Option<NodeRef<'g>> {
        loop {
            if let Some(node) = self.leaf.node(self.at) {
                let (at, left) = (self.at, self.leaf.len() - self.at);
                self.leaf.prefetch(Some(at + NODES_AHEAD), Some(at + RECORDS_AHEAD));
                if left <= LEAF_AHEAD {
                    self.prefetch_beyond(left, Direction::Forward);
                }
                self.at += 1;
                return Some(node);
            }
            self.next_leaf()?;
            self.prefetch_first(Direction::Forward);
        }
    }

    /// Steps back over the node before.
    #[inline]
    pub(super) fn previous(&mut self) -> Option<NodeRef<'g>> {
        loop {
            if let Some(at) = self.at.checked_sub(1) {
                if self.at <= LEAF_AHEAD {
                    self.prefetch_beyond(self.at, Direction::Reverse);
                }
                self.at = at;
                let (node, record) = (at.checked_sub(NODES_AHEAD), at.checked_sub(RECORDS_AHEAD));
                self.leaf.prefetch(node, record);
                return self.leaf.node(at);
            }
            self.previous_leaf()?;
            self.prefetch_first(Direction::Reverse);
        }
    }

    /// Begins to fetch what a scan in this direction comes to first.
    pub(super) fn prefetch_first(&self, direction: Direction) {
        let place = |step: usize| match direction {
            Direction::Forward => Some(self.at + step),
            Direction::Reverse => self.at.checked_sub(step + 1),
        };
        for step in 0..NODES_AHEAD {
            self.leaf.prefetch(place(step), None);
        }
        for step in 0..RECORDS_AHEAD {
            self.leaf.prefetch(None, place(step));
        }
    }

    /// Begins to fetch what a scan comes to in the leaf after this one, of which so many nodes, few,
    /// are left: the leaf, its list of nodes, nodes and records, each when what leads to it is there.
    fn prefetch_beyond(&mut self, left: usize, direction: Direction) {
        let Some(page) = self.ahead else {
            self.ahead = self.neighbour(direction);
            if let Some(page) = self.ahead {
                let begin = (&raw const *page).cast::<u8>();
                prefetch(begin);
                prefetch(begin.wrapping_add(CACHE_LINE));
            }
            return;
        };
        if left > LIST_AHEAD {
            return;
        }
        let Page::Leaf(leaf) = page else { return };
        if left > NODES_AHEAD {
            if left == LIST_AHEAD {
                leaf.prefetch_lists(self.guard);
            }
            return;
        }
        let leaf = leaf.view(self.guard);
        let place = |step: usize| match direction {
            Direction::Forward => Some(step),
            Direction::Reverse => leaf.len().checked_sub(step + 1),
        };
        let node = place(NODES_AHEAD - left);
        let record = RECORDS_AHEAD.checked_sub(left).and_then(place);
        leaf.prefetch(node, record);
    }

    /// The page beside this one, if it has the same parent.
    fn neighbour(&self, direction: Direction) -> Option<&'g Page> {
        let &(inner, child) = self.above.last()?;
        let child = match direction {
            Direction::Forward => child + 1,
            Direction::Reverse => child.checked_sub(1)?,
        };
        inner.children.get(child).map(|cell| cell.load(self.guard))
    }

    /// Goes to before the first node of the next leaf that may hold something.
    fn next_leaf(&mut self) -> Option<()> {
        loop {
            let (inner, child) = self.above.pop()?;
            if child + 1 < inner.children.len() {
                self.descend(inner, child + 1, |_| 0);
                self.at = 0;
                if !self.is_empty_leaf() {
                    return Some(());
                }
            }
        }
    }

    /// Goes to after the last node of the leaf before that may hold something.
    fn previous_leaf(&mut self) -> Option<()> {
        loop {
            let (inner, child) = self.above.pop()?;
            if let Some(child) = child.checked_sub(1) {
                self.descend(inner, child, |inner| inner.children.len() - 1);
                self.at = self.leaf.len();
                if !self.is_empty_leaf() {
                    return Some(());
                }
            }
        }
    }

    fn descend(&mut self, inner: &'g Inner, child: usize, pick: impl Fn(&Inner) -> usize) {
        let (mut inner, mut child) = (inner, child);
        loop {
            self.above.push((inner, child));
            match inner.child(child).load(self.guard) {
                Page::Leaf(leaf) => {
                    self.leaf = leaf.view(self.guard);
                    self.leaves += 1;
                    self.ahead = None;
                    return;
                }
                Page::Inner(below) => (inner, child) = (below, pick(below)),
            }
        }
    }

    fn is_empty_leaf(&self) -> bool {
        self.leaf.leaf.empty_since() <= self.version.0
    }

    /// Passes over the rest of the leaf if a range tombstone of `version` that covers all keys
    /// before `end` hides it.
    pub(super) fn skip_hidden_forward(&mut self, version: Version, end: Option<KeyRef<'_>>) {
        if self.leaf.leaf.last_birth() < version.0
            && end.is_none_or(|end| self.leaf.key(self.leaf.len() - 1) < end)
        {
            self.at = self.leaf.len();
        }
    }

    /// The same backwards, for a tombstone that covers all keys from `begin` on.
    pub(super) fn skip_hidden_reverse(&mut self, version: Version, begin: Option<KeyRef<'_>>) {
        if self.leaf.leaf.last_birth() < version.0
            && begin.is_none_or(|begin| begin <= self.leaf.key(0))
        {
            self.at = 0;
        }
    }

    /// The nodes from here to the end of the leaf, as a sample and a count, and goes on to the next
    /// leaf; if all of them are below `end`.
    pub(super) fn leaf_below(&mut self, end: KeyRef<'_>) -> Option<(NodeRef<'g>, usize)> {
        if self.at == self.leaf.len() {
            self.next_leaf()?;
        }
        let last = self.leaf.node(self.leaf.len().checked_sub(1)?)?;
        if end <= last.key() {
            return None;
        }
        let first = self.leaf.node(self.at)?;
        let count = self.leaf.len() - self.at;
        self.at = self.leaf.len();
        Some((first, count))
    }
}

fn cell_of(inner: Inner) -> Published<Page> {
    Published::new(Box::new(Page::Inner(inner)))
}

fn alias_all(inner: &Inner, children: Range<usize>) -> Vec<Published<Page>> {
    let children = inner.children.get(children).unwrap_or_default();
    let mut aliases = Vec::with_capacity(PAGE_MAX + 1);
    for child in children {
        // SAFETY: the callers unlink `inner` before the writer comes to the new page again.
        aliases.push(unsafe { child.alias() });
    }
    aliases
}
