//! `meridian dnssec`: the keys of a zone for its operator.
//!
//! What must stay true: what the parent needs can be read with no right to read Secrets, from the status of
//! the DNSZone; no private key is ever printed; replacing keys only asks, the leader does it step by step.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use meridian_dns_core::DnsName;
use meridian_dns_core::dnssec::rollover::{KeyRing, RingKey, Wait, waits};
use meridian_federation_api as api;
use meridian_federation_core::names::{FIELD_MANAGER, ROLL_KSK_ANNOTATION, ROLL_ZSK_ANNOTATION};
use serde_json::{Value, json};

use crate::clock::now;
use crate::keys::folder::KeyFolder;
use crate::keys::stored::StoredKeys;
use crate::run::HostArgs;

/// What to do with the keys of a zone.
#[derive(Debug, Subcommand)]
pub(crate) enum DnssecCommand {
    /// Print the DS records that the parent of the zone should have.
    Ds(DsArgs),
    /// Show the zone's keys and what they wait for.
    Status(KeysOf),
    /// Replace keys now, step by step, without a moment of invalid answers.
    Roll(RollArgs),
}

/// Arguments of `meridian dnssec ds`.
#[derive(Debug, Args)]
pub(crate) struct DsArgs {
    #[command(flatten)]
    of: KeysOf,
    /// Print the DNSKEY records instead.
    #[arg(long)]
    dnskey: bool,
}

/// Whose keys, and where they are read.
#[derive(Debug, Args)]
pub(crate) struct KeysOf {
    /// The zone's domain.
    #[arg(value_parser = zone_name)]
    zone: DnsName,
    #[command(flatten)]
    host: HostArgs,
    /// Read a replica's folder of keys instead of the host.
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["kubeconfig", "context"])]
    dnssec_keys: Option<PathBuf>,
}

/// Arguments of `meridian dnssec roll`.
#[derive(Debug, Args)]
#[group(id = "what", required = true, multiple = true, args = ["ksk", "zsk", "algorithm"])]
pub(crate) struct RollArgs {
    /// The zone's domain.
    #[arg(value_parser = zone_name)]
    zone: DnsName,
    #[command(flatten)]
    host: HostArgs,
    /// Replace the key that signs keys (KSK, or the CSK). It needs a new DS in the parent.
    #[arg(long)]
    ksk: bool,
    /// Replace the key that signs data (ZSK, or the CSK).
    #[arg(long)]
    zsk: bool,
    /// Change to this algorithm, with new keys. It needs a new DS in the parent.
    #[arg(long, value_name = "ALGORITHM", ignore_case = true)]
    algorithm: Option<AlgorithmArg>,
    /// Only print what would be changed.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum AlgorithmArg {
    #[value(name = "ECDSAP256SHA256")]
    EcdsaP256,
    #[value(name = "ED25519")]
    Ed25519,
}

fn zone_name(text: &str) -> Result<DnsName, String> {
    DnsName::parse(text.trim_end_matches('.')).map_err(|error| error.to_string())
}

/// Does it.
pub(crate) async fn run(command: DnssecCommand) -> Result<()> {
    match command {
        DnssecCommand::Ds(args) => ds(args).await,
        DnssecCommand::Status(args) => status(args).await,
        DnssecCommand::Roll(args) => roll(args).await,
    }
}

async fn ds(args: DsArgs) -> Result<()> {
    let zone = &args.of.zone;
    let lines = match (args.of.dnssec_keys, args.dnskey) {
        (Some(folder), dnskey) => lines_of(&of_folder(folder, zone)?.ring, zone, dnskey),
        (None, dnskey) => {
            let host = args.of.host.client().await?;
            let object = zone_object(&host, zone).await?;
            let told = object.status.and_then(|status| status.dnssec).unwrap_or_default();
            if dnskey { told.dnskeys } else { told.ds }
        }
    };
    if lines.is_empty() {
        bail!("no key of {zone} is ready for the parent; see `meridian dnssec status {zone}`");
    }
    for line in lines {
        println!("{line}");
    }
    Ok(())
}

