//! The filter: which keys a table certainly doesn't have.
//!
//! A Bloom filter in blocks. A key's hash chooses one line of 64 bytes, eight words, and sets or
//! looks at one bit in each word; so a question costs one cache line. With ten bits a key, about one
//! absent key in a hundred passes.

use crate::engine::{key::KeyRef, prefetch::prefetch_lines};

const LINE_BYTES: usize = 64;
const WORDS: usize = 8;

// Odd numbers without pattern: the fractional digits of the square roots of 2, 3, 5 and 7.
const MULTIPLIERS: [u64; 4] =
    [0x6A09_E667_F3BC_C909, 0xBB67_AE85_84CA_A73B, 0x3C6E_F372_FE94_F82B, 0xA54F_F53A_5F1D_36F1];

/// The halves of the product of both, one upon the other.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// The hash of a key, as it is in files.
#[inline]
pub(in crate::engine) fn hash(key: KeyRef<'_>) -> u64 {
    let [first, second, third, last] = MULTIPLIERS;
    let mut state = first ^ u64::from(key.keyspace.0) ^ (key.key.len() as u64) << 32;
    let (chunks, rest) = key.key.as_chunks::<16>();
    let mix = |state: u64, chunk: &[u8; 16]| {
        let number = u128::from_le_bytes(*chunk);
        fold(number as u64 ^ second, (number >> 64) as u64 ^ state)
    };
    for chunk in chunks {
        state = mix(state, chunk);
    }
    if !rest.is_empty() {
        let mut chunk = [0; 16];
        for (to, from) in chunk.iter_mut().zip(rest) {
            *to = *from;
        }
        state = mix(state, &chunk);
    }
    fold(state ^ third, last)
}

/// Of so many lines, the one of this hash.
#[inline]
fn line_of(hash: u64, lines: usize) -> usize {
    ((u128::from(hash) * lines as u128) >> 64) as usize
}

/// The bit in each word, six bits of a second hash each.
#[inline]
fn masks(hash: u64) -> [u64; WORDS] {
    let [_, second, third, _] = MULTIPLIERS;
    let bits = fold(hash ^ second, third);
    std::array::from_fn(|word| 1 << (bits >> (6 * word) & 63))
}

/// The filter of keys with these hashes.
pub(super) fn build(hashes: &[u64], bits_per_key: u32, out: &mut Vec<u8>) {
    let bits = hashes.len() as u64 * u64::from(bits_per_key);
    let count = usize::try_from(bits.div_ceil(8 * LINE_BYTES as u64)).unwrap_or(usize::MAX).max(1);
    let mut lines = vec![[0u64; WORDS]; count];
    for &hash in hashes {
        if let Some(line) = lines.get_mut(line_of(hash, count)) {
            for (word, mask) in line.iter_mut().zip(masks(hash)) {
                *word |= mask;
            }
        }
    }
    out.extend(lines.iter().flatten().flat_map(|word| word.to_le_bytes()));
}

/// Begins to fetch what [`may_contain`] will look at.
#[inline]
pub(super) fn prefetch(filter: &[u8], hash: u64) {
    let (lines, _) = filter.as_chunks::<LINE_BYTES>();
    if let Some(line) = lines.get(line_of(hash, lines.len())) {
        prefetch_lines(line);
    }
}

/// Whether the keys of the filter may have one with this hash.
#[inline]
pub(super) fn may_contain(filter: &[u8], hash: u64) -> bool {
    let (lines, _) = filter.as_chunks::<LINE_BYTES>();
    let Some(line) = lines.get(line_of(hash, lines.len())) else { return true };
    let (words, _) = line.as_chunks::<8>();
    let missing = words
        .iter()
        .zip(masks(hash))
        .fold(0, |missing, (word, mask)| missing | (!u64::from_le_bytes(*word) & mask));
    missing == 0
}

#[cfg(test)]
mod tests {
    use plinth_protocol::KeyspaceId;

    use super::*;

    fn key_hash(at: u64) -> u64 {
        hash(KeyRef::new(KeyspaceId(0), format!("user{at:012}").as_bytes()))
    }

    #[test]
    fn every_key_passes_and_few_others_do() {
        let hashes: Vec<u64> = (0..100_000).map(key_hash).collect();
        let mut filter = vec![];
        build(&hashes, 10, &mut filter);
        assert_eq!(filter.len() % LINE_BYTES, 0);
        assert!(filter.len() * 8 <= 10 * hashes.len() + 512);
        assert!(hashes.iter().all(|&hash| may_contain(&filter, hash)));
        let wrong = (100_000..200_000).filter(|&at| may_contain(&filter, key_hash(at))).count();
        assert!(wrong < 1800, "{wrong} of 100000 absent keys pass");
    }

    #[test]
    fn keyspaces_lengths_and_every_byte_count() {
        let of = |keyspace, key: &[u8]| hash(KeyRef::new(KeyspaceId(keyspace), key));
        assert_ne!(of(0, b"a"), of(1, b"a"));
        assert_ne!(of(0, b""), of(0, b"\0"));
        for len in 1..40 {
            let key = vec![7; len];
            for at in 0..len {
                let mut other = key.clone();
                other[at] ^= 1;
                assert_ne!(of(0, &key), of(0, &other), "byte {at} of {len}");
            }
        }
    }

    #[test]
    fn no_filter_lets_everything_pass() {
        assert!(may_contain(&[], 5));
    }
}
