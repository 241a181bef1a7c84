//! How the allocator of the binary is set.

#![expect(unsafe_code, reason = "the allocator's options are set through its C interface")]

use libmimalloc_sys::{mi_option_set_default, mi_option_t};

/// After how many milliseconds unused memory goes back to the system: `mi_option_purge_delay` of
/// mimalloc's header, which its crate has no name for.
const PURGE_DELAY: mi_option_t = 15;

/// Keeps freed memory for ten seconds instead of one. What a flushed memtable leaves is what the next
/// one takes: measured with keys that are loaded in random order, a sixth of the processor time went
/// to pages that had just been given back. The environment's `MIMALLOC_PURGE_DELAY` has precedence.
///
/// To be called before there are other threads.
pub(super) fn keep_freed_memory() {
    // SAFETY: the function stores a number in a table of its own that has this option; it may not be
    // called from two threads at once, and there is one.
    unsafe { mi_option_set_default(PURGE_DELAY, 10_000) };
}

#[cfg(test)]
mod tests {
    use std::{env, ffi::c_long, process::Command};

    use libmimalloc_sys::mi_option_get;

    use super::*;

    const VARIABLE: &str = "MIMALLOC_PURGE_DELAY";

    fn purge_delay() -> c_long {
        // SAFETY: reads a number; nobody sets options in this process meanwhile.
        unsafe { mi_option_get(PURGE_DELAY) }
    }

    /// Run by the test below in a process of its own, and by itself.
    #[test]
    fn the_environment_has_precedence() {
        let from_environment: Option<c_long> =
            env::var(VARIABLE).ok().and_then(|value| value.parse().ok());
        if let Some(value) = from_environment {
            assert_eq!(purge_delay(), value, "the number is that of the option");
        }
        keep_freed_memory();
        assert_eq!(purge_delay(), from_environment.unwrap_or(10_000));
    }

    #[test]
    fn the_number_of_the_option_is_right() {
        let program = env::current_exe().unwrap();
        let test = "cli::allocator::tests::the_environment_has_precedence";
        let output =
            Command::new(program).args(["--exact", test]).env(VARIABLE, "77").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    }
}
