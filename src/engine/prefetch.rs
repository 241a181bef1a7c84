//! Asking for memory before it is needed.
//!
//! A line of memory that no cache holds takes some hundred nanoseconds to come. Several that are
//! asked for at once come together.

#![expect(unsafe_code, reason = "there is no safe way to ask for a line of memory")]

/// Bytes that come at once.
pub(super) const CACHE_LINE: usize = 64;

/// Begins to fetch a cache line. The pointer may point anywhere.
#[inline]
pub(super) fn prefetch(pointer: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch is a hint, and faults on no address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(pointer.cast()) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = pointer;
}

/// Begins to fetch the lines that these are in.
#[inline]
pub(super) fn prefetch_lines<T>(items: &[T]) {
    let (begin, bytes) = (items.as_ptr().cast::<u8>(), size_of_val(items));
    for at in (0..bytes).step_by(CACHE_LINE) {
        prefetch(begin.wrapping_add(at));
    }
    prefetch(begin.wrapping_add(bytes.saturating_sub(1)));
}
