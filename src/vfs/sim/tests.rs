//! What the simulated disk forgets, and when.

use std::{io, path::Path};

use super::*;

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
