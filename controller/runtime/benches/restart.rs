//! A restart without a host: from the start of the process to the first answer out of the snapshot file.
//!
//! `cargo bench -p meridian --bench restart`. The promise under test: with 10,000 names it takes less than 100 ms,
//! and nobody else has to be there. The name that is asked for is another one each time.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use meridian_dns_core::{
    DnsName, Fallback, Liveness, NameChange, RoutedName, Saved, Shard, ShardData, ShardHealth, Site, SiteName,
    Snapshot, Soa, Traffic, WhenNoneHealthy, Zone,
};

const NAMES: u32 = 10_000;
const SITES: u8 = 3;
const RUNS: u32 = 30;
/// A start that takes longer has failed.
const LIMIT: Duration = Duration::from_secs(20);

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let octets = snapshot().encode().expect("a snapshot");
    std::fs::write(folder.path().join("snapshot"), &octets).expect("written");
    std::fs::write(folder.path().join("host"), NOBODY).expect("written");
    let mut times: Vec<_> = (0..RUNS).map(|run| restart(folder.path(), run)).collect();
    times.sort();
    let millis = |time: Duration| time.as_secs_f64() * 1000.0;
    println!(
        "restart with {NAMES} names in {SITES} sites (a file of {} KiB), {RUNS} times: to the first answer p50 {:.1} ms, most {:.1} ms",
        octets.len() / 1024,
        millis(times[times.len() / 2]),
        millis(times[times.len() - 1]),
    );
}

/// A host that is not there.
const NOBODY: &str = "
apiVersion: v1
kind: Config
current-context: nobody
clusters: [{name: nobody, cluster: {server: 'http://127.0.0.1:1'}}]
users: [{name: nobody, user: {}}]
contexts: [{name: nobody, context: {cluster: nobody, user: nobody}}]
";

fn name(text: &str) -> DnsName {
    DnsName::parse(text).expect("a valid name")
}

fn asked(number: u32) -> String {
    format!("web-{number}.shop.prod.svc.example.test")
}

fn snapshot() -> Saved {
    let site = |number: u8| Site {
        region: format!("region-{number}"),
        zones: Vec::new(),
        location: None,
        networks: vec![format!("100.{number}.0.0/16").parse().expect("a network")],
        internal_networks: Vec::new(),
        weight: 100,
        liveness: Liveness::Alive,
        traffic: Traffic::Active,
    };
    let sites = (0..SITES).map(|number| (SiteName::new(format!("cluster-{number}")), site(number)));
    let routed = |number: u32| {
        let [_, _, high, low] = number.to_be_bytes();
        let shard = |site: u8| {
            let address = IpAddr::from(Ipv4Addr::new(10, site, high, low));
            Shard::new(ShardData::Addresses(vec![address]), ShardHealth::Healthy)
        };
        let shards = (0..SITES).map(|site| (SiteName::new(format!("cluster-{site}")), shard(site)));
        NameChange::Set(Arc::new(RoutedName {
            name: name(&asked(number)),
            ttl: 30,
            shards: shards.collect(),
            fallback: Fallback::Policy(WhenNoneHealthy::FailOpen),
            ipv6: false,
            https: None,
            policy: None,
        }))
    };
    let soa = Soa {
        primary: name("ns1.example.test"),
        mailbox: name("hostmaster.example.test"),
        serial: 1,
        refresh: 7200,
        retry: 600,
        expire: 86_400,
        minimum: 5,
    };
    let changes: Vec<_> = (0..NAMES).map(routed).collect();
    let zone = Zone::new(name("example.test"), soa, Vec::new())
        .with(&changes, 2)
        .with_complete(true);
    let age = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    Saved {
        as_of: u64::try_from(age.as_millis()).expect("a few centuries"),
        snapshot: Snapshot::default().with_sites(sites.collect()).with_zone(zone),
    }
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One start and one answer.
fn restart(folder: &Path, run: u32) -> Duration {
    let [.., high, low] = std::process::id().to_be_bytes();
    let at = |port| SocketAddr::from(([127, 128 | high, low, 1], port));
    let file = |name: &str| folder.join(name).display().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
    command
        .args(["run", "--dns", &at(5300).to_string(), "--admin", &at(8053).to_string()])
        .args(["--snapshot", &file("snapshot"), "--kubeconfig", &file("host")])
        .env("MERIDIAN_LOG", "off")
        .stdout(Stdio::null());
    let query = query(&asked(run * (NAMES / RUNS)));
    let begun = Instant::now();
    let server = Server(command.spawn().expect("the binary runs"));
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.connect(at(5300)).expect("a route");
    let mut reply = [0; 512];
    socket
        .set_read_timeout(Some(Duration::from_millis(1)))
        .expect("a limit");
    loop {
        assert!(begun.elapsed() < LIMIT, "no answer");
        // Until somebody listens the system says so.
        let answered = socket.send(&query).and_then(|_| socket.recv(&mut reply));
        match answered {
            Ok(_) => {
                let answers = u16::from_be_bytes([reply[6], reply[7]]);
                assert_eq!((reply[3] & 0x0f, answers), (0, 1), "an answer out of the snapshot");
                break;
            }
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                std::thread::sleep(Duration::from_micros(200));
            }
            Err(_) => {}
        }
    }
    let taken = begun.elapsed();
    drop(server);
    taken
}

fn query(text: &str) -> Vec<u8> {
    let head = [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    [&head[..], &name(text).to_octets(), &[0, 1, 0, 1]].concat()
}
