//! The cases, by subject.
//!
//! What must stay true: every case holds on a real API server of Kubernetes 1.30 and newer; where a server may
//! answer in more than one way, the case takes all of them. What is the simulation's alone is tested there.

#![allow(clippy::unwrap_used)]

mod creating;
mod discovery;
mod reading;
mod shared;

use std::process::ExitCode;

use meridian_kube_conformance::Subject;

const SUBJECTS: &[Subject] = &[
    Subject {
        name: "discovery",
        cases: discovery::CASES,
    },
    Subject {
        name: "reading",
        cases: reading::CASES,
    },
    Subject {
        name: "creating",
        cases: creating::CASES,
    },
];

fn main() -> ExitCode {
    meridian_kube_conformance::main(SUBJECTS)
}
