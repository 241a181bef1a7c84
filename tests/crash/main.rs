//! Cuts the power before, during and after every call that an engine makes to its disk, and looks
//! at every disk that this may leave. Then the same with errors in place of cuts, with both, with
//! bytes that have rotted, and with bugs that were planted, which must be found.
//!
//! The engine runs a script of commits step by step on one thread; everything follows from the
//! script's seed and the plan of what goes wrong, so that a failure is repeated by its one line:
//!
//! ```text
//! PLINTH_CRASH='script=1 seed=3 keep=random 17=cut-during' cargo test -p plinthdb --test crash
//! ```
//!
//! With `PLINTH_CRASH_DEEP=1` it takes minutes and looks at many times as many disks.
//!
//! What is checked of each disk, see [`verdict`]: the engine opens; what it holds is a prefix of the
//! history, with everything that was acknowledged as durable and everything that was ever read, and
//! nothing that was refused; each transaction is there whole or not at all; the idempotency ids say
//! which; versions go on above everything that was ever handed out; and it can be written to, closed
//! and opened again. Recovery is cut in the same way.

mod afterwards;
mod cuts;
mod damage;
mod errors;
mod history;
mod planted;
mod remains;
mod rot;
mod script;
mod verdict;
mod wrapper;
