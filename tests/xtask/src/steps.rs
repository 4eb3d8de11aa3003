//! Running commands one after the other, with their times and a closing summary.
//!
//! What must stay true:
//! - a command is printed as a shell would take it, before it runs;
//! - the first failure ends the run, and is named in one sentence with what to do;
//! - the last line is for a reader who looks at nothing else: how many tests passed and failed, or that
//!   the count is not complete.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::tally::Tally;

/// Whose command it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    /// The cargo that runs this program.
    Cargo,
    /// The one of the nightly compiler, by way of rustup.
    NightlyCargo,
}

/// One command.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    name: &'static str,
    program: Program,
    arguments: Vec<String>,
    variables: Vec<(&'static str, String)>,
    removed: Vec<&'static str>,
    counts_tests: bool,
}

impl Step {
    /// A command of cargo.
    pub(crate) fn cargo(name: &'static str, arguments: &[&str]) -> Self {
        Self {
            name,
            program: Program::Cargo,
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            variables: Vec::new(),
            removed: Vec::new(),
            counts_tests: false,
        }
    }

    /// A command of the nightly compiler's cargo.
    pub(crate) fn nightly_cargo(name: &'static str, arguments: &[&str]) -> Self {
        Self {
            program: Program::NightlyCargo,
            ..Self::cargo(name, arguments)
        }
    }

    /// The same with one more argument.
    pub(crate) fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// The same with a variable set.
    pub(crate) fn variable(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// The same without a variable that may be set outside.
    pub(crate) fn without(mut self, name: &'static str) -> Self {
        self.removed.push(name);
        self
    }

    /// The same, and its output has results of tests in it.
    pub(crate) fn counting(mut self) -> Self {
        self.counts_tests = true;
        self
    }

    /// The line to type.
    pub(crate) fn shown(&self) -> String {
        let quoted = |word: &str| {
            if word.contains(' ') {
                format!("'{word}'")
            } else {
                word.to_owned()
            }
        };
        let variables = self
            .variables
            .iter()
            .filter(|(name, _)| *name != "PATH")
            .map(|(name, value)| format!("{name}={}", quoted(value)));
        let arguments = self.arguments.iter().map(|argument| quoted(argument));
        variables
            .chain(match self.program {
                Program::Cargo => vec!["cargo".to_owned()],
                Program::NightlyCargo => vec!["cargo".to_owned(), "+nightly".to_owned()],
            })
            .chain(arguments)
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn run(&self, tally: &mut Tally) -> anyhow::Result<()> {
        let mut command = match self.program {
            Program::Cargo => Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())),
            Program::NightlyCargo => {
                let mut rustup = Command::new("rustup");
                rustup.args(["run", "nightly", "cargo"]);
                // They name the tools of the compiler that built this program.
                for name in ["RUSTUP_TOOLCHAIN", "CARGO", "RUSTC", "RUSTDOC"] {
                    rustup.env_remove(name);
                }
                rustup
            }
        };
        command
            .args(&self.arguments)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(root());
        for name in &self.removed {
            command.env_remove(name);
        }
        // `cargo run` has described this program to it. Build scripts that watch these variables would
        // take them for a change, and rebuild whenever they are built with and without this program.
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
                command.env_remove(&*name);
            }
        }
        let status = if self.counts_tests {
            tee(command.stdout(Stdio::piped()), tally)
        } else {
            command.status()
        };
        let status = status.with_context(|| format!("cannot run `{}`", self.shown()))?;
        match status.code() {
            Some(0) => Ok(()),
            Some(code) => bail!("`{}` ended with exit code {code}", self.shown()),
            None => bail!("`{}` was ended by a signal", self.shown()),
        }
    }
}

/// The directory of the workspace.
pub(crate) fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(&here).to_owned()
}

/// Runs a command whose output is passed on and counted.
fn tee(command: &mut Command, tally: &mut Tally) -> std::io::Result<std::process::ExitStatus> {
    let mut child = command.spawn()?;
    if let Some(output) = child.stdout.take() {
        let (mut output, mut line) = (BufReader::new(output), Vec::new());
        while output.read_until(b'\n', &mut line)? > 0 {
            tally.see(&String::from_utf8_lossy(&line));
            let mut out = std::io::stdout().lock();
            out.write_all(&line)?;
            out.flush()?;
            line.clear();
        }
    }
    child.wait()
}

