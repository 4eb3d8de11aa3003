//! `meridian demo`: a host cluster, three members, the controller and the DNS server in one process.
//!
//! The clusters are simulated. Everything between them and Meridian is real: kubeconfigs, HTTP, watches,
//! server-side apply, DNS packets. The controller is the one that `meridian run` starts.

mod api_server;
mod expect;
mod fleet;
mod measure;
mod objects;
mod show;
mod story;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use meridian_dns_server::{DnsServer, ServerConfig, Table};
use meridian_federation_core::{HealthSettings, LeaseTimes};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::broadcast::error::RecvError;

use crate::controller::{Controller, ControllerConfig};
use crate::geo::GeoArgs;
use crate::keys::KeeperConfig;
use crate::keys::store::KeyStore;
use crate::lease::{Campaign, identity};
use crate::run::DEFAULT_NAMESPACE;
use crate::shared_state::SharedState;
use crate::transfers::TransferConfig;
use api_server::Source;
use expect::Asker;
use fleet::Fleet;
use show::Owners;
use story::{StepResult, Story};

/// How long the application may take to come up on a slow machine.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Arguments of `meridian demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Address of the DNS server, UDP and TCP.
    #[arg(long, default_value = "127.0.0.1:5300", value_name = "ADDRESS:PORT")]
    dns: SocketAddr,
    /// Run the scripted story and end: exit code 0 only if every step was as expected.
    #[arg(long)]
    story: bool,
    /// How the story's steps are printed: as lines, or as one JSON object per step.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// Folder for the clusters' kubeconfigs; a temporary one that goes with the demo, if not given.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Where the simulated load balancers get their addresses: the first two octets count, within 127.0.0.0/8.
    #[arg(long, default_value = "127.77.0.0", value_name = "ADDRESS", value_parser = loopback)]
    load_balancers: Ipv4Addr,
    /// Use these API servers in place of simulated ones: a folder with host.kubeconfig, one of each member's name,
    /// and impostor.kubeconfig, an empty one that takes us-west's credentials. They are written to.
    #[arg(long, value_name = "FOLDER")]
    api_servers: Option<PathBuf>,
    /// Repeat the story's steps 3 and 8 so many times, print how long answers took to change, and end.
    #[arg(long, value_name = "TIMES", conflicts_with = "story", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    measure: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

fn loopback(text: &str) -> Result<Ipv4Addr, String> {
    let address: Ipv4Addr = text.parse().map_err(|_| format!("{text:?} is not an IPv4 address"))?;
    if address.is_loopback() {
        Ok(address)
    } else {
        Err(format!("{address} is not in 127.0.0.0/8"))
    }
}

/// Runs the demo until Ctrl-C, or the story to its end. True if all went as expected.
pub(crate) async fn run(args: DemoArgs) -> Result<bool> {
    // One listener for the whole time: a signal between two looks would be lost.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let unfinished = args.story || args.measure.is_some();
    tokio::select! {
        result = play(args) => result,
        // Everything that runs belongs to `play` and ends with it.
        _ = interrupt.recv() => {
            println!("\nStopping.");
            if unfinished { bail!("stopped before the end") }
            Ok(true)
        }
    }
}

async fn play(args: DemoArgs) -> Result<bool> {
    // The server first: a port in use is said at once.
    let table = Table::default();
    let dns = ServerConfig::new([args.dns]);
    let (signer, transfers) = (dns.signer.clone(), dns.transfers.clone());
    let mut server = DnsServer::bind(dns, table.clone()).await?;
    let dns = server.addresses().first().copied().unwrap_or(args.dns);
    let quiet = args.output == Output::Json;
    let say = |text: &str| {
        if !quiet {
            println!("{text}");
        }
    };

    let temporary = tempfile::Builder::new()
        .prefix("meridian-demo-")
        .tempdir()
        .context("no temporary folder for kubeconfigs")?;
    let folder = args.folder.clone().unwrap_or_else(|| temporary.path().to_owned());
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("{} cannot be made; choose a folder with --folder", folder.display()))?;
    let fleet = Fleet::start(&Source::of(args.api_servers), &folder, args.load_balancers).await?;
    objects::create_fleet(&fleet).await?;
    let namespace = DEFAULT_NAMESPACE;
    let campaign = Campaign::start(
        fleet.host.clone(),
        namespace,
        identity(Some("demo".to_owned()))?,
        LeaseTimes::default(),
    );
    let mut controller = Controller::start(ControllerConfig {
        host: fleet.host.clone(),
        control_plane: fleet.host_uid.clone(),
        settings: HealthSettings::default(),
        table: table.clone(),
        geo: GeoArgs::default(),
        saved: None,
        leadership: campaign.leadership(),
        keys: KeeperConfig {
            store: KeyStore::Secrets {
                state: SharedState::new(fleet.host.clone(), namespace, campaign.leadership()),
                copies: None,
            },
            signer: signer.clone(),
        },
        transfers: TransferConfig {
            state: SharedState::new(fleet.host.clone(), namespace, campaign.leadership()),
            signer,
            transfers,
        },
    });
    let mut changes = controller.changes();
    say("Started a host cluster and three members. Federating namespace shop with web and api ...");
    objects::create_application(&fleet.host).await?;

    let story = Story {
        fleet: &fleet,
        asker: Asker { server: dns },
    };
    if let Err(seen) = story.asker.until_all_hold(&Story::all_well(), START_LIMIT).await {
        bail!(
            "the application did not come up within {} s: {seen}",
            START_LIMIT.as_secs()
        );
    }

    let ok = if args.story {
        tokio::select! {
            ok = story.run(|step| tell(step, args.output)) => ok,
            stopped = stopped(&mut controller, &mut server) => return Err(stopped),
        }
    } else if let Some(times) = args.measure {
        measure::run(&story, times, quiet).await?;
        true
    } else {
        let owners = Owners([args.load_balancers.octets()[0], args.load_balancers.octets()[1]]);
        let mut before = show::view(&table.load(), &owners);
        println!("{}", show::introduction(&fleet, dns, &before));
        println!("Changes, as they happen (Ctrl-C ends the demo)");
        loop {
            tokio::select! {
                change = changes.recv() => {
                    let change = match change {
                        Ok(change) => change,
                        Err(RecvError::Lagged(_)) => continue,
                        Err(RecvError::Closed) => return Err(controller.failed().await),
                    };
                    let after = show::view(&table.load(), &owners);
                    for line in show::change(&before, &after, &change, &fleet) {
                        println!("  {line}");
                    }
                    before = after;
                }
                stopped = stopped(&mut controller, &mut server) => return Err(stopped),
            }
        }
    };
    drop(controller);
    campaign.end().await;
    server.shutdown().await;
    Ok(ok)
}

/// Ends only when something that should run has stopped.
async fn stopped(controller: &mut Controller, server: &mut DnsServer) -> anyhow::Error {
    tokio::select! {
        error = controller.failed() => error,
        stopped = server.stopped() => anyhow::anyhow!("the DNS server stopped on {}: {}", stopped.address, stopped.reason),
    }
}

fn tell(step: &StepResult, output: Output) {
    match output {
        Output::Json => println!("{}", serde_json::to_string(step).unwrap_or_default()),
        Output::Text => {
            let word = if step.ok { "ok  " } else { "FAIL" };
            println!(
                "{word} {:>2}. {} ({} ms)\n         {}",
                step.step, step.expected, step.millis, step.seen
            );
        }
    }
}
