//! A log on the simulated disk, driven by the input: appends, syncs, restarts, power cuts, failing
//! calls, damage at rest, and records forged with the right checksums.
//!
//! Until something is damaged, recovery gives a prefix of what was appended that holds all that was
//! synced. After damage it fails or gives a prefix. After a forgery it may give anything, or fail.
//! It never panics.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use plinth_protocol::{KeyspaceId, Version};
use plinthdb::{
    engine::{
        wal::{Log, LogError, LogOptions, LogRecord, LogStart, RecordEncoder},
        write::{CommittedTransaction, Write},
    },
    vfs::{
        SimVfs, Vfs,
        sim::{FaultPlan, Keep, KeepNames},
    },
};

/// Each step is one byte and its operands; so many are done at most.
const STEPS_MAX: usize = 64;
const SEGMENT_HEADER: usize = 512;

/// How far the disk can still be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trust {
    Sound,
    Damaged,
    Forged,
}

struct Run {
    vfs: SimVfs,
    log: Option<Log>,
    appended: Vec<LogRecord>,
    acknowledged: usize,
    trust: Trust,
}

pub(crate) fn log_recovery(data: &[u8]) {
    let mut run = Run {
        vfs: SimVfs::new(),
        log: None,
        appended: Vec::new(),
        acknowledged: 0,
        trust: Trust::Sound,
    };
    run.recover();
    let mut input = data.iter().copied();
    for _ in 0..STEPS_MAX {
        let Some(step) = input.next() else { break };
        run.step(step, &mut input);
    }
    run.log = None;
    run.vfs.set_plan(FaultPlan::default());
    run.recover();
}

fn number(input: &mut dyn Iterator<Item = u8>) -> usize {
    usize::from(u16::from_le_bytes([input.next().unwrap_or(0), input.next().unwrap_or(0)]))
}

impl Run {
    fn step(&mut self, step: u8, input: &mut dyn Iterator<Item = u8>) {
        match step % 12 {
            0..=2 => self.append(number(input) % 9000),
            3 => self.sync(),
            4 => {
                self.log = None;
                self.vfs.set_plan(FaultPlan::default());
                self.recover();
            }
            5 | 6 => {
                let keep = match input.next().unwrap_or(0) % 5 {
                    0 => Keep::Nothing,
                    1 => Keep::Everything,
                    2 => Keep::Newest,
                    3 => Keep::Torn { sectors: u32::from(input.next().unwrap_or(0) % 8) },
                    _ => Keep::Random,
                };
                let names = if step % 12 == 5 { KeepNames::Prefix } else { KeepNames::Any };
                let seed = number(input) as u64;
                self.log = None;
                self.vfs = self.vfs.after_cut(keep, names, seed);
                self.recover();
            }
            7 => {
                let call = input.next().unwrap_or(0);
                let fault = ["eio", "short", "enospc", "cut-before", "cut-during", "cut-after"];
                let fault = fault[usize::from(input.next().unwrap_or(0)) % fault.len()];
                let line = format!("seed={call} {call}={fault}");
                self.vfs.set_plan(line.parse().expect("a plan as its page says"));
            }
            8 => self.damage(number(input), |bytes, at| bytes[at] ^= 1 << (at % 8)),
            9 => self.damage(number(input), |bytes, at| {
                let begin = at / 512 * 512;
                let end = bytes.len().min(begin + 512);
                bytes[begin..end].fill(0);
            }),
            10 => {
                let (to, count) = (number(input), number(input));
                self.damage(number(input), |bytes, at| {
                    let to = to % bytes.len();
                    bytes.copy_within(at..at + count.min(bytes.len() - at.max(to)), to);
                });
            }
            _ => self.forge(input),
        }
    }

    fn append(&mut self, value_bytes: usize) {
        let Some(log) = &mut self.log else { return };
        let version = self.appended.len() as u64 + 1;
        let record = if value_bytes % 7 == 3 {
            LogRecord::Ceiling(Version(version * 100))
        } else {
            LogRecord::Batch(vec![CommittedTransaction {
                version: Version(version),
                order: 0,
                idempotency_id: None,
                committed_at_ms: 0,
                writes: vec![Write::Set {
                    keyspace: KeyspaceId::DEFAULT,
                    key: Bytes::from(version.to_string()),
                    value: vec![b'v'; value_bytes].into(),
                }],
            }])
        };
        let mut encoder = RecordEncoder::new();
        let result = match &record {
            LogRecord::Batch(transactions) => encoder.batch(transactions),
            LogRecord::Ceiling(ceiling) => encoder.ceiling(*ceiling),
        };
        assert!(result.is_ok(), "{result:?}");
        let appended = log.append(&mut encoder);
        if !matches!(appended, Err(LogError::Stopped { .. } | LogError::OutOfOrder { .. })) {
            self.appended.push(record);
        }
    }

