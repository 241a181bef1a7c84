//! What a power cut leaves of a disk.
//!
//! What was synced is left, and of the rest what [`Keep`] says. Where it says random: of every
//! 4 KiB page that was written since, the old bytes, the new ones, those of some moment between,
//! or a mixture of old, new and garbage sectors; the file's length is old or new regardless of its
//! pages, and what it has grown by may hold stale bytes where nothing was written; and of the
//! changes to a directory any first part, or any at all. So a later write may be there when an
//! earlier one is not.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use super::{
    disk::{Disk, FileEffect, FileState, Names, Node, Pending},
    pages::{PAGE_BYTES, Page, Pages, SECTOR_BYTES, each_page},
    plan::{Keep, KeepNames},
};
use crate::random::Random;

/// The disk that a power cut leaves of this one.
pub(super) fn after_cut(disk: &Disk, keep: Keep, names: KeepNames, seed: u64) -> Disk {
    // The same seed chooses differently at another moment, so that a few seeds go a long way.
    let mut random = Random::new(seed ^ Random::new(disk.changes()).next_u64());
    let newest = newest_effect(disk, |_| true);
    let newest_write = newest_effect(disk, |effect| matches!(effect, FileEffect::Write { .. }));
    let mut durable_names = disk.durable_names.clone();
    for pending in disk.pending_names.values() {
        let any = names == KeepNames::Any;
        let first = random.below(pending.len() as u64 + 1) as usize;
        for (index, pending) in pending.iter().enumerate() {
            let is_kept = match keep {
                Keep::Nothing => false,
                Keep::Everything | Keep::Torn { .. } => true,
                Keep::Newest => Some(pending.sequence) == newest,
                Keep::Random if any => random.one_in(2),
                Keep::Random => index < first,
            };
            if is_kept {
                pending.effect.apply(&mut durable_names);
            }
        }
    }
    drop_orphans(&mut durable_names);
    let mut files = BTreeMap::new();
    for (path, node) in &durable_names {
        let Node::File(id) = node else { continue };
        let Some(file) = disk.files.get(id) else { continue };
        let pages = match keep {
            Keep::Nothing => file.durable.clone(),
            Keep::Everything => fold(file, |_| true),
            Keep::Newest => fold(file, |pending| Some(pending.sequence) == newest),
            Keep::Torn { sectors } => torn(file, newest_write, sectors),
            Keep::Random => mixed(file, &mut random),
        };
        let (path, durable) = (path.clone(), pages.clone());
        files.insert(*id, FileState { path, durable, current: pages, ..FileState::default() });
    }
    Disk::from_durable(files, durable_names, disk.next_file())
}

/// The place in the order of the newest effect on a file of this sort, or, where names are as good,
/// on a directory.
fn newest_effect(disk: &Disk, is_wanted: impl Fn(&FileEffect) -> bool + Copy) -> Option<u64> {
    let writes_only = !is_wanted(&FileEffect::SetLen(0));
    let files = disk.files.values().flat_map(|file| &file.pending);
    let files = files.filter(|pending| is_wanted(&pending.effect)).map(|pending| pending.sequence);
    let names = disk.pending_names.values().flatten().map(|pending| pending.sequence);
    files.chain(names.filter(|_| !writes_only)).max()
}

/// What lies in a directory that isn't there isn't there either.
fn drop_orphans(names: &mut Names) {
    let has_parents = |names: &Names, path: &Path| {
        path.ancestors().skip(1).all(|parent| names.get(parent) == Some(&Node::Directory))
    };
    let orphans: Vec<_> = names.keys().filter(|path| !has_parents(names, path)).cloned().collect();
    for path in orphans {
        names.remove(&path);
    }
}

fn fold(file: &FileState, is_kept: impl Fn(&Pending<FileEffect>) -> bool) -> Pages {
    let mut pages = file.durable.clone();
    for pending in file.pending.iter().filter(|pending| is_kept(pending)) {
        pending.effect.apply(&mut pages);
    }
    pages
}

/// Everything, but of the newest write only the part that lies in its first so many sectors.
fn torn(file: &FileState, newest_write: Option<u64>, sectors: u32) -> Pages {
    let mut pages = file.durable.clone();
    for pending in &file.pending {
        match &pending.effect {
            FileEffect::Write { offset, bytes } if Some(pending.sequence) == newest_write => {
                let kept = first_sectors(*offset, bytes, sectors);
                pages.write(kept, *offset);
            }
            effect => effect.apply(&mut pages),
        }
    }
    pages
}

