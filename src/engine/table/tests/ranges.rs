//! What is known of ranges agrees with the rows, and a sound table verifies.

use plinth_protocol::Version;
use proptest::prelude::*;

use super::model::{Model, key, models, options};
use crate::{
    engine::{key::KeyBuf, table::ReadIo},
    vfs::SimVfs,
};

fn was_written(model: &Model, (begin, end): (&KeyBuf, &KeyBuf), since: Version) -> bool {
    begin < end
        && (model.entries().any(|entry| {
            begin.as_ref() <= entry.key && entry.key < end.as_ref() && entry.stamp.version > since
        }) || model.tombstones.iter().any(|over| {
            over.begin < *end && *begin < over.end && over.stamps.iter().any(|s| s.version > since)
        }))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn written_since(
        model in models(),
        options in options(),
        picks in prop::collection::vec(any::<[prop::sample::Index; 3]>(), 60),
    ) {
        let vfs = SimVfs::new();
        let table = model.write(&vfs, &options);
        let io = ReadIo::waiting();
        let probes: Vec<_> = model.probes().into_iter().collect();
        let versions: Vec<_> = model.versions().into_iter().collect();
        for [begin, end, since] in picks {
            let (begin, end, since) = (begin.get(&probes), end.get(&probes), *since.get(&versions));
            let range = (begin.as_ref(), end.as_ref());
            let written = table.written_since(range, since, &io).unwrap();
            let expected = was_written(&model, (begin, end), since);
            prop_assert_eq!(written, expected, "{:?}..{:?} since {}", begin, end, since);
        }
    }

    #[test]
    fn a_sound_table_verifies(model in models(), options in options()) {
        let vfs = SimVfs::new();
        let table = model.write(&vfs, &options);
        let mut bytes = 0;
        prop_assert_eq!(table.verify(&mut |more| bytes += more), []);
        prop_assert!(bytes > 0 && bytes < table.properties().bytes);
    }

    #[test]
    fn pieces_ascend_within_the_range(
        model in models(),
        options in options(),
        picks in prop::collection::vec(any::<[prop::sample::Index; 2]>(), 20),
    ) {
        let vfs = SimVfs::new();
        let table = model.write(&vfs, &options);
        let io = ReadIo::waiting();
        let probes: Vec<_> = model.probes().into_iter().collect();
        for [begin, end] in picks {
            let (begin, end) = (begin.get(&probes), end.get(&probes));
            let mut seen: Vec<Vec<u8>> = vec![];
            let range = (begin.as_ref(), end.as_ref());
            table.measure(range, &io, &mut |key, _| seen.push(key.to_vec())).unwrap();
            if begin.keyspace == end.keyspace {
                prop_assert!(seen.is_sorted());
                prop_assert!(seen.iter().all(|key| *begin.key <= **key && **key < *end.key));
            }
        }
    }
}

#[test]
fn a_measure_is_about_the_bytes_of_keys_and_values() {
    let mut model = Model::default();
    for at in 0..1000u32 {
        let name = format!("{at:06}");
        model.set(key(0, name.as_bytes()), super::model::stamp(5, 0), Some(&[7; 94]));
    }
    for compression in
        [crate::engine::table::Compression::None, crate::engine::table::Compression::Lz4]
    {
        let options = crate::engine::table::TableOptions { compression, ..Default::default() };
        let vfs = SimVfs::new();
        let table = model.write(&vfs, &options);
        let io = ReadIo::waiting();
        for (begin, end) in [(0, 1000), (0, 1), (5, 17), (100, 900), (500, 1000)] {
            let (low, high) = (format!("{begin:06}"), format!("{end:06}"));
            let mut bytes = 0;
            let range = (key(0, low.as_bytes()), key(0, high.as_bytes()));
            let visit = &mut |_: &[u8], more| bytes += more;
            table.measure((range.0.as_ref(), range.1.as_ref()), &io, visit).unwrap();
            let expected = (end - begin) * 100;
            assert!(bytes.abs_diff(expected) <= 500 + expected / 20, "{begin}..{end}: {bytes}");
        }
    }
}
