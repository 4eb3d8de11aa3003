//! The `meridian` binary: arguments and wiring. It decides nothing; the cores do.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage.

mod admin;
mod clock;
mod controller;
mod cookies;
mod demo;
mod dns;
mod dns_settings;
mod dnssec;
mod explain;
mod geo;
mod host;
mod keys;
mod lease;
mod member;
mod message;
mod run;
mod saved;
mod shared_state;
mod status;
#[cfg(test)]
mod testing;
mod transfers;
mod watch;

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// An event makes some thousand small objects and drops as many of another age. With hundreds of thousands
/// of names glibc's allocator then hands out scattered memory, and one event cost three times as much with
/// 10,000 services as with 10 (`cargo bench -p meridian-controller-index`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Cross-cluster DNS and service discovery for Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "meridian", version, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show a federated name leading each client to its nearest healthy cluster, on loopback.
    Demo(demo::DemoArgs),
    /// Run the controller and the DNS server for a host cluster.
    Run(Box<run::RunArgs>),
    /// Show the keys of a signed zone and the DS records for its parent, or replace keys.
    #[command(subcommand)]
    Dnssec(dnssec::DnssecCommand),
    /// Tell what a client is answered, and why.
    Explain(Box<explain::ExplainArgs>),
    /// Print the custom resource definitions, ready for `kubectl apply -f -`.
    Crd,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // WARN: someone may have to act. INFO: what a user would feel; the demo tells that itself. The libraries'
    // own chatter about single queries and connections is for nobody: what it means is told by us.
    let level = if matches!(arguments.command, Command::Run(_)) {
        "info"
    } else {
        "warn"
    };
    let default = format!("{level},kube_client=off,{}", meridian_dns_server::LOG_DIRECTIVES);
    let filter = EnvFilter::try_from_env("MERIDIAN_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        .with_writer(std::io::stderr)
        .init();
    match execute(arguments.command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("meridian: {}", meridian_controller_apply::describe(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command) -> Result<bool> {
    // kube builds its TLS configuration from the process's provider. A second install is impossible here.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match command {
            Command::Demo(args) => demo::run(args).await,
            Command::Run(args) => run::run(*args).await.map(|()| true),
            Command::Dnssec(command) => dnssec::run(command).await.map(|()| true),
            Command::Explain(args) => explain::run(*args).await.map(|()| true),
            Command::Crd => run::print_crds().map(|()| true),
        }
    })
}