    fn sync(&mut self) {
        if let Some(log) = &mut self.log
            && log.sync().is_ok()
        {
            self.acknowledged = self.appended.len();
        }
    }

    fn recover(&mut self) {
        if self.vfs.is_cut() {
            self.vfs = self.vfs.restart();
        }
        let mut records = Vec::new();
        let options = LogOptions {
            segment_bytes: 4096,
            zero_fill_bytes: 1024,
            seed: 1,
            reads_ahead: false,
            ..LogOptions::default()
        };
        let vfs: Arc<dyn Vfs> = Arc::new(self.vfs.clone());
        let recovered =
            Log::recover(&vfs, Path::new("/log"), options, LogStart::default(), &mut |record| {
                records.push(record);
                Ok(())
            });
        let is_prefix = self.appended.starts_with(&records);
        assert!(is_prefix || self.trust == Trust::Forged, "a wrong record");
        match recovered {
            Ok((log, _)) => {
                let is_complete = records.len() >= self.acknowledged;
                assert!(is_complete || self.trust > Trust::Sound, "a record is missing");
                // Recovery has made them durable, whatever they were before.
                self.acknowledged = records.len();
                self.appended = records;
                self.log = Some(log);
            }
            Err(error) => {
                assert!(self.trust > Trust::Sound, "{error}");
                self.log = None;
            }
        }
    }

    /// Changes the newest segment, or with an odd place the first one.
    fn damage(&mut self, place: usize, change: impl FnOnce(&mut [u8], usize)) {
        let names = self.vfs.list(Path::new("/log")).unwrap_or_default();
        let mut logs = names.iter().filter(|name| name.to_string_lossy().ends_with(".log"));
        let name = if place.is_multiple_of(2) { logs.next_back() } else { logs.next() };
        let Some(name) = name else { return };
        let path = Path::new("/log").join(name);
        let Ok(mut bytes) = self.vfs.bytes(&path) else { return };
        if !bytes.is_empty() {
            let at = place / 2 % bytes.len();
            change(&mut bytes, at);
            assert!(self.vfs.put(&path, &bytes).is_ok());
            self.trust = self.trust.max(Trust::Damaged);
        }
    }

    /// Puts one record of any type with any body, and with the right checksums, into an otherwise
    /// empty log. What is written here is what `docs/format.md` says.
    fn forge(&mut self, input: &mut dyn Iterator<Item = u8>) {
        let record_type = input.next().unwrap_or(0) % 4;
        let (first, last) = (number(input) as u64, number(input) as u64);
        let body: Vec<u8> = input.take(512).collect();
        let path = Path::new("/log/0000000000000001.log");
        let Ok(segment) = self.vfs.bytes(path) else { return };
        let Some(salt) = segment.get(40..48) else { return };
        let mut record = vec![];
        record.extend_from_slice(&(body.len() as u32).to_le_bytes());
        record.extend_from_slice(&crc32fast_of(&[&body]).to_le_bytes());
        record.extend_from_slice(&[0; 4]);
        record.extend_from_slice(&[record_type, 0, 0, 0]);
        record.extend_from_slice(&0_u64.to_le_bytes());
        record.extend_from_slice(&first.to_le_bytes());
        record.extend_from_slice(&last.to_le_bytes());
        let offset = (SEGMENT_HEADER as u64).to_le_bytes();
        let crc = crc32fast_of(&[salt, &offset, &record]);
        let mut forged = segment[..SEGMENT_HEADER].to_vec();
        forged.extend_from_slice(b"PLRC");
        forged.extend_from_slice(&crc.to_le_bytes());
        forged.extend_from_slice(&record);
        forged.extend_from_slice(&body);
        forged.resize(4096, 0);
        self.log = None;
        self.trust = Trust::Forged;
        for name in self.vfs.list(Path::new("/log")).unwrap_or_default() {
            if self.vfs.remove(&Path::new("/log").join(name)).is_err() {
                return;
            }
        }
        assert!(self.vfs.put(path, &forged).is_ok());
        self.recover();
    }
}

fn crc32fast_of(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}
