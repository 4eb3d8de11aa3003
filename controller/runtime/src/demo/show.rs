//! What the demo prints: the clusters, the names, who gets which address, what to try, and every change.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Instant;

use meridian_dns_core::{Client, DnsName, Outcome, Question, RecordData, RecordType, Snapshot, answer};
use meridian_simcluster::workload::READY_ANNOTATION;

use super::fleet::{Fleet, MEMBERS, SERVICE_PORT};
use super::objects::{NAMESPACE, SERVICES, global, local};
use crate::controller::{Cause, Change};

/// A sample client: where it is and its network.
const CLIENTS: [(&str, &str); 4] = [
    ("near us-west", "100.64.10.0/24"),
    ("near ap-northeast", "100.64.20.0/24"),
    ("near os-taipei", "100.64.30.0/24"),
    ("anywhere else", "192.0.2.0/24"),
];

/// What each name answers each sample client: `(name, network)` to a short text.
pub(super) type View = BTreeMap<(String, &'static str), String>;

/// The names that the demo shows.
fn names() -> Vec<String> {
    let mut names = Vec::new();
    for service in SERVICES {
        names.push(global(service));
        for member in MEMBERS {
            names.push(local(service, member.region));
            names.extend(
                member
                    .zones
                    .iter()
                    .map(|zone| local(service, &format!("{zone}.{}", member.region))),
            );
        }
    }
    names
}

/// Asks the snapshot for every name and client.
pub(super) fn view(snapshot: &Snapshot, fleet: &Owners) -> View {
    let mut view = View::new();
    for name in names() {
        for (_, network) in CLIENTS {
            view.insert((name.clone(), network), short(snapshot, &name, network, fleet));
        }
    }
    view
}

fn short(snapshot: &Snapshot, name: &str, network: &str, owners: &Owners) -> String {
    let (Ok(name), Some(address)) = (
        DnsName::parse(name),
        network.split('/').next().and_then(|address| address.parse().ok()),
    ) else {
        return String::new();
    };
    let reply = answer(
        snapshot,
        &Question {
            name,
            record_type: RecordType::A,
        },
        Client::at(address),
    );
    let alias = reply
        .answers
        .iter()
        .any(|set| set.data.iter().any(|data| data.record_type() == RecordType::Cname));
    let addresses: Vec<_> = reply
        .answers
        .iter()
        .flat_map(|set| &set.data)
        .filter_map(|data| match data {
            RecordData::A(address) => Some(owners.describe(IpAddr::V4(*address))),
            _ => None,
        })
        .collect();
    match (reply.outcome, addresses.is_empty()) {
        (Outcome::NxDomain, _) => "NXDOMAIN".to_owned(),
        (Outcome::ServFail | Outcome::YxDomain, _) => "SERVFAIL".to_owned(),
        (_, true) => "no address".to_owned(),
        (_, false) => format!("{}{}", if alias { "alias to " } else { "" }, addresses.join(", ")),
    }
}

/// Which cluster an address of the demo belongs to: its third octet says so.
pub(super) struct Owners(pub(super) [u8; 2]);

impl Owners {
    fn describe(&self, address: IpAddr) -> String {
        let IpAddr::V4(v4) = address else {
            return address.to_string();
        };
        let octets = v4.octets();
        let owner = MEMBERS
            .iter()
            .find(|member| octets[..2] == self.0 && octets[2] == member.octet);
        owner.map_or_else(|| address.to_string(), |member| format!("{address} ({})", member.name))
    }
}

/// The picture at the start.
pub(super) fn introduction(fleet: &Fleet, dns: SocketAddr, view: &View) -> String {
    let mut text = String::from("\nClusters\n");
    for member in &fleet.members {
        let plan = member.plan;
        let _ = writeln!(
            text,
            "  {:<13} region {:<15} zones {:<24} clients {}",
            plan.name,
            plan.region,
            plan.zones.join(", "),
            plan.network
        );
    }
    text.push_str("\nNames, and who gets which address\n");
    for name in names() {
        let answer = |network| view.get(&(name.clone(), network)).map_or("", String::as_str);
        let first = answer(CLIENTS[0].1);
        if CLIENTS.iter().all(|(_, network)| answer(network) == first) {
            let _ = writeln!(text, "  {name:<62} everybody: {first}");
        } else {
            let _ = writeln!(text, "  {name}");
            for (who, network) in CLIENTS {
                let _ = writeln!(text, "      {who:<20}{}", answer(network));
            }
        }
    }
    text.push_str(&commands(fleet, dns));
    text
}

fn commands(fleet: &Fleet, dns: SocketAddr) -> String {
    let web = global("web");
    let kubeconfig = |path: &Path| format!("kubectl --kubeconfig {}", path.display());
    let taipei = kubeconfig(&fleet.member("os-taipei").kubeconfig);
    let host = kubeconfig(&fleet.host_kubeconfig);
    let dig = format!("dig +short @{} -p {}", dns.ip(), dns.port());
    format!(
        "\nTry\n  {dig} {web} +subnet=100.64.30.0/24\n  {dig} {} CNAME\n  {dig} _http._tcp.{web} SRV\n  curl http://$({dig} {web} +subnet=100.64.30.0/24 | head -1):{SERVICE_PORT}/\n  {taipei} get deployments,services,pods -n {NAMESPACE}\n  {taipei} annotate pods -n {NAMESPACE} -l app=web --overwrite {READY_ANNOTATION}=false\n  {host} get clusters,dnszones\n  {host} get federateddeployments,federatedservices -n {NAMESPACE}\n  {host} patch cluster os-taipei --type merge -p '{{\"spec\":{{\"traffic\":\"Drained\"}}}}'\n",
        local("web", "dc1.taipei"),
    )
}

/// The lines of one change: what each name now answers whom, and how long it took.
pub(super) fn change(before: &View, after: &View, change: &Change, fleet: &Fleet) -> Vec<String> {
    let mut moved: BTreeMap<(&String, &String, &String), Vec<&str>> = BTreeMap::new();
    for ((name, network), now) in after {
        let old = before.get(&(name.clone(), network));
        if let Some(old) = old.filter(|old| *old != now) {
            moved.entry((name, old, now)).or_default().push(network);
        }
    }
    let mut lines: Vec<String> = moved
        .into_iter()
        .map(|((name, old, now), networks)| {
            let whom = if networks.len() == CLIENTS.len() {
                "everybody".to_owned()
            } else {
                networks.join(", ")
            };
            format!("{name}  {whom}: {old} -> {now}")
        })
        .collect();
    if !lines.is_empty() {
        lines.push(format!("    {}", because(change, fleet)));
    }
    lines
}

fn because(change: &Change, fleet: &Fleet) -> String {
    let Some(cause) = change.causes.last() else {
        return "something on the host changed".to_owned();
    };
    match cause {
        Cause::Probes {
            cluster,
            connected: true,
        } => format!("a probe reached a load balancer of {cluster} again"),
        Cause::Probes {
            cluster,
            connected: false,
        } => format!("two rounds of probes reached no load balancer of {cluster}"),
        Cause::Object {
            cluster,
            object,
            resource_version,
            received,
        } => {
            let source = cluster
                .as_ref()
                .map_or(&fleet.host_api, |cluster| &fleet.member(cluster.as_str()).api);
            let since = |start: Instant| change.answered.saturating_duration_since(start).as_secs_f64() * 1000.0;
            let here = since(*received);
            let place = cluster.as_ref().map_or("the host", |cluster| cluster.as_str());
            match resource_version
                .parse()
                .ok()
                .and_then(|version| source.committed_at(version))
            {
                Some(written) => format!(
                    "{object} in {place}: {:.1} ms from its write to the changed answer, {here:.1} ms of it here",
                    since(written)
                ),
                None => format!("{object} in {place}: {here:.1} ms from its event to the changed answer"),
            }
        }
    }
}
