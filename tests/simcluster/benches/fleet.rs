//! A fleet in a box: what 500 clusters cost to start and to keep, and how fast their watches deliver.
//!
//! Each cluster has 200 Services and 400 EndpointSlices, as members of a large federation have. The clients
//! are in the same process, so their share of the two cores is in every figure. A delivery that is lost, or
//! comes twice, ends the run: a figure without that check would be worth nothing.
//!
//! `FLEET_CLUSTERS=50` makes a small fleet, to try the program itself.

use std::error::Error;
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use meridian_simcluster::{ClusterOptions, SimCluster};
use serde_json::{Value, json};
use tokio::net::TcpStream;

const SERVICES: usize = 200;
const SLICES_OF_A_SERVICE: usize = 2;
/// Watches of EndpointSlices in each cluster: as many as a few controllers have.
const WATCHERS: usize = 4;
/// Writes in each cluster while deliveries are counted.
const WRITES: usize = 200;
/// Writes, one after the other, of which each one's way to a watcher is timed.
const TIMED_WRITES: usize = 2_000;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The allocator of the `meridian` binary: see there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<()> {
    let clusters = std::env::var("FLEET_CLUSTERS").ok().and_then(|text| text.parse().ok());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(clusters.unwrap_or(500)))
}

async fn measure(clusters: usize) -> Result<()> {
    let before = resident()?;
    let started = Instant::now();
    let mut fleet = Vec::with_capacity(clusters);
    for number in 0..clusters {
        let options = ClusterOptions {
            objects: objects(),
            ..ClusterOptions::named(&format!("cluster-{number}"))
        };
        fleet.push(SimCluster::start(options).await?);
    }
    let count = clusters * SERVICES * (1 + SLICES_OF_A_SERVICE);
    let bytes = resident()? - before;
    println!(
        "start:      {clusters} clusters with {count} objects in {:.1} s, {} MiB in memory, {} bytes an object",
        started.elapsed().as_secs_f64(),
        bytes >> 20,
        bytes / count as u64
    );
    deliveries(&fleet).await?;
    latency(&fleet[0]).await
}

/// Everything a cluster has.
fn objects() -> Vec<Value> {
    let mut objects = vec![json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})];
    for number in 0..SERVICES {
        let name = format!("service-{number}");
        let labels = json!({"app": name, "meridian.dev/export": "true"});
        objects.push(json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"namespace": "shop", "name": name, "labels": labels},
            "spec": {
                "type": "LoadBalancer", "selector": {"app": name},
                "ports": [{"name": "http", "port": 80, "targetPort": 8080}, {"name": "https", "port": 443, "targetPort": 8443}],
            },
        }));
        for part in 0..SLICES_OF_A_SERVICE {
            objects.push(json!({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                "metadata": {
                    "namespace": "shop", "name": format!("{name}-{part}"),
                    "labels": {"app": name, "meridian.dev/export": "true", "kubernetes.io/service-name": name},
                },
                "addressType": "IPv4",
                "ports": [{"name": "http", "port": 8080}, {"name": "https", "port": 8443}],
                "endpoints": [endpoint(1, true), endpoint(2, true), endpoint(3, true)],
            }));
        }
    }
    objects
}

fn endpoint(number: u8, ready: bool) -> Value {
    json!({
        "addresses": [format!("10.0.0.{number}")],
        "conditions": {"ready": ready, "serving": ready, "terminating": false},
        "nodeName": format!("node-{number}"), "zone": "zone-a",
        "targetRef": {"kind": "Pod", "namespace": "shop", "name": format!("pod-{number}")},
    })
}

/// Writes to all clusters at once, until every watcher of every cluster has seen every write.
async fn deliveries(fleet: &[SimCluster]) -> Result<()> {
    let mut watchers = Vec::new();
    for cluster in fleet {
        for _ in 0..WATCHERS {
            watchers.push(Watch::start(cluster).await?);
        }
    }
    let expected = fleet.len() * WATCHERS * WRITES;
    let started = Instant::now();
    let writing = try_join_all(fleet.iter().map(|cluster| {
        let cluster = cluster.clone();
        async move { tokio::spawn(async move { write_many(&cluster).await }).await? }
    }));
    let watching = try_join_all(watchers.into_iter().map(|mut watch| async move {
        let task = tokio::spawn(async move {
            let mut last = 0;
            for _ in 0..WRITES {
                let version = watch.next().await?;
                if version <= last {
                    return Err(format!("version {version} came after {last}").into());
                }
                last = version;
            }
            Ok::<_, Box<dyn Error + Send + Sync>>(())
        });
        task.await?
    }));
    tokio::try_join!(writing, watching)?;
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "deliveries: {expected} to {} watchers in {seconds:.1} s, none lost: {:.0}/s; {:.0} writes/s",
        fleet.len() * WATCHERS,
        expected as f64 / seconds,
        (fleet.len() * WRITES) as f64 / seconds
    );
    Ok(())
}