/// The part of a write that lies in its first so many sectors.
pub(super) fn first_sectors(offset: u64, bytes: &[u8], sectors: u32) -> &[u8] {
    let sector = SECTOR_BYTES as u64;
    let end = (offset / sector + u64::from(sectors)) * sector;
    let count = end.saturating_sub(offset).min(bytes.len() as u64);
    &bytes[..count as usize]
}

/// How many pages of a file that has grown hold stale bytes, at most.
const STALE_PAGES_MAX: u64 = 3;

/// Each page and the length for itself.
fn mixed(file: &FileState, random: &mut Random) -> Pages {
    if file.pending.is_empty() {
        return file.durable.clone();
    }
    let mut touched: BTreeMap<u64, Vec<&FileEffect>> = BTreeMap::new();
    let mut len = file.durable.len();
    let mut lengths = vec![len];
    for pending in &file.pending {
        match &pending.effect {
            FileEffect::Write { offset, bytes } => {
                each_page(*offset, bytes.len(), |page, _, _| {
                    touched.entry(page).or_default().push(&pending.effect);
                });
                len = len.max(offset + bytes.len() as u64);
            }
            FileEffect::SetLen(bytes) => len = *bytes,
        }
        lengths.push(len);
    }
    // The final length is likelier than the others, so that pages matter.
    lengths.extend([file.current.len(), file.current.len()]);
    let mut pages = file.durable.clone();
    for (number, effects) in &touched {
        let page = mixed_page(file.durable.page(*number), *number, effects, random);
        pages.put_page(*number, &page);
    }
    let len = lengths[random.below(lengths.len() as u64) as usize];
    let first_grown = file.durable.len().div_ceil(PAGE_BYTES as u64);
    let grown = len.div_ceil(PAGE_BYTES as u64).saturating_sub(first_grown);
    for _ in 0..STALE_PAGES_MAX.min(grown) {
        let number = first_grown + random.below(grown);
        if random.one_in(4) && !touched.contains_key(&number) {
            let mut stale = [0; PAGE_BYTES];
            random.fill(&mut stale);
            pages.put_page(number, &stale);
        }
    }
    // Pages were put whatever the length: say first that they count, then cut.
    pages.set_len(pages.len().max(file.current.len()).max(len));
    pages.set_len(len);
    pages
}

/// One page: old, as after some of its writes, new, or torn.
fn mixed_page(old: &Page, number: u64, effects: &[&FileEffect], random: &mut Random) -> Page {
    let after = |count: usize| {
        let mut page = *old;
        let mut written = [false; PAGE_BYTES / SECTOR_BYTES];
        for effect in &effects[..count] {
            let FileEffect::Write { offset, bytes } = effect else { continue };
            each_page(*offset, bytes.len(), |touched, within, part| {
                if touched == number {
                    let sectors = within.start / SECTOR_BYTES..=(within.end - 1) / SECTOR_BYTES;
                    written[sectors].fill(true);
                    page[within].copy_from_slice(&bytes[part]);
                }
            });
        }
        (page, written)
    };
    match random.below(4) {
        0 => *old,
        1 => after(effects.len()).0,
        2 => after(random.below(effects.len() as u64 + 1) as usize).0,
        _ => {
            let (mut page, written) = after(effects.len());
            for (index, sector) in page.chunks_mut(SECTOR_BYTES).enumerate() {
                // What nobody wrote to can't be damaged by writing.
                match random.below(3) {
                    _ if !written[index] => {}
                    0 => {
                        let begin = index * SECTOR_BYTES;
                        sector.copy_from_slice(&old[begin..begin + SECTOR_BYTES]);
                    }
                    1 => random.fill(sector),
                    _ => {}
                }
            }
            page
        }
    }
}

/// Drops what a file's sync would have made durable, as the operating system does when writing it
/// back has failed. Some of it may have reached the disk before.
pub(super) fn forget(file: &mut FileState, random: &mut Random) {
    let pending = std::mem::take(&mut file.pending);
    for pending in &pending {
        if let FileEffect::Write { offset, bytes } = &pending.effect
            && random.one_in(2)
        {
            let sectors = bytes.len().div_ceil(SECTOR_BYTES) as u64 + 1;
            let kept = first_sectors(*offset, bytes, random.below(sectors) as u32);
            let within = file.durable.len().saturating_sub(*offset).min(kept.len() as u64);
            file.durable.write(&Arc::clone(bytes)[..within as usize], *offset);
        }
    }
}
