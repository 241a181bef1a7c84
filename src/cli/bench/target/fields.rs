//! Fields of a message, looked at where they lie.

/// What is left of a payload. Each call takes a field off its beginning; nothing if it is not there
/// whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (&taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.take().map(u8::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    pub(crate) fn bool(&mut self) -> Option<bool> {
        self.u8().map(|byte| byte != 0)
    }

    /// A length and as many bytes.
    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()? as usize;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    /// A count and as many items.
    pub(crate) fn list<T>(&mut self, item: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        // An item takes a byte at least: no count makes more room than the payload has bytes.
        let count = self.u32()? as usize;
        let mut items = Vec::with_capacity(count.min(self.0.len()));
        for _ in 0..count {
            items.push(item(self)?);
        }
        Some(items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_taken_in_order_and_never_beyond_the_end() {
        let payload: &[u8] = b"\x01\0\0\0\x02ab\0\0\0\x02\0\x01\0\0\0\x01c";
        let optional = |fields: &mut Fields<'static>| {
            if fields.bool()? { fields.bytes().map(Some) } else { Some(None) }
        };
        let mut fields = Fields(payload);
        assert_eq!(fields.bool(), Some(true));
        assert_eq!(fields.bytes(), Some(&b"ab"[..]));
        assert_eq!(fields.list(optional), Some(vec![None, Some(&b"c"[..])]));
        assert_eq!(fields.u8(), None);
        for end in 7..payload.len() {
            let mut fields = Fields(&payload[7..end]);
            assert_eq!(fields.list(optional), None, "{end}");
        }
        assert_eq!(Fields(&[0xFF; 12]).list(Fields::u32), None);
        assert_eq!(Fields(&[0xFF; 12]).bytes(), None);
    }
}
