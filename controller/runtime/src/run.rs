//! `meridian run`: the controller and the DNS server for a host cluster, until a signal ends them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use k8s_openapi::api::core::v1::Namespace;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt};
use meridian_controller_apply::{REQUEST_LIMIT, describe};
use meridian_dns_core::Snapshot;
use meridian_dns_server::{DnsServer, Table};
use meridian_federation_core::{HealthSettings, LeaseTimes};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::admin::{self, Readiness};
use crate::controller::{Controller, ControllerConfig};
use crate::cookies;
use crate::dns::DnsArgs;
use crate::dns_settings::SettingsFile;
use crate::geo::GeoArgs;
use crate::keys::KeeperConfig;
use crate::keys::folder::KeyFolder;
use crate::keys::store::KeyStore;
use crate::lease::{Campaign, identity};
use crate::saved::{self, SnapshotFile};
use crate::shared_state::SharedState;
use crate::transfers::TransferConfig;

/// Namespace on the host for the leader's lease and what replicas share.
pub(crate) const DEFAULT_NAMESPACE: &str = "meridian-system";

/// Wait before the host is asked again.
const HOST_RETRY: Duration = Duration::from_secs(1);

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

/// Where keys of zones are stored.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum KeyStoreArg {
    /// In Secrets of the host.
    Secret,
    /// In the folder of `--dnssec-keys`.
    Folder,
}

/// Arguments of `meridian run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    host: HostArgs,
    #[command(flatten)]
    dns: DnsArgs,
    #[command(flatten)]
    geo: GeoArgs,
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
    /// File in which the answers are kept, so that a restart answers at once, with or without the host.
    #[arg(long, value_name = "FILE")]
    snapshot: Option<PathBuf>,
    /// How old the kept answers may be, in hours: addresses are given to others after a while.
    #[arg(long, value_name = "HOURS", default_value_t = 24, requires = "snapshot", value_parser = clap::value_parser!(u64).range(1..=24 * 365))]
    snapshot_max_age: u64,
    /// Address of the HTTP listener with /readyz and /livez.
    #[arg(long, default_value = "127.0.0.1:8053", value_name = "ADDRESS:PORT")]
    admin: SocketAddr,
    /// A folder for copies of the keys of signed zones, so that a restarted replica can sign without the host.
    /// Only this user can read the files.
    #[arg(long, value_name = "FOLDER")]
    dnssec_keys: Option<PathBuf>,
    /// Where the keys of signed zones are stored: in Secrets of the host, or in the folder alone, which all
    /// replicas must then see.
    #[arg(
        long,
        value_name = "STORE",
        default_value = "secret",
        requires_if("folder", "dnssec_keys")
    )]
    dnssec_key_store: KeyStoreArg,
}

