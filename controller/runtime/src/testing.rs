//! What tests of this crate share: a client for a simulated cluster, and patience with a limit.

use std::net::SocketAddr;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use meridian_simcluster::SimCluster;

/// A client that reaches the cluster by that address.
pub(crate) async fn client_through(cluster: &SimCluster, address: SocketAddr) -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let kubeconfig = Kubeconfig::from_yaml(&cluster.kubeconfig(address)).expect("a kubeconfig");
    let options = KubeConfigOptions::default();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .expect("a configuration");
    config.default_retry = false;
    Client::try_from(config).expect("a client")
}

/// Waits for something that takes far less than the limit.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let limited = tokio::time::timeout(Duration::from_secs(30), future).await;
    limited.unwrap_or_else(|_| panic!("never came: {what}"))
}
