//! The workload side of a cluster: what kubelets, controllers and the cloud do in a real one.
//!
//! What must stay true: this is an ordinary client. It knows the cluster only through a
//! `kube::Client`, so it works in front of a real API server too. Everything is driven by watches;
//! the only clocks are the time a pod takes to become ready and the
//! pause after a failed request. Each part acts on the cache as it finds it
//! and never on the content of a change, so a repeated or a missed wake-up does no harm.
//!
//! Refused: writing pods and slices straight into the simulated store, which would be faster and
//! would hide every ordering a controller can meet between a pod, its slice and its Service.
//!
//! ```text
//! cache        one watch per kind, and who to wake
//! deployments  Deployment -> Pods, and its status
//! kubelet      Pods become running and ready
//! slices       Service + Pods -> EndpointSlice
//! balancer     Service of type LoadBalancer -> address and HTTP server
//! ```

mod balancer;
mod cache;
mod deployments;
mod kubelet;
mod slices;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use self::cache::Cache;

/// On a Pod: `"false"` makes the simulated kubelet report Ready=False; anything else, or nothing, True.
pub const READY_ANNOTATION: &str = "simcluster.meridian.dev/ready";

/// Who writes, in `managedFields`.
const MANAGER: &str = "simcluster-workloads";

/// How the workload side behaves.
#[derive(Clone, Debug)]
pub struct WorkloadOptions {
    /// The cluster's name, repeated by its load balancers.
    pub cluster: String,
    /// A /24 inside 127.0.0.0/8: one address per LoadBalancer Service.
    pub load_balancer_network: Ipv4Addr,
    /// How long a new pod takes to become ready.
    pub ready_after: Duration,
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
        let cache = Arc::new(Cache::start(&client, &mut tasks));
        tasks.spawn(deployments::run(client.clone(), cache.clone()));
        tasks.spawn(kubelet::run(client.clone(), cache.clone(), options.clone()));
        tasks.spawn(slices::run(client.clone(), cache.clone()));
        tasks.spawn(balancer::run(client, cache, options, open));
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

/// A short name for any text; the same text has the same name in every process.
fn short_hash(text: &str, letters: usize) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    // FNV-1a.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    let mut letter = || {
        let index = (hash % LETTERS.len() as u64) as usize;
        hash /= LETTERS.len() as u64;
        char::from(LETTERS[index])
    };
    (0..letters).map(|_| letter()).collect()
}
