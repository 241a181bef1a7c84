//! What the simulated disk forgets, and when.

use std::{io, path::Path, sync::Arc};

use super::{pages::PAGE_BYTES, *};
use crate::{
    clock::{Clock, ManualClock},
    vfs::{Advice, File, Region, Vfs},
};

const FILE: &str = "/a.log";

fn plan(line: &str) -> FaultPlan {
    line.parse().unwrap()
}

/// A disk with one durable file of two pages of ones.
fn disk() -> (SimVfs, Box<dyn File>) {
    let vfs = SimVfs::new();
    let file = vfs.create(Path::new(FILE)).unwrap();
    file.write_all_at(&[1; 2 * PAGE_BYTES], 0).unwrap();
    file.sync_data().unwrap();
    vfs.sync_directory(Path::new("/")).unwrap();
    vfs.set_plan(FaultPlan::default());
    (vfs, file)
}

fn kept(vfs: &SimVfs, keep: Keep, seed: u64) -> Vec<u8> {
    vfs.after_cut(keep, KeepNames::Prefix, seed).bytes(Path::new(FILE)).unwrap()
}

#[test]
fn what_was_synced_stays_and_the_rest_is_as_kept() {
    let (vfs, file) = disk();
    file.write_all_at(&[2; 1024], 0).unwrap();
    file.write_all_at(&[3; 1024], 4096).unwrap();
    assert_eq!(kept(&vfs, Keep::Nothing, 0), [1; 2 * PAGE_BYTES]);
    let all = kept(&vfs, Keep::Everything, 0);
    assert_eq!((all[0], all[1024], all[4096]), (2, 1, 3));
    let newest = kept(&vfs, Keep::Newest, 0);
    assert_eq!((newest[0], newest[4096]), (1, 3));
    let torn = kept(&vfs, Keep::Torn { sectors: 1 }, 0);
    assert_eq!((torn[0], torn[4096], torn[4607], torn[4608]), (2, 3, 3, 1));
    file.sync_data().unwrap();
    assert_eq!(kept(&vfs, Keep::Nothing, 0), all);
}

#[test]
fn a_random_cut_can_leave_later_writes_without_earlier_ones_and_spares_what_was_not_written() {
    let (vfs, file) = disk();
    file.write_all_at(&[2; 600], 0).unwrap();
    file.write_all_at(&[3; 600], 4096).unwrap();
    file.set_len(3 * PAGE_BYTES as u64).unwrap();
    let (mut later_alone, mut short, mut garbage, mut stale) = (false, false, false, false);
    for seed in 0..300 {
        let bytes = kept(&vfs, Keep::Random, seed);
        assert_eq!(bytes, kept(&vfs, Keep::Random, seed), "the seed decides");
        assert_eq!(bytes[1024..4096], [1; 3072], "sectors that nobody wrote");
        later_alone |= bytes[0] == 1 && bytes[4096] == 3;
        short |= bytes.len() == 2 * PAGE_BYTES;
        garbage |= bytes[0] > 3;
        stale |=
            bytes.get(2 * PAGE_BYTES..).is_some_and(|grown| grown.iter().any(|&byte| byte != 0));
    }
    assert!(later_alone && short && garbage && stale);
}

#[test]
fn a_name_needs_its_directory_synced() {
    let (vfs, _) = disk();
    let (new, other) = (Path::new("/b.log"), Path::new("/c.log"));
    let file = vfs.create(new).unwrap();
    file.write_all_at(b"b", 0).unwrap();
    file.sync_all().unwrap();
    let lost = vfs.after_cut(Keep::Nothing, KeepNames::Prefix, 0);
    assert_eq!(lost.bytes(new).unwrap_err().kind(), io::ErrorKind::NotFound);
    vfs.sync_directory(Path::new("/")).unwrap();
    assert_eq!(vfs.restart().bytes(new).unwrap(), b"b");
    vfs.rename(new, Path::new(FILE)).unwrap();
    assert_eq!(kept(&vfs, Keep::Nothing, 0), [1; 2 * PAGE_BYTES]);
    assert_eq!(kept(&vfs, Keep::Everything, 0), b"b");
    assert!(vfs.rename(new, other).is_err());
    vfs.create_directory(Path::new("/d")).unwrap();
    let inner = vfs.create(Path::new("/d/e.log")).unwrap();
    inner.sync_all().unwrap();
    vfs.sync_directory(Path::new("/d")).unwrap();
    assert!(!vfs.restart().exists(Path::new("/d/e.log")).unwrap(), "its directory was not synced");
}

