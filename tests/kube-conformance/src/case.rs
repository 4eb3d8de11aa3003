//! A case: one rule, where Kubernetes documents it, and what it needs.
//!
//! What must stay true: a case says what it needs of the cluster beyond what every API server has, so
//! that it is left out where it cannot be answered, and fails where it can and is wrong.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use crate::context::Context;

/// What a running case is. It stays on the thread that waits for it, so that its panic is found there.
pub type CaseFuture = Pin<Box<dyn Future<Output = ()>>>;

/// Something not every cluster has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// The controllers every API server is expected to have: garbage collection, namespaces, service accounts.
    Controllers,
    /// Pods that run, what makes them, and the EndpointSlices that name them.
    Workloads,
    /// Something that gives load balancers their addresses.
    Balancers,
    /// A `kubectl` on this machine.
    Kubectl,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Need::Controllers => "controllers",
            Need::Workloads => "workloads",
            Need::Balancers => "load balancers",
            Need::Kubectl => "kubectl",
        })
    }
}

/// One rule and its check.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// The rule, as a sentence.
    pub name: &'static str,
    /// Where Kubernetes documents it: a page of kubernetes.io with its section, an enhancement proposal,
    /// or the field of the API reference.
    pub documented: &'static str,
    /// What must be there beside the API server.
    pub needs: &'static [Need],
    /// The check; it panics where the rule does not hold.
    pub run: fn(Arc<Context>) -> CaseFuture,
}

/// Cases about one part of the API.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    /// Comes before the names of its cases.
    pub name: &'static str,
    /// The cases.
    pub cases: &'static [Case],
}

/// A row of a table of cases: the rule, where it is documented, what it needs, the check.
#[macro_export]
macro_rules! case {
    ($name:literal, $documented:literal, [$($need:ident),*], $run:path) => {
        $crate::Case {
            name: $name,
            documented: $documented,
            needs: &[$($crate::Need::$need),*],
            run: |context| Box::pin($run(context)),
        }
    };
}
