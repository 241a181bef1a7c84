//! The core workloads of the Yahoo! Cloud Serving Benchmark, by its own definitions.
//!
//! A record is one value. Each operation is a transaction of its own: a read, an update (a write of
//! a record that exists, without reading it), an insert of the next record, a scan of 1 to 100
//! records, a read and a write of one record.

use crate::cli::bench::keys::{Distribution, Random};

/// The longest scan.
pub(crate) const SCAN_ROWS_MAX: u32 = 100;

/// One of the workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ycsb {
    /// Half reads, half updates.
    A,
    /// 95 % reads, 5 % updates.
    B,
    /// Reads.
    C,
    /// 95 % reads of the latest, 5 % inserts.
    D,
    /// 95 % scans, 5 % inserts.
    E,
    /// Half reads, half reads followed by a write.
    F,
}

/// What one operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Read,
    Update,
    Insert,
    Scan,
    ReadModifyWrite,
}

impl Ycsb {
    /// All of them, with their names.
    pub(crate) const ALL: [(&'static str, Self); 6] = [
        ("ycsb-a", Self::A),
        ("ycsb-b", Self::B),
        ("ycsb-c", Self::C),
        ("ycsb-d", Self::D),
        ("ycsb-e", Self::E),
        ("ycsb-f", Self::F),
    ];

    /// As on the command line.
    pub(crate) fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, ycsb)| *ycsb == self).map_or("ycsb", |(name, _)| name)
    }

    /// Which records are picked, unless told otherwise.
    pub(crate) fn distribution(self) -> Distribution {
        match self {
            Self::D => Distribution::Latest,
            _ => Distribution::Zipfian,
        }
    }

    /// The two kinds of operations, and how many in a hundred are of the first.
    fn mix(self) -> (u64, Kind, Kind) {
        match self {
            Self::A => (50, Kind::Read, Kind::Update),
            Self::B => (95, Kind::Read, Kind::Update),
            Self::C => (100, Kind::Read, Kind::Read),
            Self::D => (95, Kind::Read, Kind::Insert),
            Self::E => (95, Kind::Scan, Kind::Insert),
            Self::F => (50, Kind::Read, Kind::ReadModifyWrite),
        }
    }

    /// What the next operation does.
    pub(crate) fn draw(self, random: &mut Random) -> Kind {
        let (percent, most, rest) = self.mix();
        if random.below(100) < percent { most } else { rest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_come_in_the_proportions_of_the_definition() {
        let expected = [
            (Ycsb::A, [50, 50, 0, 0, 0]),
            (Ycsb::B, [95, 5, 0, 0, 0]),
            (Ycsb::C, [100, 0, 0, 0, 0]),
            (Ycsb::D, [95, 0, 5, 0, 0]),
            (Ycsb::E, [0, 0, 5, 95, 0]),
            (Ycsb::F, [50, 0, 0, 0, 50]),
        ];
        assert_eq!(expected.map(|(ycsb, _)| ycsb), Ycsb::ALL.map(|(_, ycsb)| ycsb));
        for (ycsb, percents) in expected {
            let mut random = Random::new(9);
            let mut seen = [0_u32; 5];
            for _ in 0..100_000 {
                seen[ycsb.draw(&mut random) as usize] += 1;
            }
            for (seen, percent) in seen.into_iter().zip(percents) {
                // Four standard deviations of half and half, and nothing where nothing is due.
                assert!(seen.abs_diff(percent * 1_000) <= 640, "{ycsb:?} {percent}: {seen}");
                assert_eq!(seen == 0, percent == 0, "{ycsb:?}");
            }
        }
    }
}