/// Runs until SIGINT or SIGTERM. The DNS server answers from the first moment, from the saved snapshot if there
/// is one; the host is asked for as long as it takes.
pub(crate) async fn run(args: RunArgs) -> Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let file = args.snapshot.map(|path| SnapshotFile {
        path,
        max_age: Duration::from_secs(args.snapshot_max_age * 3600),
    });
    let saved = file.as_ref().and_then(SnapshotFile::load);
    let nothing = || Snapshot::default().with_zones_known(false);
    let snapshot = saved.as_ref().map_or_else(nothing, |saved| saved.snapshot.clone());
    let table = Table::new(snapshot.with_geo(args.geo.nothing_known()));
    let admin = admin::bind(args.admin).await?;
    let settings_file = args.dns.settings_file();
    let mut dns = args.dns.config();
    let settings_file = settings_file
        .map(|path| SettingsFile::load(path, &mut dns.settings))
        .transpose()?;
    let (signer, transfers) = (dns.signer.clone(), dns.transfers.clone());
    let mut server = DnsServer::bind(dns, table.clone()).await?;
    let mut tasks = JoinSet::new();
    let readiness = Readiness {
        welcome: server.ready(),
        table: table.clone(),
        saved: saved.is_some(),
    };
    tasks.spawn(admin::serve(admin, readiness));
    if let Some(file) = settings_file {
        tasks.spawn(file.follow(server.settings().clone()));
    }
    let host = args.host.client().await?;
    tracing::info!(dns = ?server.addresses(), "running");

    let campaign = Campaign::start(
        host.clone(),
        &args.namespace,
        identity(args.replica)?,
        LeaseTimes::default(),
    );
    let shared = SharedState::new(host.clone(), &args.namespace, campaign.leadership());
    cookies::start(&shared, server.settings().clone(), &mut tasks);
    let key_folder = args.dnssec_keys.map(KeyFolder::new);
    let keys = KeeperConfig {
        store: match (args.dnssec_key_store, key_folder) {
            (KeyStoreArg::Folder, Some(folder)) => KeyStore::Folder {
                folder,
                leadership: campaign.leadership(),
            },
            (_, copies) => KeyStore::Secrets {
                state: shared.clone(),
                copies,
            },
        },
        signer: signer.clone(),
    };
    let (leadership, given, geo) = (campaign.leadership(), args.control_plane, args.geo);
    let (stop, mut stopping) = watch::channel(false);
    let control = async move {
        let control_plane = async {
            match given {
                Some(id) => id,
                None => control_plane(&host).await,
            }
        };
        let control_plane = tokio::select! {
            id = control_plane => id,
            // There is nothing new to save.
            _ = stopping.wait_for(|stop| *stop) => return Ok(()),
        };
        let mut controller = Controller::start(ControllerConfig {
            host,
            keys,
            control_plane,
            settings: HealthSettings::default(),
            table: table.clone(),
            geo,
            saved: saved.zip(file.as_ref().map(|file| file.max_age)),
            leadership,
            transfers: TransferConfig {
                state: shared,
                signer,
                transfers: transfers.clone(),
            },
        });
        let as_of = controller.as_of();
        let saving = async {
            match file {
                Some(file) => saved::keep(file, table, transfers, as_of, stopping).await,
                None => {
                    let _ = stopping.wait_for(|stop| *stop).await;
                }
            }
        };
        tokio::select! {
            error = controller.failed() => Err(error),
            () = saving => Ok(()),
        }
    };
    let mut control = pin!(control);
    tokio::select! {
        ended = &mut control => return ended,
        // Such a task ends only by a panic.
        Some(ended) = tasks.join_next() => anyhow::bail!("a task of the server ended: {ended:?}"),
        stopped = server.stopped() => anyhow::bail!("the DNS server stopped on {}: {}", stopped.address, stopped.reason),
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    // Another replica may act while our last queries drain. The admin listener tells that we are not ready; the
    // answers follow the clusters to the end, and what was answered last is saved.
    let drained = async {
        tokio::join!(campaign.end(), server.shutdown());
        stop.send_replace(true);
    };
    let ((), ended) = tokio::join!(drained, control);
    ended
}

/// The UID of the host's kube-system namespace, asked for until the host answers.
async fn control_plane(host: &Client) -> String {
    let mut told = None;
    loop {
        let namespaces = Api::<Namespace>::all(host.clone());
        let reason = match timeout(REQUEST_LIMIT, namespaces.get("kube-system")).await {
            Ok(Ok(namespace)) => match namespace.uid() {
                Some(uid) => return uid,
                None => "the host's kube-system namespace has no UID; give --control-plane".to_owned(),
            },
            Ok(Err(error)) => describe(&error),
            Err(_) => "no answer in time".to_owned(),
        };
        if told.as_ref() != Some(&reason) {
            tracing::warn!(
                reason,
                "the host cluster does not answer and is asked again; check --kubeconfig"
            );
            told = Some(reason);
        }
        tokio::time::sleep(HOST_RETRY).await;
    }
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
