//! What each atomic operation computes, byte for byte as FoundationDB does.
//!
//! The client applies them to writes of its own that it reads back; the engine applies them at
//! commit. Both use this one function, so that the two can't differ.

use bytes::{BufMut, Bytes, BytesMut};

use crate::mutation::AtomicOp;

impl AtomicOp {
    /// The value after the operation; `None` if the key is then absent.
    ///
    /// `existing` is the value before, if there is one; `value_bytes_max` bounds what
    /// [`AtomicOp::AppendIfFits`] may grow to.
    pub fn apply(
        self,
        existing: Option<&[u8]>,
        operand: &Bytes,
        value_bytes_max: usize,
    ) -> Option<Bytes> {
        let value = match (self, existing) {
            (Self::CompareAndClear, None) => return None,
            (Self::CompareAndClear, Some(old)) => {
                return (old != operand.as_ref()).then(|| Bytes::copy_from_slice(old));
            }
            (Self::AndV1 | Self::MinV1, None) => Bytes::from(vec![0; operand.len()]),
            (_, None) => operand.clone(),
            (Self::Add, Some(old)) => add(old, operand),
            (Self::And | Self::AndV1, Some(old)) => zip_padded(old, operand, |a, b| a & b),
            (Self::Or, Some(old)) => zip_padded(old, operand, |a, b| a | b),
            (Self::Xor, Some(old)) => zip_padded(old, operand, |a, b| a ^ b),
            (Self::AppendIfFits, Some(old)) => append(old, operand, value_bytes_max),
            (Self::Max, Some(old)) => pick(old, operand, std::cmp::Ordering::Greater),
            (Self::Min | Self::MinV1, Some(old)) => pick(old, operand, std::cmp::Ordering::Less),
            (Self::ByteMax, Some(old)) => Bytes::copy_from_slice(old.max(operand)),
            (Self::ByteMin, Some(old)) => Bytes::copy_from_slice(old.min(operand)),
        };
        Some(value)
    }
}

/// `old` cut or padded with zeros to the operand's length, paired with the operand's bytes.
fn padded<'a>(old: &'a [u8], operand: &'a [u8]) -> impl DoubleEndedIterator<Item = (u8, u8)> + 'a {
    operand.iter().enumerate().map(|(i, &b)| (old.get(i).copied().unwrap_or(0), b))
}

fn zip_padded(old: &[u8], operand: &[u8], combine: impl Fn(u8, u8) -> u8) -> Bytes {
    padded(old, operand).map(|(a, b)| combine(a, b)).collect()
}

fn add(old: &[u8], operand: &[u8]) -> Bytes {
    let mut carry = false;
    padded(old, operand)
        .map(|(a, b)| {
            let (sum, first) = a.overflowing_add(b);
            let (sum, second) = sum.overflowing_add(u8::from(carry));
            carry = first || second;
            sum
        })
        .collect()
}

fn append(old: &[u8], operand: &[u8], value_bytes_max: usize) -> Bytes {
    if old.len() + operand.len() > value_bytes_max {
        return Bytes::copy_from_slice(old);
    }
    let mut joined = BytesMut::with_capacity(old.len() + operand.len());
    joined.put_slice(old);
    joined.put_slice(operand);
    joined.freeze()
}

/// The one of `old` (padded) and `operand` that compares as `wanted` to the other, as
/// little-endian numbers; the operand's length either way.
fn pick(old: &[u8], operand: &Bytes, wanted: std::cmp::Ordering) -> Bytes {
    let order = padded(old, operand)
        .rev()
        .map(|(a, b)| a.cmp(&b))
        .find(|order| order.is_ne())
        .unwrap_or(std::cmp::Ordering::Equal);
    if order == wanted { zip_padded(old, operand, |a, _| a) } else { operand.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(op: AtomicOp, existing: Option<&[u8]>, operand: &'static [u8]) -> Option<Vec<u8>> {
        op.apply(existing, &Bytes::from_static(operand), 8).map(|value| value.to_vec())
    }

    #[test]
    fn add_is_little_endian_and_wraps_at_the_operands_length() {
        assert_eq!(apply(AtomicOp::Add, Some(&[255, 0]), &[1, 0]), Some(vec![0, 1]));
        assert_eq!(apply(AtomicOp::Add, Some(&[255, 255]), &[1]), Some(vec![0]));
        assert_eq!(apply(AtomicOp::Add, Some(&[]), &[5, 6]), Some(vec![5, 6]));
        assert_eq!(apply(AtomicOp::Add, None, &[5, 6]), Some(vec![5, 6]));
        assert_eq!(apply(AtomicOp::Add, Some(&[1]), &[]), Some(vec![]));
    }

    #[test]
    fn bit_operations_take_the_operands_length() {
        assert_eq!(apply(AtomicOp::And, Some(&[0xF0]), &[0x3C, 0xFF]), Some(vec![0x30, 0]));
        assert_eq!(apply(AtomicOp::And, None, &[0x3C]), Some(vec![0x3C]));
        assert_eq!(apply(AtomicOp::AndV1, None, &[0x3C]), Some(vec![0]));
        assert_eq!(apply(AtomicOp::Or, Some(&[1, 2, 4]), &[8, 8]), Some(vec![9, 10]));
        assert_eq!(apply(AtomicOp::Xor, Some(&[1]), &[3, 7]), Some(vec![2, 7]));
    }

    #[test]
    fn min_and_max_compare_little_endian_numbers() {
        assert_eq!(apply(AtomicOp::Max, Some(&[0, 1]), &[255, 0]), Some(vec![0, 1]));
        assert_eq!(apply(AtomicOp::Max, Some(&[0, 0, 9]), &[255, 0]), Some(vec![255, 0]));
        assert_eq!(apply(AtomicOp::Min, Some(&[]), &[1, 1]), Some(vec![0, 0]));
        assert_eq!(apply(AtomicOp::Min, None, &[1, 1]), Some(vec![1, 1]));
        assert_eq!(apply(AtomicOp::MinV1, None, &[1, 1]), Some(vec![0, 0]));
    }

    #[test]
    fn byte_operations_compare_strings_and_keep_the_winner() {
        assert_eq!(apply(AtomicOp::ByteMax, Some(b"ab"), b"b"), Some(b"b".to_vec()));
        assert_eq!(apply(AtomicOp::ByteMin, Some(b"ab"), b"a"), Some(b"a".to_vec()));
        assert_eq!(apply(AtomicOp::ByteMin, Some(b""), b"a"), Some(vec![]));
    }

    #[test]
    fn append_stops_at_the_limit() {
        assert_eq!(
            apply(AtomicOp::AppendIfFits, Some(b"1234"), b"5678"),
            Some(b"12345678".to_vec())
        );
        assert_eq!(apply(AtomicOp::AppendIfFits, Some(b"12345"), b"6789"), Some(b"12345".to_vec()));
        assert_eq!(apply(AtomicOp::AppendIfFits, None, b"6"), Some(b"6".to_vec()));
    }

    #[test]
    fn compare_and_clear_clears_exactly_the_equal_value() {
        assert_eq!(apply(AtomicOp::CompareAndClear, Some(b"x"), b"x"), None);
        assert_eq!(apply(AtomicOp::CompareAndClear, Some(b"y"), b"x"), Some(b"y".to_vec()));
        assert_eq!(apply(AtomicOp::CompareAndClear, None, b"x"), None);
        assert_eq!(apply(AtomicOp::CompareAndClear, Some(b""), b""), None);
    }
}
