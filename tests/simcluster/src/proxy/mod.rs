//! Faults in front of any API server, simulated or real.
//!
//! What must stay true: there are two proxies, because there are two sorts of faults. `FaultProxy` knows TCP
//! and nothing else, so a client sees what it would see of a real server behind a broken network, and TLS
//! goes through. `ApiFaultProxy` knows the Kubernetes API: it answers chosen requests itself, as a server or a
//! load balancer does that is overloaded or misconfigured, and passes on all others.
//!
//! Refused: one proxy that does both; it could not be in front of TLS and know the network alone.

mod api;
mod rules;
mod tcp;

pub use api::ApiFaultProxy;
pub use rules::{ApiAnswer, ApiFault, FaultId, Times, Verb};
pub use tcp::{Fault, FaultProxy};
