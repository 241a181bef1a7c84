//! Atomic operations by their table, for API versions from 510 on.

/// The most bytes that an appended value may come to.
const VALUE_BYTES_MAX: usize = 100_000;

/// All operations without a versionstamp.
pub(super) const OPERATIONS: [i32; 10] = [2, 6, 7, 8, 9, 12, 13, 16, 17, 20];

/// The value of a key after an operation.
pub(super) fn apply(operation: i32, value: Option<Vec<u8>>, operand: &[u8]) -> Option<Vec<u8>> {
    let Some(value) = value else {
        // A missing key takes the operand, except that there is nothing to compare and clear.
        return (operation != 20).then(|| operand.to_vec());
    };
    let at = |index: usize| value.get(index).copied().unwrap_or(0);
    let bytewise = |combine: fn(u8, u8) -> u8| {
        Some(operand.iter().enumerate().map(|(i, &byte)| combine(at(i), byte)).collect())
    };
    // The value cut or padded to the operand's length, as a number that begins with its last byte.
    let number = |bytes: &[u8]| bytes.iter().rev().copied().collect::<Vec<u8>>();
    let fitted: Vec<u8> = (0..operand.len()).map(at).collect();
    match operation {
        2 => {
            let mut carry = 0_u16;
            let sum = operand.iter().enumerate().map(|(i, &byte)| {
                carry += u16::from(at(i)) + u16::from(byte);
                let digit = u8::try_from(carry % 256).unwrap();
                carry /= 256;
                digit
            });
            Some(sum.collect())
        }
        6 => bytewise(|a, b| a & b),
        7 => bytewise(|a, b| a | b),
        8 => bytewise(|a, b| a ^ b),
        9 if value.len() + operand.len() <= VALUE_BYTES_MAX => Some([&value, operand].concat()),
        9 => Some(value),
        12 if number(&fitted) > number(operand) => Some(fitted),
        13 if number(&fitted) < number(operand) => Some(fitted),
        12 | 13 => Some(operand.to_vec()),
        16 => Some(value.min(operand.to_vec())),
        17 => Some(value.max(operand.to_vec())),
        20 => (value != operand).then_some(value),
        other => unreachable!("no atomic operation has the number {other}"),
    }
}