fn lines_of(ring: &KeyRing, zone: &DnsName, dnskey: bool) -> Vec<String> {
    let wanted = |key: &&RingKey| {
        if dnskey {
            key.dnskey.phase.is_shown()
        } else {
            key.ds.phase.is_shown()
        }
    };
    let line = |key: &RingKey| {
        if dnskey {
            key.key.dnskey_line(zone)
        } else {
            key.key.ds_line(zone)
        }
    };
    ring.keys.iter().filter(wanted).map(line).collect()
}

async fn status(args: KeysOf) -> Result<()> {
    if let Some(folder) = args.dnssec_keys {
        let ring = of_folder(folder, &args.zone)?.ring;
        let rows = ring.keys.iter().map(|key| {
            let phase = |has: bool, phase: &'static str| if has { phase } else { "-" };
            let (signs_data, signs_keys) = (key.role.signs_data(), key.role.signs_keys());
            [
                key.key.tag().to_string(),
                key.role.as_str().to_owned(),
                key.key.algorithm.to_string(),
                key.dnskey.phase.as_str().to_owned(),
                phase(signs_data, key.zone_signatures.phase.as_str()).to_owned(),
                phase(signs_keys, key.ds.phase.as_str()).to_owned(),
            ]
        });
        print!("{}", table(rows));
        for wait in waits(&ring) {
            println!("waiting for {wait}{}", until(&wait, now().0 / 1000));
        }
        return Ok(());
    }
    let host = args.host.client().await?;
    let object = zone_object(&host, &args.zone).await?;
    let status = object.status.unwrap_or_default();
    let rows = status.dnssec.unwrap_or_default().keys.into_iter().map(|key| {
        let or_none = |phase: Option<String>| phase.unwrap_or_else(|| "-".to_owned());
        [
            key.tag.to_string(),
            key.role,
            key.algorithm,
            key.dnskey,
            or_none(key.zone_signatures),
            or_none(key.ds),
        ]
    });
    print!("{}", table(rows));
    for condition in status.conditions {
        if ["Signed", "DelegationSigned"].contains(&condition.type_.as_str()) {
            println!(
                "{}: {} ({}): {}",
                condition.type_, condition.status, condition.reason, condition.message
            );
        }
    }
    Ok(())
}

