//! `meridian run`: the controller and the DNS server for a host cluster, until a signal ends them.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use k8s_openapi::api::core::v1::Namespace;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt};
use meridian_dns_server::{DnsServer, Table};
use meridian_federation_core::{HealthSettings, LeaseTimes};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use crate::controller::{Controller, ControllerConfig};
use crate::cookies;
use crate::dns::DnsArgs;
use crate::keys::KeeperConfig;
use crate::keys::folder::KeyFolder;
use crate::lease::{Campaign, identity};
use crate::shared_state::SharedState;

/// Namespace on the host for the leader's lease and what replicas share.
pub(crate) const DEFAULT_NAMESPACE: &str = "meridian-system";

/// Arguments of `meridian run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Kubeconfig of the host cluster; the service account's, inside a cluster, if not given.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig; its current one, if not given.
    #[arg(long, value_name = "NAME", requires = "kubeconfig")]
    context: Option<String>,
    #[command(flatten)]
    dns: DnsArgs,
    /// Id of this control plane, the mark on everything it creates; the UID of the host's kube-system
    /// namespace, if not given.
    #[arg(long, value_name = "ID")]
    control_plane: Option<String>,
    /// Namespace of the host for what replicas share: the leader's lease and the shared state. The leader
    /// makes it if it is not there.
    #[arg(long, default_value = DEFAULT_NAMESPACE, value_name = "NAME")]
    namespace: String,
    /// Name of this replica, which no other that runs has: a replica that starts again under its name need
    /// not wait until its old lease has run out. Made up, if not given.
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    replica: Option<String>,
    /// A folder for copies of the keys of signed zones, so that a restarted replica can sign without the host.
    /// Only this user can read the files.
    #[arg(long, value_name = "FOLDER")]
    dnssec_keys: Option<PathBuf>,
}

/// Runs until SIGINT or SIGTERM.
pub(crate) async fn run(args: RunArgs) -> Result<()> {
    let table = Table::default();
    let dns = args.dns.config();
    let signer = dns.signer.clone();
    let mut server = DnsServer::bind(dns, table.clone()).await?;
    let host = host_client(args.kubeconfig, args.context).await?;
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
    let campaign = Campaign::start(
        host.clone(),
        &args.namespace,
        identity(args.replica)?,
        LeaseTimes::default(),
    );
    let shared = SharedState::new(host.clone(), &args.namespace, campaign.leadership());
    let mut tasks = JoinSet::new();
    cookies::start(&shared, server.settings().clone(), &mut tasks);
    let keys = KeeperConfig {
        state: shared,
        folder: args.dnssec_keys.map(KeyFolder::new),
        signer,
    };
    let config = ControllerConfig {
        host,
        keys,
        control_plane,
        settings: HealthSettings::default(),
        table,
        leadership: campaign.leadership(),
    };
    let mut controller = Controller::start(config);
    tracing::info!(dns = ?server.addresses(), "running");
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        error = controller.failed() => return Err(error),
        // Such a task ends only by a panic.
        Some(ended) = tasks.join_next() => anyhow::bail!("a task for the shared state ended: {ended:?}"),
        stopped = server.stopped() => anyhow::bail!("the DNS server stopped on {}: {}", stopped.address, stopped.reason),
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    drop(controller);
    campaign.end().await;
    server.shutdown().await;
    Ok(())
}

/// The operator's own kubeconfig is trusted: it may run a credential plugin. Members' are not.
pub(crate) async fn host_client(kubeconfig: Option<PathBuf>, context: Option<String>) -> Result<Client> {
    let mut config = match kubeconfig {
        Some(path) => {
            let text =
                Kubeconfig::read_from(&path).with_context(|| format!("{} is not a kubeconfig", path.display()))?;
            Config::from_custom_kubeconfig(
                text,
                &KubeConfigOptions {
                    context,
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

/// Prints every CRD as a YAML stream.
pub(crate) fn print_crds() -> Result<()> {
    for crd in meridian_federation_api::crds() {
        println!("---\n{}", serde_saphyr::to_string(&crd)?);
    }
    Ok(())
}
