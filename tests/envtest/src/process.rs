//! One child process, its log, and its end.
//!
//! What must stay true: a child does not outlive its value, and only this child is ended. What it had to
//! say is in the log, whose last lines are part of the error when it ends by itself.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context;

#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    pub(crate) fn start(program: &Path, arguments: &[String], log: &Path) -> anyhow::Result<Process> {
        let output = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let name = program.file_name().unwrap_or(program.as_os_str());
        Ok(Process {
            name: name.to_string_lossy().into_owned(),
            child,
            log: log.to_owned(),
        })
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok()??;
        Some(format!("{} ended ({status}): {}", self.name, self.last_words()))
    }

    /// The end of its log.
    pub(crate) fn last_words(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = text.lines().collect();
        let last = &lines[lines.len().saturating_sub(5)..];
        format!("{}: {}", self.name, last.join(" | "))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to do but to reap it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_ends_leaves_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let arguments = ["-c".to_owned(), "echo reason; exit 3".to_owned()];
        let mut process = Process::start(Path::new("/bin/sh"), &arguments, &folder.path().join("log")).unwrap();
        process.child.wait().unwrap();
        let end = process.ended().unwrap();
        assert!(end.starts_with("sh ended") && end.ends_with("reason"), "{end}");
    }

    #[test]
    fn a_process_ends_with_its_value() {
        let folder = tempfile::tempdir().unwrap();
        let arguments = ["1000".to_owned()];
        let process = Process::start(Path::new("/bin/sleep"), &arguments, &folder.path().join("log")).unwrap();
        let entry = PathBuf::from(format!("/proc/{}", process.child.id()));
        drop(process);
        assert!(!entry.exists());
    }
}