async fn write_many(cluster: &SimCluster) -> Result<()> {
    let mut client = Client::connect(cluster).await?;
    for number in 0..WRITES {
        client.flip(number).await?;
    }
    Ok(())
}

/// One write at a time, to a watcher that waits for it.
async fn latency(cluster: &SimCluster) -> Result<()> {
    let mut client = Client::connect(cluster).await?;
    let mut watch = Watch::start(cluster).await?;
    let mut times = Vec::with_capacity(TIMED_WRITES);
    // The writes before left every slice as the first of these would: that would be no write.
    for number in SERVICES..SERVICES + TIMED_WRITES {
        let started = Instant::now();
        let (seen, written) = tokio::join!(watch.next(), client.flip(number));
        written?;
        seen?;
        times.push(started.elapsed());
    }
    times.sort_unstable();
    let at = |share: usize| times[times.len() * share / 100].as_secs_f64() * 1e3;
    println!(
        "latency:    a write seen by a watcher, from before the request: p50 {:.2} ms, p99 {:.2} ms",
        at(50),
        at(99)
    );
    Ok(())
}

/// A connection of its own, as each of a controller's clients has.
struct Client {
    sender: http1::SendRequest<Full<Bytes>>,
    token: String,
}

impl Client {
    async fn connect(cluster: &SimCluster) -> Result<Client> {
        let stream = TcpStream::connect(cluster.address()).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // It ends with the sender.
        tokio::spawn(connection);
        let kubeconfig = cluster.kubeconfig(cluster.address());
        let token = kubeconfig.lines().find_map(|line| line.trim().strip_prefix("token: "));
        Ok(Client {
            sender,
            token: token.ok_or("the kubeconfig has no token")?.to_owned(),
        })
    }

    async fn send(&mut self, method: &str, path: &str, content_type: &str, body: String) -> Result<Incoming> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "cluster")
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::CONTENT_TYPE, content_type)
            .body(Full::new(Bytes::from(body)))?;
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        match response.status().is_success() {
            true => Ok(response.into_body()),
            false => Err(format!("{method} {path}: {}", response.status()).into()),
        }
    }

    /// Turns the readiness of a slice's first endpoint over.
    async fn flip(&mut self, number: usize) -> Result<()> {
        let slice = format!("service-{}-0", number % SERVICES);
        let path = format!("/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices/{slice}");
        let ready = number / SERVICES % 2 == 1;
        let body = json!({"endpoints": [endpoint(1, ready), endpoint(2, true), endpoint(3, true)]});
        let answer = self.send("PATCH", &path, "application/merge-patch+json", body.to_string());
        answer.await?.collect().await?;
        Ok(())
    }
}

/// A watch, read event by event.
struct Watch {
    body: Incoming,
    buffer: Vec<u8>,
    _client: Client,
}

impl Watch {
    /// Starts now: the first event is that of the next write.
    async fn start(cluster: &SimCluster) -> Result<Watch> {
        let mut client = Client::connect(cluster).await?;
        let path = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices";
        let list = client
            .send("GET", &format!("{path}?limit=1"), "", String::new())
            .await?;
        let list: Value = serde_json::from_slice(&list.collect().await?.to_bytes())?;
        let version = list["metadata"]["resourceVersion"].as_str().unwrap_or_default();
        let path = format!("{path}?watch=true&resourceVersion={version}");
        let body = client.send("GET", &path, "", String::new()).await?;
        Ok(Watch {
            body,
            buffer: Vec::new(),
            _client: client,
        })
    }

    /// The version of the object in the next event.
    async fn next(&mut self) -> Result<u64> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return version_of(&line);
            }
            let frame = tokio::time::timeout(Duration::from_secs(60), self.body.frame()).await?;
            let frame = frame.ok_or("a watch ended")??;
            if let Ok(data) = frame.into_data() {
                self.buffer.extend_from_slice(&data);
            }
        }
    }
}

/// Read without parsing the whole: the clients' work is not what is measured.
fn version_of(line: &[u8]) -> Result<u64> {
    let line = std::str::from_utf8(line)?;
    let marker = "\"resourceVersion\":\"";
    let at = line.find(marker).ok_or_else(|| format!("no version in {line}"))?;
    let rest = &line[at + marker.len()..];
    Ok(rest[..rest.find('"').ok_or("an open string")?].parse()?)
}

/// Memory of this process that is really in use, in bytes.
fn resident() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()).ok_or("no VmRSS")?;
    Ok(kibibytes.parse::<u64>()? << 10)
}
