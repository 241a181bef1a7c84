//! Bytes that rot at rest, anywhere in a data directory: bits that flip, sectors that are gone or in
//! the wrong place, files that end early or are another's.
//!
//! Whatever is damaged, the engine never answers with a wrong value and never panics. It says which
//! file is damaged, at opening or when a read needs it; what lies elsewhere stays readable. Only the
//! end of the log may be gone without a word, as after a power cut: damage with nothing behind it
//! can't be told from a record that was never finished.

use std::{
    ops::ControlFlow,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use plinthdb::{
    engine::Engine,
    random::Random,
    vfs::{SimVfs, Vfs},
};

use super::{
    history::{History, Rows},
    remains::is_deep,
    script::{SPACE, Script, open, rows_at},
};

const SECTOR_BYTES: usize = 512;
const PAGE_BYTES: usize = 4096;

/// One thing that has happened to a file.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Flip {
        offset: usize,
        bit: u8,
    },
    Zero {
        offset: usize,
    },
    Truncate {
        len: usize,
    },
    Swap {
        first: usize,
        second: usize,
    },
    Duplicate {
        from: usize,
        to: usize,
    },
    /// It holds what another file should.
    Exchanged,
    Missing,
}

impl Damage {
    fn inflict(self, disk: &SimVfs, path: &Path, other: &Path) {
        let done = match self {
            Self::Flip { offset, bit } => disk.flip_bit(path, offset, bit),
            Self::Zero { offset } => disk.zero_sector(path, offset),
            Self::Truncate { len } => disk.truncate(path, len),
            Self::Swap { first, second } => disk.swap_pages(path, first, second),
            Self::Duplicate { from, to } => disk.copy_sector(path, from, to),
            Self::Exchanged => disk.bytes(other).and_then(|bytes| disk.put(path, &bytes)),
            Self::Missing => return disk.remove(path).expect("it is there"),
        };
        done.expect("the file is there");
    }
}

/// What can happen to a file of this length; sampled, unless in the deep tier.
fn damages(len: usize, random: &mut Random) -> Vec<Damage> {
    let mut damages = vec![Damage::Exchanged, Damage::Missing];
    if len == 0 {
        return damages;
    }
    let (one_in, bits) = if is_deep() { (1, 12) } else { (2, 1) };
    let below = |end: usize, random: &mut Random| random.below(end as u64) as usize;
    for offset in (0..len).step_by(SECTOR_BYTES) {
        let within = SECTOR_BYTES.min(len - offset);
        if !random.one_in(one_in) {
            continue;
        }
        for _ in 0..bits {
            let offset = offset + below(within, random);
            damages.push(Damage::Flip { offset, bit: below(8, random) as u8 });
        }
        damages.push(Damage::Zero { offset });
        damages.push(Damage::Truncate { len: offset + below(within, random) });
        damages.push(Damage::Duplicate { from: below(len, random), to: offset });
    }
    for first in 0..len / PAGE_BYTES {
        let second = below(len / PAGE_BYTES, random);
        if first != second {
            damages.push(Damage::Swap { first, second });
        }
    }
    damages
}

/// All files of a directory and of those in it, but for the lock.
fn files(disk: &SimVfs, directory: &Path) -> Vec<PathBuf> {
    let names = disk.list(directory).expect("it is a directory");
    let paths = names.into_iter().map(|name| directory.join(name));
    let files = paths.flat_map(|path| match disk.bytes(&path) {
        Ok(_) if path.ends_with("LOCK") => vec![],
        Ok(_) => vec![path],
        Err(_) => files(disk, &path),
    });
    files.collect()
}

/// What the undamaged directory holds.
struct Sound {
    disk: SimVfs,
    /// After each commit; the last is what there should be.
    states: Vec<Rows>,
}

impl Sound {
    fn new(script: u64) -> Self {
        let disk = SimVfs::new();
        let history: History = Script::new(script).run(&disk);
        assert_eq!(history.complaint, None);
        let states = history.states().collect();
        // What was not synced after the end is nobody's.
        Self { disk: disk.restart(), states }
    }

    fn rows(&self) -> &Rows {
        self.states.last().expect("at least the empty one")
    }
}

/// What became of a damaged directory.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) refused: u64,
    pub(crate) in_part: u64,
    pub(crate) whole: u64,
    pub(crate) shorter: u64,
}

/// An error names a file of the directory.
fn check_named(error: &str) -> Result<(), String> {
    let is_named = error.contains("/data/");
    if is_named { Ok(()) } else { Err(format!("no file is named in: {error}")) }
}

/// Opens a damaged directory and compares what it says with what it should.
fn examine(disk: &SimVfs, sound: &Sound, path: &Path, tally: &mut Tally) -> Result<(), String> {
    let engine = match open(disk) {
        Ok(engine) => engine,
        Err(error) => {
            tally.refused += 1;
            return check_named(&error.to_string());
        }
    };
    match rows_at(&engine, engine.read_version()) {
        Ok(rows) if rows == *sound.rows() => tally.whole += 1,
        Ok(rows) => {
            let is_end_of_log = path.starts_with("/data/log") && sound.states.contains(&rows);
            if !is_end_of_log {
                return Err("rows are missing or wrong, and nobody says so".to_owned());
            }
            tally.shorter += 1;
        }
        Err(error) => {
            tally.in_part += 1;
            check_named(&error.to_string())?;
            check_rows_in_part(&engine, sound)?;
        }
    }
    engine.close();
    Ok(())
}

/// Every key that can be read alone has its value.
fn check_rows_in_part(engine: &Engine, sound: &Sound) -> Result<(), String> {
    let version = engine.read_version();
    let reader = engine.reader();
    let keys: std::collections::BTreeSet<&Bytes> =
        sound.states.iter().flat_map(|rows| rows.keys()).collect();
    for key in keys {
        match reader.get(SPACE, key, version) {
            Ok(found) => {
                let value = found.map(|found| found.value);
                if value != sound.rows().get(key).map(|value| &value[..]) {
                    return Err(format!("{key:?} is {value:?}"));
                }
            }
            Err(error) => check_named(&error.to_string())?,
        }
    }
    // Part of a range may be readable too: what is shown before an error is void, but is no panic.
    let all = plinth_protocol::KeyRange::new(Bytes::new(), Bytes::from_static(b"\xFF"));
    let shown = reader.scan(SPACE, &all, version, true, &mut |_, _| ControlFlow::Continue(()));
    shown.err().map_or(Ok(()), |error| check_named(&error.to_string()))
}

/// Damages the directory that a script leaves in every way; says what was wrong about it first.
pub(crate) fn damage_all(script: u64, tally: &mut Tally) -> Result<(), String> {
    let mut random = Random::new(script);
    let sound = Sound::new(script);
    let paths = files(&sound.disk, Path::new("/data"));
    for (index, path) in paths.iter().enumerate() {
        let other = &paths[(index + 1) % paths.len()];
        let len = sound.disk.bytes(path).expect("it is there").len();
        for damage in damages(len, &mut random) {
            let disk = sound.disk.duplicate();
            damage.inflict(&disk, path, other);
            let examine = AssertUnwindSafe(|| examine(&disk, &sound, path, tally));
            let panics = |_| Err("it panics".to_owned());
            panic::catch_unwind(examine).unwrap_or_else(panics).map_err(|complaint| {
                format!("script {script}: {damage:?} of {}: {complaint}", path.display())
            })?;
        }
    }
    Ok(())
}
