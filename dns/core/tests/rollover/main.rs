//! Key rollovers: what happens in which order, and that no validator is ever let down.

mod properties;
mod scenarios;
mod world;
