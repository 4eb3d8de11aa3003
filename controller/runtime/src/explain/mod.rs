//! `meridian explain`: what a client is told, and why.
//!
//! It reads the host's objects and those of every member once, makes of them what a server would answer
//! from, and runs the function that answers queries, with somebody watching. Nothing is written, nothing is
//! probed: a dead data path is taken from the conditions that the controller wrote. So it needs no running
//! replica, and tells what one that starts now, with the same `--geo-db`, would answer.

mod collect;
mod show;

use std::net::IpAddr;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use ipnet::IpNet;
use meridian_dns_core::{Client, ClientSubnet, DnsName, Question, RecordType, SiteName, explain};

use crate::geo::GeoArgs;
use crate::run::HostArgs;

/// Arguments of `meridian explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The name that is asked for, fully qualified.
    #[arg(value_parser = name)]
    name: DnsName,
    /// The type that is asked for.
    #[arg(long = "type", default_value = "A", value_name = "TYPE", value_parser = record_type)]
    record_type: RecordType,
    /// Address that the query comes from.
    #[arg(long, value_name = "IP", required_unless_present = "ecs")]
    from: Option<IpAddr>,
    /// Client network that a resolver tells of (EDNS Client Subnet).
    #[arg(long, value_name = "NETWORK")]
    ecs: Option<IpNet>,
    /// Cluster whose listener is asked.
    #[arg(long, value_name = "SITE")]
    at_listener: Option<String>,
    /// Form of the output.
    #[arg(short, long, default_value = "text", value_name = "FORMAT")]
    output: Output,
    #[command(flatten)]
    geo: GeoArgs,
    #[command(flatten)]
    host: HostArgs,
}

/// Form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Explains one answer.
pub(crate) async fn run(args: ExplainArgs) -> Result<()> {
    let site = args.at_listener.map(SiteName::new);
    let client = Client {
        source: match (args.from, args.ecs) {
            (Some(from), _) => from,
            (None, Some(subnet)) => subnet.network(),
            (None, None) => bail!("give --from or --ecs"),
        },
        subnet: args.ecs.map(|network| ClientSubnet {
            network: network.trunc(),
            trusted: false,
        }),
        site: site.as_ref(),
        rotation: 0,
    };
    let mut found = collect::collect(&args.host.client().await?).await?;
    let classes = args.geo.read(found.snapshot.sites().clone()).await?;
    found.snapshot = found.snapshot.with_geo(classes);
    if let Some(site) = &site
        && found.snapshot.sites().get(site).is_none()
    {
        bail!("--at-listener {site}: the host has no Cluster of that name");
    }
    let question = Question {
        name: args.name,
        record_type: args.record_type,
    };
    let explanation = explain(&found.snapshot, &question, client);
    let shown = show::Shown {
        question: &question,
        client,
        explanation: &explanation,
        found: &found,
    };
    match args.output {
        Output::Text => print!("{}", shown.text()),
        Output::Json => println!("{}", serde_json::to_string_pretty(&shown.json())?),
    }
    Ok(())
}

fn name(text: &str) -> Result<DnsName, String> {
    DnsName::parse(&text.to_ascii_lowercase()).map_err(|error| error.to_string())
}

fn record_type(text: &str) -> Result<RecordType, String> {
    RecordType::from_mnemonic(&text.to_ascii_uppercase()).ok_or_else(|| format!("{text:?} is not a type such as AAAA"))
}
