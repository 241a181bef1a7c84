//! What readers look at: the layers of the store, newest first, as one thing that never changes.
//!
//! A reader loads the view under its guard, without a lock and without counting. Whoever changes
//! the layers puts a new view in its place, one at a time. What has left the view is still looked
//! at by readers that were faster, and may be large; so it goes to a graveyard, and the background
//! thread drops it when nobody else holds it, instead of whichever reader happens to be the last.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    key::KeyRef,
    memtable::{Beneath, FrozenMemtable, Memtable, Owned, ReadGuard},
    table::{Table, TableNumber},
    table_set::TableSet,
};
use crate::sync::Mutex;

/// The layers.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// The memtable that is being written.
    pub(super) active: Arc<Memtable>,
    /// Memtables that are not written any more and not yet in tables, newest first.
    pub(super) frozen: Vec<Arc<FrozenMemtable>>,
    /// The tables.
    pub(super) tables: Arc<TableSet>,
}

impl View {
    /// Whether the active memtable is all there is.
    pub(super) fn is_memtable_alone(&self) -> bool {
        self.frozen.is_empty() && self.tables.is_empty()
    }
}

/// The view of now, and what has left it.
#[derive(Debug)]
pub(super) struct Views {
    current: Owned<View>,
    /// Also held while the view is changed.
    graveyard: Mutex<Graveyard>,
}

/// What has left the view.
#[derive(Debug, Default)]
struct Graveyard {
    frozen: Vec<Arc<FrozenMemtable>>,
    tables: Vec<Arc<Table>>,
}

impl Views {
    /// Begins with this view.
    pub(super) fn new(view: View) -> Self {
        Self { current: Owned::new(view), graveyard: Mutex::new(Graveyard::default()) }
    }

    /// The view of now.
    pub(super) fn load<'g>(&self, guard: &'g ReadGuard) -> &'g View {
        self.current.load(guard)
    }

    /// Puts another view in place of the present one.
    pub(super) fn change<R>(&self, change: impl FnOnce(&mut View) -> R) -> R {
        let guard = ReadGuard::pin();
        let mut graveyard = self.graveyard.lock();
        let before = self.current.load(&guard);
        let mut view = before.clone();
        let result = change(&mut view);
        let is_gone = |frozen: &&Arc<FrozenMemtable>| {
            !view.frozen.iter().any(|kept| Arc::ptr_eq(kept, frozen))
        };
        graveyard.frozen.extend(before.frozen.iter().filter(is_gone).cloned());
        if !Arc::ptr_eq(&before.tables, &view.tables) {
            let kept: BTreeSet<_> = view.tables.iter().map(|(_, table)| number(table)).collect();
            let all = before.tables.iter().map(|(_, table)| table);
            let gone = all.filter(|table| !kept.contains(&number(table)));
            graveyard.tables.extend(gone.cloned());
        }
        self.current.replace(view, &guard);
        drop(graveyard);
        guard.flush();
        result
    }

    /// Drops what has left the view and nobody looks at any more. True if something is left.
    pub(super) fn bury(&self) -> bool {
        // Old views, which hold what is in the graveyard, are freed in passing.
        ReadGuard::pin().flush();
        let mut graveyard = self.graveyard.lock();
        let Graveyard { frozen, tables } = &mut *graveyard;
        let is_dead = |frozen: &mut Arc<FrozenMemtable>| {
            Arc::strong_count(frozen) == 1 && frozen.is_held_once()
        };
        let dead_memtables: Vec<_> = frozen.extract_if(.., is_dead).collect();
        let is_dead = |table: &mut Arc<Table>| Arc::strong_count(table) == 1;
        let dead_tables: Vec<_> = tables.extract_if(.., is_dead).collect();
        let is_left = !frozen.is_empty() || !tables.is_empty();
        drop(graveyard);
        drop((dead_memtables, dead_tables));
        is_left
    }
}

fn number(table: &Arc<Table>) -> TableNumber {
    table.properties().number
}

impl Beneath for Views {
    fn may_hold(&self, begin: KeyRef<'_>, end: KeyRef<'_>, guard: &ReadGuard) -> bool {
        let View { frozen, tables, .. } = self.load(guard);
        frozen.iter().any(|frozen| frozen.table().may_hold((begin, end), guard))
            || tables.may_hold(begin, end)
    }

    fn may_hold_key(&self, key: KeyRef<'_>, guard: &ReadGuard) -> bool {
        let View { frozen, tables, .. } = self.load(guard);
        frozen.iter().any(|frozen| frozen.table().may_hold_key(key, guard))
            || tables.may_hold_key(key)
    }
}