/// Columns as wide as they must be.
fn table(rows: impl Iterator<Item = [String; 6]>) -> String {
    let head = ["TAG", "ROLE", "ALGORITHM", "DNSKEY", "SIGNATURES", "DS"].map(str::to_owned);
    let rows: Vec<_> = [head].into_iter().chain(rows).collect();
    let widths = [0, 1, 2, 3, 4, 5].map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0));
    let line = |row: &[String; 6]| {
        let cells: Vec<_> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

fn until(wait: &Wait, now: u64) -> String {
    match wait {
        Wait::Caches { until, .. } => match until.saturating_sub(now) {
            seconds @ 0..120 => format!(", {seconds} s"),
            seconds @ 120..7200 => format!(", {} min", seconds / 60),
            seconds => format!(", {} h", seconds / 3600),
        },
        Wait::DsToCome { .. } | Wait::DsToGo { .. } => String::new(),
    }
}

async fn roll(args: RollArgs) -> Result<()> {
    let host = args.host.client().await?;
    let object = zone_object(&host, &args.zone).await?;
    if object.spec.dnssec.is_none() {
        bail!("DNSZone {} is not signed; set spec.dnssec", object.name_any());
    }
    let patch = change(args.ksk, args.zsk, args.algorithm, now().0 / 1000);
    if args.dry_run {
        println!("would change DNSZone {}: {patch}", object.name_any());
        return Ok(());
    }
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let zones = Api::<api::DNSZone>::all(host);
    let patched = zones
        .patch(&object.name_any(), &parameters, &Patch::Merge(&patch))
        .await;
    patched.with_context(|| format!("DNSZone {} cannot be changed", object.name_any()))?;
    println!("asked for; follow it with `meridian dnssec status {}`", args.zone);
    Ok(())
}

/// What to change in the DNSZone.
fn change(ksk: bool, zsk: bool, algorithm: Option<AlgorithmArg>, now: u64) -> Value {
    let mut patch = json!({});
    for (wanted, annotation) in [(ksk, ROLL_KSK_ANNOTATION), (zsk, ROLL_ZSK_ANNOTATION)] {
        if wanted {
            patch["metadata"]["annotations"][annotation] = json!(now.to_string());
        }
    }
    if let Some(algorithm) = algorithm {
        patch["spec"]["dnssec"]["algorithm"] = json!(match algorithm {
            AlgorithmArg::EcdsaP256 => "ECDSAP256SHA256",
            AlgorithmArg::Ed25519 => "ED25519",
        });
    }
    patch
}

async fn zone_object(host: &Client, zone: &DnsName) -> Result<api::DNSZone> {
    let zones = Api::<api::DNSZone>::all(host.clone());
    let listed = zones.list(&ListParams::default()).await;
    let listed = listed.context("the DNSZones of the host cannot be listed; check --kubeconfig")?;
    let found = listed
        .into_iter()
        .find(|object| DnsName::parse(&object.spec.domain).as_ref() == Ok(zone));
    found.with_context(|| format!("no DNSZone of the host has the domain {zone}"))
}

fn of_folder(folder: PathBuf, zone: &DnsName) -> Result<StoredKeys> {
    let shown = folder.display().to_string();
    let (keys, problems) = KeyFolder::new(folder).read_all();
    let found = keys.into_iter().find(|keys| keys.zone == *zone);
    found.with_context(|| match problems.is_empty() {
        true => format!("{shown} has no keys of {zone}"),
        false => format!("{shown} has no keys of {zone}: {}", problems.join("; ")),
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::keys::care::care;
    use crate::keys::care::tests::policy;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        command: DnssecCommand,
    }

    #[test]
    fn a_roll_says_which_keys() {
        let parse = |text: &str| Line::try_parse_from(["dnssec"].into_iter().chain(text.split_whitespace()));
        for good in [
            "roll example.org --ksk",
            "roll example.org. --ksk --zsk",
            "roll a.test --algorithm ed25519",
        ] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in [
            "roll example.org",
            "roll --ksk",
            "roll a..b --ksk",
            "ds",
            "ds a.test --dnssec-keys x --kubeconfig y",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let patch = change(true, false, Some(AlgorithmArg::Ed25519), 7);
        let expected = json!({
            "metadata": {"annotations": {"meridian.dev/dnssec-roll-ksk": "7"}},
            "spec": {"dnssec": {"algorithm": "ED25519"}},
        });
        assert_eq!(patch, expected);
    }

    #[test]
    fn lines_are_for_the_parent_and_for_trust_anchors() {
        let zone = DnsName::parse("example.test").expect("a name");
        let first = care(&StoredKeys::empty(zone.clone()), &policy(), None, 1)
            .expect("keys")
            .keys;
        assert!(lines_of(&first.ring, &zone, false).is_empty(), "not ready");
        let ready = care(&first, &policy(), None, 1000).expect("keys").keys;
        let ds = lines_of(&ready.ring, &zone, false);
        assert!(ds.len() == 1 && ds[0].starts_with("example.test. IN DS "), "{ds:?}");
        let dnskey = lines_of(&ready.ring, &zone, true);
        assert!(dnskey[0].starts_with("example.test. IN DNSKEY 257 3 13 "), "{dnskey:?}");
        assert!(dnskey[1].starts_with("example.test. IN DNSKEY 256 3 13 "), "{dnskey:?}");
        let row = ["1", "KSK", "ED25519", "rumoured", "-", "hidden"].map(str::to_owned);
        let expected =
            "TAG  ROLE  ALGORITHM  DNSKEY    SIGNATURES  DS\n1    KSK   ED25519    rumoured  -           hidden\n";
        assert_eq!(table([row].into_iter()), expected);
    }
}
