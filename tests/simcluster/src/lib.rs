//! Simulated Kubernetes clusters in one process.
//!
//! What must stay true: clients cannot tell, by anything the Kubernetes API documents and this
//! workspace uses, that they do not talk to a real API server. So everything goes over real HTTP on
//! loopback, and nothing outside `server/` reads or writes a cluster's state.
//!
//! Refused: an in-process client (a `tower` service in place of a connection), because connection
//! loss, slow readers and reconnects are most of what a multi-cluster controller must survive; and
//! a real `kube-apiserver`, because it is not available where the tests and the demo must run.
//!
//! Not simulated: CEL rules, conversion webhooks, a second try at names of definitions that become free, what
//! admission takes from other objects (the default IngressClass, taints of new nodes; a Pod's ServiceAccount and
//! its token), the canonical form of quantities, annotations that raise a Deployment's generation, warnings other
//! than of unknown and duplicate fields, field and label selectors in access reviews, published keys of
//! ServiceAccount tokens, `exec`, `log` and `eviction` of pods.
//!
//! Not simulated by the workload side: HorizontalPodAutoscalers, CronJobs, PodDisruptionBudgets and Ingresses
//! (the kinds are served, nobody acts on them), ControllerRevisions (so `kubectl rollout undo` works for
//! Deployments only), volume claims, adoption and release of pods by label, readiness gates, scheduling by
//! anything but labels and taints, leases of nodes, topology hints, IPv6. Each module names what is left out
//! of its own kind.
//!
//! ```text
//! definitions/  kinds that clusters often have beside those built in, as definitions to apply
//! server/       the API server: one module per rule of the API
//! workload/     controllers, kubelets, endpoint slices, load balancers: ordinary API clients
//! proxy/        faults in front of any API server, on TCP and by request
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod definitions;
pub mod proxy;
mod server;
pub mod workload;

pub use proxy::{ApiAnswer, ApiFault, ApiFaultProxy, Fault, FaultProxy, Times, Verb};
pub use server::{Authority, ClusterOptions, SimCluster};
pub use workload::{NodePool, READY_ANNOTATION, WorkloadOptions, Workloads};
