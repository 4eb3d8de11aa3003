//! The server from outside: one program, because one is linked sooner than ten.

mod amplification;
mod answers;
mod client;
mod delv;
mod dig;
mod dnssec;
mod encrypted;
mod hostile;
mod kdig;
mod options;
mod packets;
mod properties;
mod rate;
mod reload;
mod rollovers;
mod signing_ahead;
mod stopping;
mod streams;
mod support;
mod transfers;
mod unbound;
mod zone_file;
