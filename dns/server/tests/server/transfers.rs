//! Zone transfers, as BIND, Knot and NSD take them and as `dig` sees them.

mod compare;
mod peers;
mod secondaries;
mod tools;
