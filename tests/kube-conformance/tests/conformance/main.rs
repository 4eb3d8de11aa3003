//! The cases, by subject.
//!
//! What must stay true: every case holds on a real API server of Kubernetes 1.30 and newer; where a server may
//! answer in more than one way, the case takes all of them. What is the simulation's alone is tested there.

#![allow(clippy::unwrap_used)]

mod access;
mod applying;
mod checking;
mod collecting;
mod creating;
mod custom;
mod defaults;
mod definitions;
mod deleting;
mod discovery;
mod errors;
mod faults;
mod immutability;
mod kubectl;
mod merging;
mod namespaces;
mod numbered;
mod paging;
mod patching;
mod reading;
mod refusing;
mod representing;
mod reviews;
mod roles;
mod schemas;
mod serving;
mod shared;
mod slices;
mod subresources;
mod templates;
mod terminating;
mod updating;
mod validating;
mod waiting;
mod watching;
mod workloads;

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
        name: "reading",
        cases: paging::CASES,
    },
    Subject {
        name: "tables",
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
        name: "creating",
        cases: checking::CASES,
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
        name: "applying",
        cases: merging::CASES,
    },
    Subject {
        name: "deleting",
        cases: deleting::CASES,
    },
    Subject {
        name: "deleting",
        cases: terminating::CASES,
    },
    Subject {
        name: "garbage collection",
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
        name: "custom",
        cases: serving::CASES,
    },
    Subject {
        name: "schemas",
        cases: schemas::CASES,
    },
    Subject {
        name: "schemas",
        cases: faults::CASES,
    },
    Subject {
        name: "defaults",
        cases: defaults::CASES,
    },
    Subject {
        name: "defaults",
        cases: templates::CASES,
    },
    Subject {
        name: "validating",
        cases: validating::CASES,
    },
    Subject {
        name: "validating",
        cases: refusing::CASES,
    },
    Subject {
        name: "immutability",
        cases: immutability::CASES,
    },
    Subject {
        name: "subresources",
        cases: subresources::CASES,
    },
    Subject {
        name: "access",
        cases: access::CASES,
    },
    Subject {
        name: "access",
        cases: roles::CASES,
    },
    Subject {
        name: "reviews",
        cases: reviews::CASES,
    },
    Subject {
        name: "errors",
        cases: errors::CASES,
    },
    Subject {
        name: "workloads",
        cases: workloads::CASES,
    },
    Subject {
        name: "workloads",
        cases: numbered::CASES,
    },
    Subject {
        name: "endpoint slices",
        cases: slices::CASES,
    },
    Subject {
        name: "kubectl",
        cases: kubectl::CASES,
    },
    Subject {
        name: "kubectl",
        cases: waiting::CASES,
    },
];

fn main() -> ExitCode {
    meridian_kube_conformance::main(SUBJECTS)
}
