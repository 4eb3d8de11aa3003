//! The server from outside: one program, because one is linked sooner than ten.

mod amplification;
mod answers;
mod client;
mod dig;
mod encrypted;
mod hostile;
mod kdig;
mod options;
mod packets;
mod properties;
mod rate;
mod stopping;
mod streams;
mod support;
mod zone_file;
