//! The workload side of a cluster: what kubelets, controllers and the cloud do in a real one.
//!
//! What must stay true: this is an ordinary client. It knows the cluster only through a
//! `kube::Client`, so it works in front of a real API server too. Everything is driven by watches; the
//! only clocks are scripted delays, deadlines written in objects, and the pause after a failed request.
//! Each part acts on the cache as it finds it and never on the content of a change, so a repeated or a
//! missed wake-up does no harm.
//!
//! Refused: writing pods and slices straight into the simulated store, which would be faster and
//! would hide every ordering a controller can meet between a pod, its slice and its Service.
//!
//! ```text
//! deployments, rollout, progress   Deployment -> ReplicaSets, and its status
//! replicasets statefulsets         -> Pods
//! daemonsets jobs                  -> Pods
//! scheduler                        Pods without a node -> their node
//! kubelet, pod_status              Pods run, become ready, end
//! nodes                            Nodes, and which of them takes a pod
//! backends, slices, endpoints      Service + Pods -> EndpointSlices, Endpoints
//! balancer, listeners              Service of type LoadBalancer -> address and HTTP server
//!
//! pods, status                     what all of them do with pods and say in a status
//! script                           the annotations that tell objects how to behave
//! context                          writing, and the loop of a controller
//! cache, objects, timers           one watch per kind, and who to wake when
//! ```

mod backends;
mod balancer;
mod cache;
mod context;
mod daemonsets;
mod deployments;
mod endpoints;
mod jobs;
mod kubelet;
mod listeners;
mod nodes;
mod objects;
mod pod_status;
mod pods;
mod progress;
mod replicasets;
mod rollout;
mod scheduler;
mod script;
mod slices;
mod statefulsets;
mod status;
mod timers;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use self::cache::Cache;
use self::context::{Context, control};
pub use self::nodes::NodePool;
pub use self::script::{
    BALANCER_AFTER_ANNOTATION, BALANCER_FAILS_ANNOTATION, FAILS_ANNOTATION, HOSTNAME_ANNOTATION,
    READY_AFTER_ANNOTATION, READY_ANNOTATION, RESTART_AFTER_ANNOTATION, RUNS_FOR_ANNOTATION, STOPPED_ANNOTATION,
};

/// How the workload side behaves.
#[derive(Clone, Debug)]
pub struct WorkloadOptions {
    /// The cluster's name, repeated by its load balancers and in the names of nodes made for it.
    pub cluster: String,
    /// A /24 inside 127.0.0.0/8: one address per LoadBalancer Service.
    pub load_balancer_network: Ipv4Addr,
    /// The domain in which load balancers have host names in place of addresses: `lb-127-0-0-1.<domain>`
    /// for the one that listens on 127.0.0.1.
    pub load_balancer_domain: Option<String>,
    /// How long a new pod takes to become ready.
    pub ready_after: Duration,
    /// Nodes to make in a cluster that has none.
    pub nodes: Option<NodePool>,
}

impl Default for WorkloadOptions {
    /// Pods are ready at once, load balancers have addresses, and there are no nodes.
    fn default() -> Self {
        WorkloadOptions {
            cluster: "sim".to_owned(),
            load_balancer_network: Ipv4Addr::new(127, 77, 1, 0),
            load_balancer_domain: None,
            ready_after: Duration::ZERO,
            nodes: None,
        }
    }
}

/// The running workload side; everything ends when it is dropped.
#[derive(Debug)]
pub struct Workloads {
    balancers_open: watch::Sender<bool>,
    /// Owned, so that all tasks end with this value.
    _tasks: JoinSet<()>,
}

impl Workloads {
    /// Starts the controllers, kubelets and load balancers of a cluster.
    ///
    /// Must be called inside a tokio runtime.
    pub fn start(client: kube::Client, options: WorkloadOptions) -> Workloads {
        let mut tasks = JoinSet::new();
        let (balancers_open, open) = watch::channel(true);
        let options = Arc::new(options);
        let nodes = nodes::make(client.clone(), options.clone());
        let context = Context {
            cache: Arc::new(Cache::start(&client, &mut tasks, nodes)),
            client,
            options,
        };
        tasks.spawn(control(
            context.clone(),
            |cache| &*cache.deployments,
            deployments::reconcile,
        ));
        tasks.spawn(control(
            context.clone(),
            |cache| &*cache.replica_sets,
            replicasets::reconcile,
        ));
        tasks.spawn(control(
            context.clone(),
            |cache| &*cache.stateful_sets,
            statefulsets::reconcile,
        ));
        tasks.spawn(control(
            context.clone(),
            |cache| &*cache.daemon_sets,
            daemonsets::reconcile,
        ));
        tasks.spawn(control(context.clone(), |cache| &*cache.jobs, jobs::reconcile));
        tasks.spawn(nodes::run(context.clone()));
        tasks.spawn(scheduler::run(context.clone()));
        tasks.spawn(kubelet::run(context.clone()));
        tasks.spawn(backends::run(context.clone()));
        tasks.spawn(balancer::run(context, open));
        Workloads {
            balancers_open,
            _tasks: tasks,
        }
    }

    /// Closes the listeners of all load balancers and cuts their connections, soon after it returns.
    pub fn stop_load_balancers(&self) {
        self.balancers_open.send_replace(false);
    }

    /// Opens them again on the same addresses, soon after it returns.
    pub fn start_load_balancers(&self) {
        self.balancers_open.send_replace(true);
    }
}
