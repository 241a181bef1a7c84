//! A whole tree at once, of nodes that are there already.

use std::sync::Arc;

use plinth_protocol::Version;

use super::{
    super::{
        node::NodeRef,
        reclaim::{Published, ReadGuard},
    },
    Inner, PAGE_MAX, Page, Tree,
    leaf::{LEAF_MAX, Leaf},
};
use crate::engine::key::{KeyBuf, separator};

/// How many a page gets, so that not each one is split by the next key that comes.
const PAGE_FILLED: usize = LEAF_MAX * 3 / 4;

const _: () = assert!(LEAF_MAX <= PAGE_MAX, "leaves and pages above are filled alike");

impl Tree {
    /// Fills an empty tree with nodes, which are in the order of their keys; `last` is the newest
    /// version that was written.
    pub(in crate::engine::memtable) fn fill(
        &self,
        nodes: &[NodeRef<'_>],
        last: Version,
        guard: &ReadGuard,
    ) {
        if nodes.is_empty() {
            return;
        }
        let mut pages = Vec::new();
        // What lies between each page and the next.
        let mut between: Vec<Arc<KeyBuf>> = Vec::new();
        let mut before: Option<NodeRef<'_>> = None;
        for nodes in pieces(nodes) {
            if let (Some(before), Some(first)) = (before, nodes.first()) {
                between.push(Arc::new(separator(before.key(), first.key())));
            }
            before = nodes.last().copied();
            pages.push(Page::Leaf(leaf(nodes, last, guard)));
        }
        while pages.len() > 1 {
            (pages, between) = level_above(pages, between);
        }
        if let Some(root) = pages.pop() {
            self.root.replace(Box::new(root), guard);
        }
    }
}

fn leaf(nodes: &[NodeRef<'_>], last: Version, guard: &ReadGuard) -> Leaf {
    let pointers: Vec<_> = nodes.iter().map(|node| node.pointer()).collect();
    for node in &pointers {
        node.prefetch();
    }
    for node in nodes {
        node.prefetch_newest();
    }
    let newest = nodes.iter().map(|node| node.newest().stamp().version.0).max();
    Leaf::build(&pointers, newest.unwrap_or(0), last, guard)
}

/// The pages above these, and what lies between them.
fn level_above(pages: Vec<Page>, between: Vec<Arc<KeyBuf>>) -> (Vec<Page>, Vec<Arc<KeyBuf>>) {
    let (mut above, mut between_above) = (Vec::new(), Vec::new());
    let counts: Vec<usize> = pieces(&pages).map(<[Page]>::len).collect();
    let (mut pages, mut between) = (pages.into_iter(), between.into_iter());
    for count in counts {
        let children =
            pages.by_ref().take(count).map(|page| Published::new(Box::new(page))).collect();
        let separators = between.by_ref().take(count - 1).collect();
        above.push(Page::Inner(Inner::build(separators, children)));
        between_above.extend(between.next());
    }
    (above, between_above)
}

/// Equal pieces, or nearly so.
fn pieces<T>(items: &[T]) -> impl Iterator<Item = &[T]> {
    let count = items.len().div_ceil(PAGE_FILLED);
    let end = move |piece: usize| items.len() * piece / count;
    (0..count).map(move |piece| items.get(end(piece)..end(piece + 1)).unwrap_or_default())
}
