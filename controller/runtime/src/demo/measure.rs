//! How long it takes from a write to a cluster's API to the changed answer over UDP.
//!
//! Two of the story's steps are repeated: the pods of a service stop being ready, and a cluster is drained,
//! each there and back. The clock starts before the request is sent, so the API's own time, the simulated
//! kubelet's and the endpoint controller's are in the figures.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use meridian_dns_core::RecordType;
use meridian_dns_server::client::Transport;

use super::expect::addresses_of;
use super::objects::global;
use super::story::Story;

const CLIENT: &str = "100.64.30.0/24";
const LIMIT: Duration = Duration::from_secs(10);

/// Repeats and prints the figures.
pub(super) async fn run(story: &Story<'_>, times: u32, json: bool) -> Result<()> {
    let mut readiness = Vec::new();
    let mut drain = Vec::new();
    for _ in 0..times {
        for ready in [false, true] {
            readiness.push(timed(story, story.set_ready("os-taipei", "web", ready)).await?);
        }
        for traffic in ["Drained", "Active"] {
            drain.push(timed(story, story.set_traffic("os-taipei", traffic)).await?);
        }
    }
    for (what, mut times) in [("pod readiness (step 3)", readiness), ("drain (step 8)", drain)] {
        times.sort();
        let [p50, p99, most] = [50, 99, 100].map(|percent| percentile(&times, percent).as_secs_f64() * 1000.0);
        if json {
            println!(
                "{}",
                serde_json::json!({"what": what, "changes": times.len(), "p50_ms": p50, "p99_ms": p99, "max_ms": most})
            );
        } else {
            println!(
                "{what:<24} {} changes: p50 {p50:.1} ms, p99 {p99:.1} ms, max {most:.1} ms",
                times.len()
            );
        }
    }
    Ok(())
}

/// From before the write to the first answer that differs from the one before it.
async fn timed(story: &Story<'_>, write: impl Future<Output = Result<()>>) -> Result<Duration> {
    let before = answer(story).await?;
    let started = Instant::now();
    // The write and the questions run side by side: the answer may change before the request returns.
    let asking = async {
        loop {
            if answer(story).await? != before {
                return Ok::<_, anyhow::Error>(started.elapsed());
            }
            ensure!(
                started.elapsed() < LIMIT,
                "the answer did not change within {} s",
                LIMIT.as_secs()
            );
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
    };
    let (written, elapsed) = tokio::join!(write, asking);
    written.context("the write failed")?;
    elapsed
}

async fn answer(story: &Story<'_>) -> Result<Vec<std::net::IpAddr>> {
    let reply = story
        .asker
        .ask(Transport::Udp, &global("web"), RecordType::A, Some(CLIENT))
        .await?;
    Ok(addresses_of(&reply))
}

/// The nearest-rank percentile of sorted times.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}
