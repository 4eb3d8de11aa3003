//! Other people's clients, which some tests hold Meridian against, installed where they are missing.
//!
//! What must stay true: nothing is installed without being asked for by `--peers`; what is there is
//! left alone, and used unless it is a `kubectl` too old to stand for today's; a machine where nothing can be
//! installed gets a sentence that says what to install by hand.
//!
//! Refused: downloading the programs from their projects. A distribution's packages are signed, and
//! are what users have; only `kubectl` is too old there, see [`crate::kubectl`].

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

/// A program and the Debian package that brings it.
#[derive(Debug, PartialEq, Eq)]
struct Peer {
    program: &'static str,
    package: &'static str,
}

const PEERS: &[Peer] = &[
    Peer {
        program: "dig",
        package: "bind9-dnsutils",
    },
    Peer {
        program: "kdig",
        package: "knot-dnsutils",
    },
];

/// How packages can be installed here.
#[derive(Debug, PartialEq, Eq)]
enum Installer {
    /// `apt-get`, as the user we are.
    Root,
    /// `apt-get` through `sudo`, without asking for a password.
    Sudo,
}

/// Installs the peers that are missing. Returns a folder that belongs on the PATH of the tests, if any.
pub(crate) fn ensure() -> anyhow::Result<Option<PathBuf>> {
    println!("\n==> peers: {}, kubectl", names(PEERS, |peer| peer.program));
    install_packages()?;
    if let Some(version) = crate::kubectl::current() {
        println!("kubectl is there, {version}");
        return Ok(None);
    }
    crate::kubectl::ensure().map(Some)
}

fn install_packages() -> anyhow::Result<()> {
    let missing: Vec<&Peer> = PEERS.iter().filter(|peer| !is_there(peer)).collect();
    for peer in PEERS.iter().filter(|peer| !missing.contains(peer)) {
        println!("{} is there", peer.program);
    }
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|peer| peer.package).collect();
    let installer = installer(find("apt-get").is_some(), is_root(), find("sudo").is_some(), &packages)?;
    println!("installing {}", packages.join(" "));
    // The lists may be old or absent; if they cannot be renewed, the packages may still be known.
    if let Err(error) = apt_get(&installer, &["update", "--quiet=2"]) {
        println!("going on with the package lists as they are: {error:#}");
    }
    let install = [
        &[
            "install",
            "--yes",
            "--quiet=2",
            "--no-install-recommends",
            "--option=Dpkg::Use-Pty=0",
        ],
        packages.as_slice(),
    ]
    .concat();
    apt_get(&installer, &install).with_context(|| cannot(&packages))?;
    match missing.iter().find(|peer| !is_there(peer)) {
        Some(peer) => bail!(
            "{} was installed, but there is still no `{}` on the PATH",
            peer.package,
            peer.program
        ),
        None => Ok(()),
    }
}

fn names(peers: &[Peer], name: impl Fn(&Peer) -> &'static str) -> String {
    peers.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn is_there(peer: &Peer) -> bool {
    find(peer.program).is_some()
}

fn find(program: &str) -> Option<PathBuf> {
    find_in(std::env::split_paths(&std::env::var_os("PATH")?), program)
}

fn find_in(mut directories: impl Iterator<Item = PathBuf>, program: &str) -> Option<PathBuf> {
    directories.find_map(|directory| Some(directory.join(program)).filter(|path| Path::is_file(path)))
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// What to tell somebody whose machine cannot do it.
fn cannot(packages: &[&str]) -> String {
    let packages = packages.join(" ");
    format!(
        "cannot install the peers of the tests ({packages}); install them by hand (Debian: `apt-get install {packages}`), \
        or run without `--peers`, which skips the tests that need them"
    )
}

fn installer(has_apt: bool, is_root: bool, has_sudo: bool, packages: &[&str]) -> anyhow::Result<Installer> {
    match (has_apt, is_root, has_sudo) {
        (false, _, _) => bail!("no `apt-get` on the PATH: {}", cannot(packages)),
        (true, true, _) => Ok(Installer::Root),
        (true, false, true) => Ok(Installer::Sudo),
        (true, false, false) => bail!("not root, and no `sudo` on the PATH: {}", cannot(packages)),
    }
}

/// The words of a command of `apt-get`.
fn words<'a>(installer: &Installer, arguments: &[&'a str]) -> Vec<&'a str> {
    let before: &[&str] = match installer {
        Installer::Root => &["env"],
        Installer::Sudo => &["sudo", "--non-interactive", "env"],
    };
    [before, &["DEBIAN_FRONTEND=noninteractive", "apt-get"], arguments].concat()
}

fn apt_get(installer: &Installer, arguments: &[&str]) -> anyhow::Result<()> {
    let words = words(installer, arguments);
    println!("{}", words.join(" "));
    let status = Command::new(words[0]).args(&words[1..]).status();
    let status = status.with_context(|| format!("cannot run `{}`", words[0]))?;
    if !status.success() {
        bail!("`{}` failed ({status})", words.join(" "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_cannot_install_says_what_is_missing() {
        for (has_apt, is_root, has_sudo, start) in [
            (false, true, true, "no `apt-get`"),
            (true, false, false, "not root, and no `sudo`"),
        ] {
            let error = installer(has_apt, is_root, has_sudo, &["bind9-dnsutils"]).expect_err("it cannot");
            let text = format!("{error:#}");
            assert!(
                text.starts_with(start) && text.contains("apt-get install bind9-dnsutils"),
                "{text}"
            );
        }
        assert!(matches!(installer(true, true, false, &[]), Ok(Installer::Root)));
        assert!(matches!(installer(true, false, true, &[]), Ok(Installer::Sudo)));
    }

    #[test]
    fn nothing_is_asked_while_installing() {
        assert_eq!(
            words(&Installer::Root, &["update"]).join(" "),
            "env DEBIAN_FRONTEND=noninteractive apt-get update"
        );
        assert!(words(&Installer::Sudo, &["update"]).starts_with(&["sudo", "--non-interactive"]));
    }

    #[test]
    fn a_program_is_looked_for_in_each_directory() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let directories = || [PathBuf::from("no-such-directory"), source.clone()].into_iter();
        assert_eq!(find_in(directories(), "peers.rs"), Some(source.join("peers.rs")));
        assert_eq!(find_in(directories(), "no-such-program"), None);
    }
}
