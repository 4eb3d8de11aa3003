//! The real kubectl against a cluster; the end of kubectl's part of a test where there is none.

#![allow(dead_code, clippy::unwrap_used)]

use std::path::PathBuf;
use std::process::Stdio;

use meridian_simcluster::SimCluster;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::{LIMIT, cluster};

pub(crate) struct Kubectl {
    kubeconfig: PathBuf,
    pub(crate) cluster: SimCluster,
}

impl Drop for Kubectl {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.kubeconfig);
    }
}

impl Kubectl {
    /// A cluster and a kubectl for it; `None` when there is no kubectl.
    pub(crate) async fn start(test: &str) -> Option<Kubectl> {
        let (cluster, _) = cluster().await;
        let kubeconfig = cluster.kubeconfig(cluster.address());
        Kubectl::with(test, &cluster, &kubeconfig).await
    }

    /// A kubectl with a kubeconfig of its own.
    pub(crate) async fn with(test: &str, cluster: &SimCluster, kubeconfig: &str) -> Option<Kubectl> {
        let version = Command::new("kubectl").args(["version", "--client"]).output().await;
        if !version.is_ok_and(|output| output.status.success()) {
            let required = std::env::var_os("MERIDIAN_PEERS").is_some();
            assert!(!required, "MERIDIAN_PEERS is set, but there is no kubectl");
            println!("skipped: no kubectl on the path");
            return None;
        }
        let name = format!("simcluster-{test}-{}.kubeconfig", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, kubeconfig).unwrap();
        Some(Kubectl {
            kubeconfig: path,
            cluster: cluster.clone(),
        })
    }

    pub(crate) async fn run(&self, arguments: &str, input: &str) -> (bool, String) {
        let mut child = Command::new("kubectl")
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(arguments.split_whitespace())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).await.unwrap();
        drop(stdin);
        let output = tokio::time::timeout(LIMIT * 3, child.wait_with_output())
            .await
            .unwrap()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    /// Runs a command that must succeed and say `wanted`.
    pub(crate) async fn check(&self, arguments: &str, input: &str, wanted: &str) {
        let (success, text) = self.run(arguments, input).await;
        assert!(success && text.contains(wanted), "kubectl {arguments}: {text}");
    }

    /// Runs a command that must fail and say `wanted`.
    pub(crate) async fn check_failure(&self, arguments: &str, input: &str, wanted: &str) {
        let (success, text) = self.run(arguments, input).await;
        assert!(!success && text.contains(wanted), "kubectl {arguments}: {text}");
    }
}
