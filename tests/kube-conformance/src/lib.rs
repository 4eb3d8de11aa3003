//! What every case of the suite stands on: the cluster it runs against, what it may ask of it, and the report.
//!
//! What must stay true: a case knows only the API, so the same case runs on the simulation, on a control plane
//! of child processes and on a cluster of the user's. A case whose needs are not met is reported as not run,
//! with the reason, and never as passed. A case leaves nothing behind: it has a namespace of its own and names
//! of its own for what has no namespace.
//!
//! Refused: Kubernetes' own conformance suite, which needs nodes, container images and an hour; and typed
//! clients in the cases, whose opinions would hide what the server really said.
//!
//! ```text
//! runner     cases as tests, and the closing table
//! case       a rule, where it is documented, what it needs
//! context    what a case is given         kubectl   the real kubectl
//! requests   one request, one answer      watching  streams, and waiting on them
//! target     which cluster, and what it has     probe   what a stranger's cluster has
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod case;
mod context;
mod kubectl;
mod probe;
mod requests;
mod runner;
mod target;
mod watching;

pub use self::case::{Case, CaseFuture, Need, Subject};
pub use self::context::Context;
pub use self::kubectl::Said;
pub use self::requests::{Answer, Requests};
pub use self::runner::main;
pub use self::watching::Watch;
