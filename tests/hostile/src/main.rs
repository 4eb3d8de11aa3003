//! `meridian-hostile run`: hostile clients against a server, while a good one counts its answers.
//!
//! The server is a process of its own (`meridian-hostile serve`), on loopback, with the settings of
//! `meridian run` and a fleet of `meridian_hostile::world`; so its memory is its own. What must stay true:
//! - every class of attack is bounded in number and in time, and the whole run ends by itself; the server
//!   ends with its standard input, whatever becomes of this program;
//! - what is counted is what a resolver would see: a query is tried three times, a second each, over UDP;
//!   and once over a new TCP connection;
//! - the run fails if the server ends, holds more memory than its limits allow, or leaves a good client
//!   over UDP without answers.
//!
//! `meridian-hostile fuzz` is the engine for fuzz targets on the stable compiler.

mod attack;
mod fuzzing;
mod observe;
mod serve;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::observe::Figures;

#[derive(Debug, Parser)]
#[command(name = "meridian-hostile")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// All classes of attack, one after the other.
    Run {
        /// Random and mutated packets over UDP.
        #[arg(long, default_value_t = 10_000_000)]
        packets: u64,
        /// Connections that say nothing.
        #[arg(long, default_value_t = 10_000)]
        connections: usize,
        /// Seconds that connections are held.
        #[arg(long, default_value_t = 15)]
        seconds: u64,
    },
    /// Changes the corpus of a target, or of all, for some seconds each.
    Fuzz {
        /// One target; all without it.
        target: Option<String>,
        /// For each target.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Another one makes other inputs.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// The server of `run`.
    #[command(hide = true)]
    Serve,
}

/// Of a thousand queries of a good client over UDP, at least so many are answered within three tries, in
/// every class. A flood that offers more than the processors can take fills the system's queue, and what
/// does not fit into it is lost whoever sent it; so this is not a thousand.
const LEAST_ANSWERED: u64 = 800;

/// What the server may hold at most, in MiB: 4,096 connections of 50 KB, and as much again.
const MOST_MEMORY: u64 = 400;

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Run {
            packets,
            connections,
            seconds,
        } => run(packets, connections, Duration::from_secs(seconds)),
        Command::Fuzz { target, seconds, seed } => fuzzing::fuzz(target.as_deref(), Duration::from_secs(seconds), seed),
        Command::Serve => serve::serve(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(packets: u64, connections: usize, time: Duration) -> anyhow::Result<()> {
    let server = serve::start().await?;
    println!("{}", Figures::HEAD);
    let mut all = Vec::new();
    all.push(observe::during(&server, "nobody", attack::nothing(time / 5)).await?);
    all.push(observe::during(&server, "random and mutated packets", attack::packets(&server, packets)).await?);
    all.push(
        observe::during(
            &server,
            "oversized names and loops",
            attack::names(&server, packets / 20),
        )
        .await?,
    );
    all.push(observe::during(&server, "made-up names", attack::made_up(&server, packets / 10)).await?);
    all.push(observe::during(&server, "idle connections", attack::idle(&server, connections, time)).await?);
    all.push(observe::during(&server, "slow writers over TCP", attack::slow(&server, false, time)).await?);
    all.push(observe::during(&server, "slow writers over TLS", attack::slow(&server, true, time)).await?);
    all.push(observe::during(&server, "clients that do not read", attack::deaf(&server, time)).await?);
    all.push(observe::during(&server, "nobody, afterwards", attack::nothing(time / 5)).await?);
    server.is_alive()?;
    let memory = all.iter().map(|figures| figures.memory).max().unwrap_or(0);
    println!("the server held {memory} MiB at most");
    for figures in &all {
        let (answered, class) = (figures.answered_in_a_thousand(), figures.class);
        if answered < LEAST_ANSWERED {
            anyhow::bail!("{class}: of a thousand queries {answered} were answered, fewer than {LEAST_ANSWERED}");
        }
    }
    if memory > MOST_MEMORY {
        anyhow::bail!("the server held more than {MOST_MEMORY} MiB");
    }
    Ok(())
}
