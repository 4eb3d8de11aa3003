//! The project's own commands: `cargo xtask test`, `bench`, `fuzz`, `hostile` and `geo`.
//!
//! What must stay true: `cargo xtask test` needs nothing but Rust, runs the same on every machine, and
//! is all that has to pass; CI adds `--peers` and nothing else. Each command prints what it runs, so
//! that any step can be repeated by hand.
//!
//! Refused: a shell script or a Makefile, which need a shell and `make` and cannot be tested; a list of
//! steps in CI's own language, which nobody can run at home.

mod fuzz;
mod geo;
mod kubectl;
mod peers;
mod steps;
mod tally;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::steps::{Outcome, Step};

/// Set for the tests when the peers must be there: a missing one is then a failure, not a skip.
const PEERS_VARIABLE: &str = "MERIDIAN_PEERS";

/// Each names a control plane that the tests of the Kubernetes API run on, instead of the simulation.
const CONTROL_PLANE_VARIABLES: &[&str] = &["KUBEBUILDER_ASSETS", "MERIDIAN_TEST_KUBECONFIG"];

const NO_CONTROL_PLANE: &str = "--real-apiserver needs a control plane: set KUBEBUILDER_ASSETS to a folder with \
    kube-apiserver and etcd, or MERIDIAN_TEST_KUBECONFIG to the kubeconfig of a cluster";

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
        /// Instead of all tests, run those that also run on a real Kubernetes control plane, on the one that
        /// KUBEBUILDER_ASSETS (a folder with kube-apiserver and etcd) or MERIDIAN_TEST_KUBECONFIG names.
        #[arg(long, conflicts_with = "peers")]
        real_apiserver: bool,
        /// Run only the tests whose names contain this.
        #[arg(long, value_name = "ARG")]
        filter: Option<String>,
    },
    /// The benchmarks, and the demo's measurement.
    Bench,
    /// Fuzz targets of the DNS server: with libFuzzer where the nightly compiler and cargo-fuzz are installed,
    /// otherwise with an engine of the project's own.
    Fuzz {
        /// One target; all without it.
        target: Option<String>,
        /// For each target.
        #[arg(long, value_name = "N", default_value_t = 60)]
        seconds: u64,
        /// The project's own engine also where libFuzzer is there.
        #[arg(long)]
        stable: bool,
    },
    /// Hostile clients against a DNS server of its own on loopback, while a good client counts its answers.
    Hostile {
        /// Random and mutated packets.
        #[arg(long, value_name = "N", default_value_t = 10_000_000)]
        packets: u64,
    },
    /// Install a public-domain database of countries for `meridian run --geo-db`, and print its path.
    Geo,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Test {
            real_apiserver: true,
            filter,
            ..
        } => {
            if !is_named(|name| std::env::var_os(name)) {
                eprintln!("error: {NO_CONTROL_PLANE}");
                return ExitCode::from(2);
            }
            steps::run(&real_steps(filter.as_deref()))
        }
        Command::Test { peers, filter, .. } => test(peers, filter.as_deref()),
        Command::Bench => steps::run(&bench_steps()),
        Command::Fuzz {
            target,
            seconds,
            stable,
        } => fuzz::fuzz(target.as_deref(), seconds, stable),
        Command::Hostile { packets } => steps::run(&[hostile_step(packets)]),
        Command::Geo => {
            return match geo::install() {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    eprintln!("error: {error:#}");
                    ExitCode::FAILURE
                }
            };
        }
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
    let mut path = OsString::new();
    let installed = steps::timed("peers", || {
        path = peers::ensure()?;
        Ok(())
    });
    if installed.failure.is_some() {
        return installed;
    }
    let steps = test_steps(true, filter).into_iter();
    let path = path.to_string_lossy();
    let steps: Vec<_> = steps.map(|step| step.variable("PATH", path.clone())).collect();
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
    // The same on every machine: a real control plane is for those who ask for it.
    for name in CONTROL_PLANE_VARIABLES {
        tests = tests.without(name);
    }
    vec![
        Step::cargo("format", &["fmt", "--all", "--check"]),
        Step::cargo("lints", &clippy),
        tests,
        Step::cargo("documentation", &["doc", "--workspace", "--no-deps", "--locked"])
            .variable("RUSTDOCFLAGS", "-D warnings"),
    ]
}

/// Whether the environment names a real control plane.
fn is_named(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let names = CONTROL_PLANE_VARIABLES.iter();
    names.filter_map(|name| variable(name)).any(|value| !value.is_empty())
}

/// What runs on a real control plane.
fn real_steps(filter: Option<&str>) -> Vec<Step> {
    let package = "meridian-kube-conformance";
    let suite = ["test", "--locked", "-p", package, "--test", "conformance"];
    let story = ["test", "--locked", "-p", "meridian", "--test", "real_api_servers"];
    let steps = [("conformance", &suite), ("story", &story)];
    let steps = steps.map(|(name, arguments)| Step::cargo(name, arguments).counting());
    let with_filter = |step: Step| match filter {
        Some(filter) => step.argument(filter),
        None => step,
    };
    steps.map(with_filter).into()
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
        Step::cargo("fleet", &["bench", "--locked", "-p", "meridian-simcluster"]),
        Step::cargo(
            "restart",
            &["bench", "--locked", "-p", "meridian", "--bench", "restart"],
        ),
        Step::cargo("demo", &demo),
    ]
}

fn hostile_step(packets: u64) -> Step {
    let run = [
        "run",
        "--release",
        "--locked",
        "-p",
        "meridian-hostile",
        "--",
        "run",
        "--packets",
    ];
    Step::cargo("hostile", &run).argument(&packets.to_string())
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
        assert!(parse("xtask test --real-apiserver --filter watching").is_ok());
        assert!(parse("xtask test --real-apiserver --peers").is_err());
        assert!(parse("xtask bench").is_ok());
        assert!(parse("xtask fuzz handler --seconds 5 --stable").is_ok() && parse("xtask fuzz").is_ok());
        assert!(parse("xtask hostile --packets 1000").is_ok());
        assert!(parse("xtask geo").is_ok());
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

    #[test]
    fn a_real_control_plane_must_be_named() {
        let named = |name: &str, value: &str| is_named(|asked| (asked == name).then(|| value.into()));
        assert!(named("KUBEBUILDER_ASSETS", "bin") && named("MERIDIAN_TEST_KUBECONFIG", "config"));
        assert!(!named("KUBEBUILDER_ASSETS", "") && !named("KUBECONFIG", "config"));
        assert_eq!(
            lines(&real_steps(Some("watching"))),
            [
                "cargo test --locked -p meridian-kube-conformance --test conformance watching",
                "cargo test --locked -p meridian --test real_api_servers watching",
            ]
        );
    }
}