/// What a command of this program came to.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    times: Vec<(&'static str, Duration)>,
    tally: Tally,
    /// Why it failed, if it did.
    pub(crate) failure: Option<String>,
}

impl Outcome {
    /// This and then that.
    pub(crate) fn then(mut self, next: Self) -> Self {
        self.times.extend(next.times);
        Self {
            times: self.times,
            tally: next.tally,
            failure: next.failure,
        }
    }

    /// The closing lines.
    fn summary(&self) -> String {
        let mut text = String::new();
        for (index, (name, time)) in self.times.iter().enumerate() {
            let failed = self.failure.is_some() && index + 1 == self.times.len();
            let word = if failed { "FAILED" } else { "ok" };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name:<14} {word:<6} {:>7.1} s", time.as_secs_f64());
        }
        if let Some(failure) = &self.failure {
            let _ = writeln!(text, "error: {failure}");
        }
        if let Some(line) = self.tally.line(self.failure.is_some()) {
            text.push_str(&line);
            text.push('\n');
        }
        text
    }

    /// Prints the closing lines.
    pub(crate) fn print(&self) {
        print!("\n{}", self.summary());
    }
}

/// Runs one piece of work that is not a command.
pub(crate) fn timed(name: &'static str, work: impl FnOnce() -> anyhow::Result<()>) -> Outcome {
    let start = Instant::now();
    let failure = work().err().map(|error| format!("{error:#}"));
    Outcome {
        times: vec![(name, start.elapsed())],
        tally: Tally::default(),
        failure,
    }
}

/// Runs the steps up to the first that fails.
pub(crate) fn run(steps: &[Step]) -> Outcome {
    let mut outcome = Outcome::default();
    for (index, step) in steps.iter().enumerate() {
        println!(
            "\n==> {} ({} of {}): {}",
            step.name,
            index + 1,
            steps.len(),
            step.shown()
        );
        let start = Instant::now();
        let result = step.run(&mut outcome.tally);
        outcome.times.push((step.name, start.elapsed()));
        if let Err(error) = result {
            outcome.failure = Some(format!(
                "step `{}` failed: {error:#}; what is wrong stands above; fix it and run this step again",
                step.name
            ));
            break;
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_shown_as_typed() {
        let step = Step::cargo("x", &["doc", "--no-deps"])
            .variable("RUSTDOCFLAGS", "-D warnings")
            .argument("a b");
        assert_eq!(step.shown(), "RUSTDOCFLAGS='-D warnings' cargo doc --no-deps 'a b'");
    }

    #[test]
    fn the_first_failure_ends_the_run() {
        let bad = Step::cargo("bad", &["no-such-command-of-cargo"]);
        let outcome = run(&[
            Step::cargo("good", &["--version"]),
            bad,
            Step::cargo("never", &["--version"]),
        ]);
        assert_eq!(
            outcome.times.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
            ["good", "bad"]
        );
        let failure = outcome.failure.expect("the second step fails");
        assert!(
            failure.contains("`bad`") && failure.contains("exit code 101"),
            "{failure}"
        );
    }

    #[test]
    fn the_summary_names_each_step_and_ends_with_the_numbers() {
        let times = vec![
            ("format", Duration::from_millis(400)),
            ("test", Duration::from_secs(75)),
        ];
        let mut outcome = Outcome {
            times,
            ..Outcome::default()
        };
        outcome
            .tally
            .see("test result: ok. 7 passed; 0 failed; 1 ignored; 0 measured;");
        assert_eq!(
            outcome.summary(),
            "format         ok         0.4 s\ntest           ok        75.0 s\n7 passed, 0 failed\n"
        );
        outcome.failure = Some("no".to_owned());
        assert_eq!(
            outcome.summary(),
            "format         ok         0.4 s\ntest           FAILED    75.0 s\nerror: no\n7 passed, 0 failed, not complete\n"
        );
    }

    #[test]
    fn a_failed_install_of_peers_is_the_failure_of_the_run() {
        let failed = timed("peers", || bail!("no apt-get"));
        assert_eq!(failed.failure.as_deref(), Some("no apt-get"));
        let joined = timed("peers", || Ok(())).then(run(&[Step::cargo("good", &["--version"])]));
        assert_eq!(joined.times.len(), 2);
        assert!(joined.failure.is_none());
    }
}
