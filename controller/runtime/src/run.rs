//! `meridian run`: the controller and the DNS server for a host cluster, until a signal ends them.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use k8s_openapi::api::core::v1::Namespace;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt};
use meridian_dns_server::{DnsServer, Table};
use meridian_federation_core::HealthSettings;

use tokio::signal::unix::{SignalKind, signal};

use crate::controller::{Controller, ControllerConfig};
use crate::dns::DnsArgs;

/// Which cluster is the host.
#[derive(Debug, Args)]
pub(crate) struct HostArgs {
    /// Kubeconfig of the host cluster; the service account's, inside a cluster, if not given.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig; its current one, if not given.
    #[arg(long, value_name = "NAME", requires = "kubeconfig")]
    context: Option<String>,
}

/// Arguments of `meridian run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    host: HostArgs,
    #[command(flatten)]
    dns: DnsArgs,
    /// Id of this control plane, the mark on everything it creates; the UID of the host's kube-system
    /// namespace, if not given.
    #[arg(long, value_name = "ID")]
    control_plane: Option<String>,
}

/// Runs until SIGINT or SIGTERM.
pub(crate) async fn run(args: RunArgs) -> Result<()> {
    let table = Table::default();
    let mut server = DnsServer::bind(args.dns.config(), table.clone()).await?;
    let host = args.host.client().await?;
    let control_plane = match args.control_plane {
        Some(id) => id,
        None => {
            let namespaces = Api::<Namespace>::all(host.clone());
            let namespace = namespaces
                .get("kube-system")
                .await
                .context("the host cluster does not answer; check --kubeconfig")?;
            namespace
                .uid()
                .context("the host's kube-system namespace has no UID; give --control-plane")?
        }
    };
    let config = ControllerConfig {
        host,
        control_plane,
        settings: HealthSettings::default(),
        table,
    };
    let mut controller = Controller::start(config);
    tracing::info!(dns = ?server.addresses(), "running");
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        error = controller.failed() => return Err(error),
        stopped = server.stopped() => anyhow::bail!("the DNS server stopped on {}: {}", stopped.address, stopped.reason),
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    drop(controller);
    server.shutdown().await;
    Ok(())
}

impl HostArgs {
    /// The operator's own kubeconfig is trusted: it may run a credential plugin. Members' are not.
    pub(crate) async fn client(self) -> Result<Client> {
        let mut config = match self.kubeconfig {
            Some(path) => {
                let text =
                    Kubeconfig::read_from(&path).with_context(|| format!("{} is not a kubeconfig", path.display()))?;
                Config::from_custom_kubeconfig(
                    text,
                    &KubeConfigOptions {
                        context: self.context,
                        ..KubeConfigOptions::default()
                    },
                )
                .await?
            }
            None => Config::incluster().context("not inside a cluster; give --kubeconfig")?,
        };
        config.default_retry = false;
        Ok(Client::try_from(config)?)
    }
}

/// Prints every CRD as a YAML stream.
pub(crate) fn print_crds() -> Result<()> {
    for crd in meridian_federation_api::crds() {
        println!("---\n{}", serde_saphyr::to_string(&crd)?);
    }
    Ok(())
}
