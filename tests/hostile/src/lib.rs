//! Input that nobody means well with: chance that repeats itself, fuzz targets and their engine.
//!
//! What must stay true:
//! - a fuzz target is a plain function here, from octets to a panic or nothing. libFuzzer (`fuzz/`), the
//!   engine of this crate and the replay of the corpus in the ordinary tests all call that one function;
//! - what is random is the same in every run: a failure can be seen again.
//!
//! The program beside this library is the run of hostile clients, see `main.rs`.

pub mod corpus;
mod dice;
pub mod engine;
pub mod targets;
pub mod world;

pub use dice::{Dice, query};
