//! The project's own commands: `cargo xtask test` and `cargo xtask bench`.
//!
//! What must stay true: `cargo xtask test` needs nothing but Rust, runs the same on every machine, and
//! is all that has to pass; CI adds `--peers` and nothing else. Each command prints what it runs, so
//! that any step can be repeated by hand.
//!
//! Refused: a shell script or a Makefile, which need a shell and `make` and cannot be tested; a list of
//! steps in CI's own language, which nobody can run at home.

mod kubectl;
mod peers;
mod steps;
mod tally;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::steps::{Outcome, Step};

/// Set for the tests when the peers must be there: a missing one is then a failure, not a skip.
const PEERS_VARIABLE: &str = "MERIDIAN_PEERS";

/// The project's own commands.
#[derive(Debug, Parser)]
#[command(name = "xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Format, lints, all tests and the documentation; stops at the first step that fails.
    Test {
        /// Install other people's clients (dig, kubectl) where they are missing, and fail where
        /// a test would be skipped without them.
        #[arg(long)]
        peers: bool,
        /// Run only the tests whose names contain this.
        #[arg(long, value_name = "ARG")]
        filter: Option<String>,
    },
    /// The benchmarks, and the demo's measurement.
    Bench,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Test { peers, filter } => test(peers, filter.as_deref()),
        Command::Bench => steps::run(&bench_steps()),
    };
    outcome.print();
    if outcome.failure.is_none() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn test(with_peers: bool, filter: Option<&str>) -> Outcome {
    if !with_peers {
        return steps::run(&test_steps(false, filter));
    }
    let mut folder = None;
    let installed = steps::timed("peers", || {
        folder = peers::ensure()?;
        Ok(())
    });
    if installed.failure.is_some() {
        return installed;
    }
    let mut steps = test_steps(true, filter);
    if let Some(folder) = folder {
        let rest = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{rest}", folder.display());
        steps = steps
            .into_iter()
            .map(|step| step.variable("PATH", path.clone()))
            .collect();
    }
    installed.then(steps::run(&steps))
}

/// What has to pass, cheapest first. Clippy and the documentation share their checked dependencies.
fn test_steps(with_peers: bool, filter: Option<&str>) -> Vec<Step> {
    let clippy = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ];
    // Without `--no-fail-fast` the closing numbers would be those of the crates before the failing one.
    let mut tests = Step::cargo("test", &["test", "--workspace", "--locked", "--no-fail-fast"]).counting();
    if let Some(filter) = filter {
        tests = tests.argument(filter);
    }
    if with_peers {
        tests = tests.variable(PEERS_VARIABLE, "1");
    }
    vec![
        Step::cargo("format", &["fmt", "--all", "--check"]),
        Step::cargo("lints", &clippy),
        tests,
        Step::cargo("documentation", &["doc", "--workspace", "--no-deps", "--locked"])
            .variable("RUSTDOCFLAGS", "-D warnings"),
    ]
}

fn bench_steps() -> Vec<Step> {
    let demo = [
        "run",
        "--release",
        "--locked",
        "-p",
        "meridian",
        "--",
        "demo",
        "--measure",
        "200",
    ];
    vec![
        Step::cargo("answers", &["bench", "--locked", "-p", "meridian-dns-core"]),
        Step::cargo("index", &["bench", "--locked", "-p", "meridian-controller-index"]),
        Step::cargo("demo", &demo),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(steps: &[Step]) -> Vec<String> {
        steps.iter().map(Step::shown).collect()
    }

    #[test]
    fn the_command_line_is_what_the_readme_says() {
        let parse = |line: &str| Arguments::try_parse_from(line.split(' '));
        assert!(parse("xtask test").is_ok());
        assert!(parse("xtask test --peers --filter answer").is_ok());
        assert!(parse("xtask bench").is_ok());
        assert!(parse("xtask deploy").is_err());
    }

    #[test]
    fn tests_run_once_with_or_without_peers() {
        let plain = lines(&test_steps(false, None));
        assert_eq!(plain.len(), 4);
        assert_eq!(plain[2], "cargo test --workspace --locked --no-fail-fast");
        let with_peers = lines(&test_steps(true, Some("dig")));
        assert_eq!(with_peers.len(), 4);
        assert_eq!(
            with_peers[2],
            "MERIDIAN_PEERS=1 cargo test --workspace --locked --no-fail-fast dig"
        );
        assert_eq!(
            (&plain[0], &plain[1], &plain[3]),
            (&with_peers[0], &with_peers[1], &with_peers[3])
        );
    }
}
