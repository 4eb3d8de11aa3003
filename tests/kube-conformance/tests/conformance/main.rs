//! The cases, by subject.
//!
//! What must stay true: every case holds on a real API server of Kubernetes 1.30 and newer; where a server may
//! answer in more than one way, the case takes all of them. What is the simulation's alone is tested there.

#![allow(clippy::unwrap_used)]

mod applying;
mod collecting;
mod creating;
mod custom;
mod defaults;
mod definitions;
mod deleting;
mod discovery;
mod immutability;
mod namespaces;
mod patching;
mod reading;
mod representing;
mod schemas;
mod shared;
mod subresources;
mod updating;
mod validating;
mod watching;

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
        name: "representing",
        cases: representing::CASES,
    },
    Subject {
        name: "watching",
        cases: watching::CASES,
    },
    Subject {
        name: "creating",
        cases: creating::CASES,
    },
    Subject {
        name: "updating",
        cases: updating::CASES,
    },
    Subject {
        name: "patching",
        cases: patching::CASES,
    },
    Subject {
        name: "applying",
        cases: applying::CASES,
    },
    Subject {
        name: "deleting",
        cases: deleting::CASES,
    },
    Subject {
        name: "collecting",
        cases: collecting::CASES,
    },
    Subject {
        name: "namespaces",
        cases: namespaces::CASES,
    },
    Subject {
        name: "custom",
        cases: custom::CASES,
    },
    Subject {
        name: "schemas",
        cases: schemas::CASES,
    },
    Subject {
        name: "defaults",
        cases: defaults::CASES,
    },
    Subject {
        name: "validating",
        cases: validating::CASES,
    },
    Subject {
        name: "immutability",
        cases: immutability::CASES,
    },
    Subject {
        name: "subresources",
        cases: subresources::CASES,
    },
];

fn main() -> ExitCode {
    meridian_kube_conformance::main(SUBJECTS)
}