#[test]
fn a_failed_sync_forgets_and_the_next_one_succeeds() {
    let (vfs, file) = disk();
    vfs.set_plan(plan("seed=1 log.sync_data#1=eio"));
    file.write_all_at(&[2; PAGE_BYTES], 0).unwrap();
    assert_eq!(file.sync_data().unwrap_err().kind(), input_output_error().kind());
    file.sync_data().unwrap();
    let seen = vfs.bytes(Path::new(FILE)).unwrap();
    assert_eq!(seen[..PAGE_BYTES], [2; PAGE_BYTES], "the page cache still has it");
    let durable = kept(&vfs, Keep::Everything, 0);
    assert_ne!(durable[..PAGE_BYTES], [2; PAGE_BYTES], "the disk has not");
}

#[test]
fn a_lying_sync_has_done_nothing() {
    let (vfs, file) = disk();
    vfs.set_plan(plan("1=eio 3=lie"));
    assert!(file.write_all_at(&[2; 8], 0).is_err());
    file.write_all_at(&[2; 8], 0).unwrap();
    file.sync_data().unwrap();
    assert_eq!(kept(&vfs, Keep::Nothing, 0)[0], 1);
}

#[test]
fn space_runs_out_in_the_middle_of_a_write() {
    let (vfs, file) = disk();
    vfs.set_plan(plan("space=10000"));
    let error = file.write_all_at(&[2; 4000], 8000).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(file.len().unwrap(), 10_000);
    assert_eq!(file.allocate(10_001).unwrap_err().kind(), io::ErrorKind::StorageFull);
    file.write_all_at(&[3; 100], 0).unwrap();
}

#[test]
fn power_is_cut_before_during_or_after_a_call_and_everything_fails_from_then_on() {
    let mut parts = 0;
    for seed in 0..20 {
        for fault in ["cut-before", "cut-during", "cut-after"] {
            let (vfs, file) = disk();
            vfs.set_plan(plan(&format!("seed={seed} log.write#1={fault}")));
            assert!(file.write_all_at(&[2; 2048], 0).is_err());
            assert!(vfs.is_cut() && file.sync_data().is_err() && file.len().is_err());
            let bytes = kept(&vfs, Keep::Everything, 0);
            let written = bytes.iter().position(|&byte| byte == 1).unwrap();
            match fault {
                "cut-before" => assert_eq!(written, 0),
                "cut-after" => assert_eq!(written, 2048),
                _ => parts += usize::from(written > 0 && written < 2048),
            }
        }
    }
    assert!(parts > 0);
}

