//! The protocol as its users meet it: the written specification against the code, and properties of
//! frames and messages over arbitrary input.

mod arbitrary;
mod examples;
mod frames;
mod messages;
mod spec;
