//! The server from outside: one program, because one is linked sooner than ten.

mod answers;
mod client;
mod delv;
mod dig;
mod encrypted;
mod hostile;
mod kdig;
mod options;
mod packets;
mod rate;
mod stopping;
mod streams;
mod support;
mod zone_file;
