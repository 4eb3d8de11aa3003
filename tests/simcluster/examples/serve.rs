//! Keeps one simulated cluster up for kubectl: prints the path of its kubeconfig and waits.

use std::net::Ipv4Addr;
use std::time::Duration;

use meridian_simcluster::{ClusterOptions, NodePool, SimCluster, WorkloadOptions, Workloads};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cluster = SimCluster::start(ClusterOptions::named("sim")).await?;
    let text = cluster.kubeconfig(cluster.address());
    let path = std::env::temp_dir().join("simcluster.kubeconfig");
    std::fs::write(&path, &text)?;
    let kubeconfig = kube::config::Kubeconfig::from_yaml(&text)?;
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await?;
    let options = WorkloadOptions {
        cluster: "sim".to_owned(),
        load_balancer_network: Ipv4Addr::new(127, 77, 1, 0),
        ready_after: Duration::from_secs(1),
        nodes: Some(NodePool::one_per_zone("region-1", &["zone-a", "zone-b", "zone-c"])),
        ..WorkloadOptions::default()
    };
    let _workloads = Workloads::start(kube::Client::try_from(config)?, options);
    println!("export KUBECONFIG={}", path.display());
    std::future::pending().await
}
