//! Text mode: the server for a person at a terminal.
//!
//! A line in, lines out. The same grammar serves `nc` on the server's port, `plinth shell` at a
//! prompt, and `plinth shell -c`. In the order in which a line meets them:
//!
//! - [`lexer`] cuts it into words, with quotes and [`escape`]s;
//! - [`command`] understands it, and [`help`] explains what there is to understand;
//! - [`session`] carries it out on a transaction, its own or the one that is open;
//!   bounded by an [`allowance`] that all sessions share;
//! - [`jobs`] has long work done in the background;
//! - [`answer`] says what came of it, a line that a program can recognise last;
//! - [`trace`] shows what would travel if the line were a request of the binary protocol.

pub mod allowance;
pub mod answer;
pub mod command;
pub mod escape;
pub mod help;
pub mod jobs;
pub mod lexer;
pub mod session;
pub mod trace;

pub use allowance::Allowance;
pub use answer::Answer;
pub use command::line_bytes_max;
pub use jobs::JobSource;
pub use session::{InfoSource, Reply, TextSession};
