//! The real kubectl, as a user would run it.
//!
//! What must stay true: it sees no configuration but the one of the cluster under test, and keeps its
//! discovery cache in a folder of this run, because the kinds of another run are not there any more.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

const LIMIT: Duration = Duration::from_secs(50);

pub(crate) struct Kubectl {
    kubeconfig: PathBuf,
    folder: tempfile::TempDir,
}

/// What kubectl said, and how it ended.
#[derive(Debug)]
pub struct Said {
    /// The exit code.
    pub code: Option<i32>,
    /// What it printed.
    pub out: String,
    /// What it complained about.
    pub err: String,
    asked: String,
}

/// A kubectl that has not ended.
pub struct Running {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Kubectl {
    /// `None` where there is no kubectl.
    pub(crate) async fn find(kubeconfig: &str) -> anyhow::Result<Option<Kubectl>> {
        let version = Command::new("kubectl").args(["version", "--client"]).output().await;
        if !version.is_ok_and(|output| output.status.success()) {
            return Ok(None);
        }
        let folder = tempfile::tempdir().context("cannot make a folder for kubectl")?;
        let path = folder.path().join("kubeconfig");
        std::fs::write(&path, kubeconfig)?;
        Ok(Some(Kubectl {
            kubeconfig: path,
            folder,
        }))
    }

    fn command(&self, namespace: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("kubectl");
        command
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            // A cache of its own for every namespace: cases make kinds that others must not remember.
            .arg("--cache-dir")
            .arg(self.folder.path().join(namespace))
            .args(["--namespace", namespace])
            .args(arguments)
            .env_remove("KUBECONFIG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    pub(crate) async fn run(&self, namespace: &str, arguments: &[&str], input: &str) -> Said {
        let asked = format!("kubectl {}", arguments.join(" "));
        let end = async {
            let mut child = self.command(namespace, arguments).spawn()?;
            let mut stdin = child.stdin.take();
            if let Some(stdin) = stdin.as_mut() {
                stdin.write_all(input.as_bytes()).await?;
            }
            drop(stdin);
            child.wait_with_output().await
        };
        let output = tokio::time::timeout(LIMIT, end).await;
        let output = output.unwrap_or_else(|_| panic!("{asked}: not ended within {LIMIT:?}"));
        let output = output.unwrap_or_else(|error| panic!("{asked}: {error}"));
        Said {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            asked,
        }
    }

    pub(crate) fn start(&self, namespace: &str, arguments: &[&str]) -> Running {
        let child = self.command(namespace, arguments).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("kubectl {}: {error}", arguments.join(" ")));
        let Some(output) = child.stdout.take() else {
            panic!("kubectl's output was not kept");
        };
        Running {
            _child: child,
            lines: BufReader::new(output).lines(),
        }
    }
}

impl Said {
    /// What a kubectl that succeeded printed.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{}: {}{}", self.asked, self.out, self.err);
        self.out
    }

    /// What a kubectl that ended with `code` printed and complained about.
    #[track_caller]
    pub fn code(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{}: {}{}", self.asked, self.out, self.err);
        self.out + &self.err
    }
}

impl Running {
    /// The next line; a failure if it does not come.
    pub async fn line(&mut self) -> String {
        let line = tokio::time::timeout(LIMIT, self.lines.next_line()).await;
        let line = line.unwrap_or_else(|_| panic!("kubectl printed nothing within {LIMIT:?}"));
        line.ok().flatten().unwrap_or_else(|| panic!("kubectl ended"))
    }

    /// The next line that has `part` in it.
    pub async fn line_with(&mut self, part: &str) -> String {
        loop {
            let line = self.line().await;
            if line.contains(part) {
                return line;
            }
        }
    }
}
