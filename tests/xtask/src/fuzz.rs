//! `cargo xtask fuzz`: which engine, and what is missing for the better one.
//!
//! What must stay true: it runs on every machine. What libFuzzer needs and the machine has not is said, with
//! the command that installs it; nothing is installed here.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::steps::{self, Outcome, Step, root};

/// Fuzzes one target or all.
pub(crate) fn fuzz(target: Option<&str>, seconds: u64, stable: bool) -> Outcome {
    let missing = if stable { Vec::new() } else { missing() };
    for (what, command) in &missing {
        println!("libFuzzer needs {what}: `{command}`");
    }
    if stable || !missing.is_empty() {
        println!("the project's own engine runs instead; it does not know which code an input reaches");
        return steps::run(&[stable_step(target, seconds)]);
    }
    let all = targets(&root().join("fuzz/fuzz_targets"));
    let chosen = all.iter().filter(|name| target.is_none_or(|target| target == *name));
    let steps: Vec<Step> = chosen.map(|name| libfuzzer_step(name, seconds)).collect();
    if steps.is_empty() {
        // Its error names the targets that there are.
        return steps::run(&[stable_step(target, seconds)]);
    }
    steps::run(&steps)
}

/// What is not installed, and what installs it.
fn missing() -> Vec<(&'static str, &'static str)> {
    let runs = |arguments: &[&str]| {
        let mut command = Command::new("rustup");
        command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        command
            .env_remove("RUSTUP_TOOLCHAIN")
            .status()
            .is_ok_and(|status| status.success())
    };
    let mut found = Vec::new();
    if !runs(&["run", "nightly", "rustc", "--version"]) {
        found.push(("the nightly compiler", "rustup toolchain install nightly"));
    }
    if !runs(&["run", "nightly", "cargo", "fuzz", "--version"]) {
        found.push(("cargo-fuzz", "cargo install cargo-fuzz"));
    }
    found
}

/// The targets, by the files of their programs.
fn targets(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let stem = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let mut names: Vec<String> = entries.filter_map(|entry| stem(&entry.path())).collect();
    names.sort();
    names
}

fn libfuzzer_step(target: &str, seconds: u64) -> Step {
    let time = format!("-max_total_time={seconds}");
    Step::nightly_cargo("fuzz", &["fuzz", "run", target, "--", &time])
}

fn stable_step(target: Option<&str>, seconds: u64) -> Step {
    let seconds = seconds.to_string();
    let run = [
        "run",
        "--release",
        "--locked",
        "-p",
        "meridian-hostile",
        "--",
        "fuzz",
        "--seconds",
        &seconds,
    ];
    let step = Step::cargo("fuzz", &run);
    match target {
        Some(target) => step.argument(target),
        None => step,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_engines_run_the_same_targets() {
        assert_eq!(
            targets(&root().join("fuzz/fuzz_targets")),
            [
                "client_subnet",
                "handler",
                "proxy_header",
                "snapshot",
                "tsig",
                "zone_file"
            ]
        );
        assert_eq!(
            libfuzzer_step("handler", 7).shown(),
            "cargo +nightly fuzz run handler -- -max_total_time=7"
        );
        assert_eq!(
            stable_step(Some("handler"), 7).shown(),
            "cargo run --release --locked -p meridian-hostile -- fuzz --seconds 7 handler"
        );
    }
}
