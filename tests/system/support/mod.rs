//! What the whole-system tests share: the real binary as a child process, and a small client of the
//! wire protocol that hides nothing.

pub(crate) mod process;
pub(crate) mod random;
pub(crate) mod wire;