#[test]
fn chance_follows_from_the_seed() {
    let run = |seed: u64| {
        let (vfs, file) = disk();
        vfs.set_plan(plan(&format!("seed={seed} *~3=eio")));
        (0..50).map(|_| file.write_all_at(&[2; 8], 0).is_err()).collect::<Vec<_>>()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
    let failed = run(1).iter().filter(|failed| **failed).count();
    assert!((5..30).contains(&failed), "{failed}");
}

#[test]
fn locks_exclude_and_calls_are_counted_by_number_and_label() {
    let (vfs, file) = disk();
    let lock = vfs.lock(Path::new("/LOCK")).unwrap();
    assert_eq!(vfs.lock(Path::new("/LOCK")).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    drop(lock);
    vfs.lock(Path::new("/LOCK")).unwrap();
    file.write_all_at(b"x", 0).unwrap();
    file.sync_data().unwrap();
    assert_eq!(vfs.calls(), 2);
    assert_eq!(vfs.labels()["log.sync_data"], 1);
    assert_eq!(vfs.labels()["lock.lock"], 3);
    assert_eq!(
        vfs.numbered_labels().iter().map(|label| &**label).collect::<Vec<_>>(),
        ["log.write", "log.sync_data"]
    );
}

#[test]
fn bytes_rot_at_rest() {
    let (vfs, _) = disk();
    let path = Path::new(FILE);
    vfs.flip_bit(path, 100, 3).unwrap();
    vfs.zero_sector(path, 5000).unwrap();
    let bytes = vfs.restart().bytes(path).unwrap();
    assert_eq!((bytes[100], bytes[4607], bytes[4608], bytes[5119]), (9, 1, 0, 0));
    vfs.swap_pages(path, 0, 1).unwrap();
    assert_eq!(vfs.bytes(path).unwrap()[4196], 9);
}

#[test]
fn damage_stays_within_the_file() {
    let (vfs, _) = disk();
    let path = Path::new(FILE);
    let numbers: Vec<u8> = (0..5000_u32).map(|number| (number / 512) as u8).collect();
    vfs.put(path, &numbers).unwrap();
    vfs.swap_pages(path, 0, 1).unwrap();
    let bytes = vfs.bytes(path).unwrap();
    assert_eq!((bytes.len(), bytes[0], bytes[903], bytes[904], bytes[4096]), (5000, 8, 9, 1, 0));
    vfs.copy_sector(path, 2000, 4700).unwrap();
    assert_eq!(vfs.bytes(path).unwrap()[4607..], [&[0][..], &[3; 392]].concat());
    vfs.truncate(path, 10).unwrap();
    assert_eq!(vfs.restart().bytes(path).unwrap(), [8; 10]);
}

#[test]
fn a_link_needs_its_directory_synced_and_keeps_the_bytes_when_the_other_name_goes() {
    let (vfs, file) = disk();
    let (archive, other) = (Path::new("/archive"), Path::new("/archive/a.log"));
    vfs.create_directory(archive).unwrap();
    vfs.sync_directory(Path::new("/")).unwrap();
    vfs.link(Path::new(FILE), other).unwrap();
    assert_eq!(vfs.link(Path::new(FILE), other).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    assert!(!vfs.restart().exists(other).unwrap(), "the directory was not synced");
    vfs.sync_directory(archive).unwrap();
    vfs.remove(Path::new(FILE)).unwrap();
    vfs.sync_directory(Path::new("/")).unwrap();
    file.write_all_at(b"later", 0).unwrap();
    assert_eq!(vfs.restart().bytes(other).unwrap(), [1; 2 * PAGE_BYTES]);
    file.sync_data().unwrap();
    assert_eq!(vfs.restart().bytes(other).unwrap()[..5], *b"later");
    assert_eq!(vfs.duplicate().bytes(other).unwrap()[..5], *b"later");
    let full = vfs.remove_directory(archive).unwrap_err();
    assert_eq!(full.kind(), io::ErrorKind::DirectoryNotEmpty);
    vfs.remove(other).unwrap();
    vfs.remove_directory(archive).unwrap();
    assert!(vfs.restart().exists(archive).unwrap(), "its removal was not synced");
    vfs.sync_directory(Path::new("/")).unwrap();
    assert!(!vfs.restart().exists(archive).unwrap());
    assert_eq!(vfs.labels()["log.link"], 2);
}

#[test]
fn names_do_not_cross_file_systems() {
    let (vfs, _) = disk();
    vfs.create_directory(Path::new("/mnt")).unwrap();
    vfs.mount(Path::new("/mnt"));
    let error = vfs.link(Path::new(FILE), Path::new("/mnt/a.log")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::CrossesDevices);
    vfs.create(Path::new("/mnt/b.log")).unwrap();
    vfs.link(Path::new("/mnt/b.log"), Path::new("/mnt/c.log")).unwrap();
}

#[test]
fn a_link_takes_no_space_and_what_is_free_is_told() {
    let (vfs, _) = disk();
    vfs.set_plan(plan("space=10000"));
    assert_eq!(vfs.free_bytes(Path::new("/")).unwrap(), 10_000 - 2 * PAGE_BYTES as u64);
    vfs.link(Path::new(FILE), Path::new("/b.log")).unwrap();
    assert_eq!(vfs.free_bytes(Path::new("/b.log")).unwrap(), 10_000 - 2 * PAGE_BYTES as u64);
    vfs.remove(Path::new(FILE)).unwrap();
    vfs.remove(Path::new("/b.log")).unwrap();
    assert_eq!(vfs.free_bytes(Path::new("/")).unwrap(), 10_000);
    let missing = vfs.free_bytes(Path::new("/b.log")).unwrap_err();
    assert_eq!(missing.kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_file_that_is_opened_for_reading_is_not_written_to() {
    let (vfs, _) = disk();
    let file = vfs.open_for_reading(Path::new(FILE)).unwrap();
    let error = file.write_all_at(b"x", 0).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    assert!(file.allocate(1 << 20).is_err() && file.set_len(0).is_err());
    assert_eq!(file.len().unwrap(), 2 * PAGE_BYTES as u64);
}

fn is_cold(region: &Region, page: usize) -> bool {
    !region.is_resident(page * PAGE_BYTES..page * PAGE_BYTES + 1)
}

#[test]
fn pages_of_a_mapped_file_are_cold_as_the_plan_says_until_they_are_read() {
    let (vfs, file) = disk();
    file.write_all_at(&vec![2; 100 * PAGE_BYTES], 0).unwrap();
    let region = file.map().unwrap();
    region.advise(0..1, Advice::WillNeed);
    assert!((0..100).all(|page| !is_cold(&region, page)), "nothing is cold without a plan");
    assert!(region.is_resident(0..region.len()) && !region.is_resident(0..region.len() + 1));
    drop(region);
    vfs.set_plan(plan("seed=5 cold=3"));
    let region = file.map().unwrap();
    let cold: Vec<usize> = (0..100).filter(|page| is_cold(&region, *page)).collect();
    assert!((20..50).contains(&cold.len()), "{cold:?}");
    assert_eq!(region[..], vfs.bytes(Path::new(FILE)).unwrap()[..]);
    let page = cold[0];
    file.read_exact_at(&mut [0; 2], (page * PAGE_BYTES) as u64 + 7).unwrap();
    assert!(!is_cold(&region, page) && is_cold(&region, cold[1]));
    file.uncache(0..u64::MAX);
    assert!((0..100).all(|page| is_cold(&region, page)));
    let again = vfs.open_for_reading(Path::new(FILE)).unwrap().map().unwrap();
    assert!(is_cold(&again, page), "what is in memory is the same for all");
}

#[test]
#[should_panic(expected = "/a.log is written to while it is mapped")]
fn writing_to_a_mapped_file_is_caught() {
    let (_vfs, file) = disk();
    let _region = file.map().unwrap();
    _ = file.write_all_at(b"x", 0);
}

#[test]
fn a_slow_call_takes_its_time_on_the_disks_clock() {
    let (vfs, file) = disk();
    let clock = Arc::new(ManualClock::new(0));
    vfs.set_clock(&clock);
    vfs.set_plan(plan("log.sync_data#2=slow:1500"));
    file.sync_data().unwrap();
    assert_eq!(clock.monotonic_micros(), 0);
    file.sync_data().unwrap();
    assert_eq!(clock.monotonic_micros(), 1500);
}

#[test]
fn disks_have_the_same_fingerprint_if_they_hold_the_same() {
    let (vfs, file) = disk();
    let before = vfs.fingerprint();
    assert_eq!(vfs.restart().fingerprint(), before);
    file.write_all_at(&[0; 8], 3 * PAGE_BYTES as u64).unwrap();
    let longer = vfs.fingerprint();
    file.set_len(0).unwrap();
    let empty = vfs.fingerprint();
    vfs.put(Path::new("/b.log"), b"").unwrap();
    let with_another = vfs.fingerprint();
    assert!(longer != before && empty != longer && empty != before && with_another != empty);
    vfs.put(Path::new(FILE), &[1; 2 * PAGE_BYTES]).unwrap();
    vfs.remove(Path::new("/b.log")).unwrap();
    assert_eq!(vfs.fingerprint(), before, "however it came about");
    let with_checksum = |text: &[u8; 4]| {
        let bytes = [&text[..], &crc32fast::hash(text).to_le_bytes()].concat();
        vfs.put(Path::new(FILE), &bytes).unwrap();
        vfs.fingerprint()
    };
    assert_ne!(with_checksum(b"abcd"), with_checksum(b"efgh"));
}
