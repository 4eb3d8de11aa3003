//! Other people's clients, which some tests hold Meridian against, installed where they are missing.
//!
//! What must stay true: nothing is installed without being asked for by `--peers`; what is there is
//! left alone, and used unless it is a `kubectl` too old to stand for today's; a machine where nothing can be
//! installed gets a sentence that says what to install by hand; and no daemon runs afterwards that did not
//! run before, now or after the next start.
//!
//! The packages of name servers bring services, which Debian starts at once and at each start of the
//! machine; two of them would even fight for port 53. The tests want the programs alone. So services are
//! refused while our `apt-get` runs, in the way that Debian's policy has for it (`policy-rc.d`, a file
//! that we make and take away in the same command, also when it is interrupted, and that is left alone
//! where there is one), and are switched off afterwards.
//!
//! Refused: to unpack the packages ourselves into a folder. Their libraries would have to be found too.
//! Refused: downloading the programs from their projects. A distribution's packages are signed, and
//! are what users have; only `kubectl` is too old there, see [`crate::kubectl`].

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

/// A program and the Debian package that brings it.
#[derive(Debug, PartialEq, Eq)]
struct Peer {
    program: &'static str,
    package: &'static str,
    /// The service that the package brings along.
    service: Option<&'static str>,
}

impl Peer {
    const fn new(program: &'static str, package: &'static str) -> Self {
        Self {
            program,
            package,
            service: None,
        }
    }

    const fn daemon(program: &'static str, package: &'static str, service: &'static str) -> Self {
        Self {
            service: Some(service),
            ..Self::new(program, package)
        }
    }
}

const PEERS: &[Peer] = &[
    Peer::new("dig", "bind9-dnsutils"),
    Peer::new("delv", "bind9-dnsutils"),
    Peer::new("kdig", "knot-dnsutils"),
    Peer::daemon("unbound", "unbound", "unbound"),
    Peer::daemon("named", "bind9", "named"),
    Peer::daemon("nsd", "nsd", "nsd"),
    Peer::daemon("knotd", "knot", "knot"),
    Peer::new("ldns-verify-zone", "ldnsutils"),
    Peer::new("named-checkzone", "bind9-utils"),
];

/// Where daemons are, which is not on everybody's PATH.
const OF_THE_SYSTEM: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Runs the `apt-get` given as arguments while no service may be started: 101 is "forbidden" (Debian
/// policy section 9.3.3, `invoke-rc.d`).
const WITHOUT_SERVICES: &str = r#"
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ] && [ ! -L $policy ]; then
    trap 'rm -f $policy' EXIT
    trap 'exit 130' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' > $policy && chmod 755 $policy || exit 1
fi
"$@"
"#;

/// How packages can be installed here.
#[derive(Debug, PartialEq, Eq)]
enum Installer {
    /// `apt-get`, as the user we are.
    Root,
    /// `apt-get` through `sudo`, without asking for a password.
    Sudo,
}

/// Installs the peers that are missing. Returns the PATH that finds them all.
pub(crate) fn ensure() -> anyhow::Result<OsString> {
    println!("\n==> peers: {}, kubectl", names(PEERS, |peer| peer.program));
    install_packages()?;
    let kubectl = match crate::kubectl::current() {
        Some(version) => {
            println!("kubectl is there, {version}");
            None
        }
        None => Some(crate::kubectl::ensure()?),
    };
    let path = kubectl.into_iter().chain(directories());
    std::env::join_paths(path).context("the PATH cannot be extended")
}

fn install_packages() -> anyhow::Result<()> {
    let missing: Vec<&Peer> = PEERS.iter().filter(|peer| !is_there(peer)).collect();
    for peer in PEERS.iter().filter(|peer| !missing.contains(peer)) {
        println!("{} is there", peer.program);
    }
    if missing.is_empty() {
        return Ok(());
    }
    let mut packages: Vec<&str> = missing.iter().map(|peer| peer.package).collect();
    packages.dedup();
    let installer = installer(find("apt-get").is_some(), is_root(), find("sudo").is_some(), &packages)?;
    println!("installing {}", packages.join(" "));
    // The lists may be old or absent; if they cannot be renewed, the packages may still be known.
    if let Err(error) = run(&apt_get(&installer, &["update", "--quiet=2"])) {
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
    run(&apt_get(&installer, &install)).with_context(|| cannot(&packages))?;
    let services: Vec<&str> = missing.iter().filter_map(|peer| peer.service).collect();
    if !services.is_empty() && find("systemctl").is_some() {
        // A machine without systemd has refused to start them, which is what counts.
        let arguments = [&["systemctl", "disable", "--quiet"], services.as_slice()].concat();
        if let Err(error) = run(&as_root(&installer, &arguments)) {
            println!(
                "see that {} are not started with the machine: {error:#}",
                services.join(", ")
            );
        }
    }
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

fn directories() -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path: Vec<_> = std::env::split_paths(&path).collect();
    path.into_iter().chain(OF_THE_SYSTEM.map(PathBuf::from))
}

fn find(program: &str) -> Option<PathBuf> {
    find_in(directories(), program)
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

/// The words of a command that needs to be root's.
fn as_root<'a>(installer: &Installer, command: &[&'a str]) -> Vec<&'a str> {
    let before: &[&str] = match installer {
        Installer::Root => &[],
        Installer::Sudo => &["sudo", "--non-interactive"],
    };
    [before, command].concat()
}

/// The words of a command of `apt-get`, which asks nothing and starts nothing.
fn apt_get<'a>(installer: &Installer, arguments: &[&'a str]) -> Vec<&'a str> {
    let before = [
        "env",
        "DEBIAN_FRONTEND=noninteractive",
        "sh",
        "-c",
        WITHOUT_SERVICES,
        "sh",
        "apt-get",
    ];
    as_root(installer, &[before.as_slice(), arguments].concat())
}

fn run(words: &[&str]) -> anyhow::Result<()> {
    let shown: Vec<_> = words.iter().copied().filter(|word| *word != WITHOUT_SERVICES).collect();
    let shown = shown.join(" ");
    println!("{shown}");
    let status = Command::new(words[0]).args(&words[1..]).status();
    let status = status.with_context(|| format!("cannot run `{}`", words[0]))?;
    if !status.success() {
        bail!("`{shown}` failed ({status})");
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
        let words = apt_get(&Installer::Root, &["update"]);
        assert_eq!(words[..2], ["env", "DEBIAN_FRONTEND=noninteractive"]);
        assert_eq!(words[words.len() - 2..], ["apt-get", "update"]);
        assert!(apt_get(&Installer::Sudo, &["update"]).starts_with(&["sudo", "--non-interactive"]));
    }

    /// The script with another place for its file, and what a package's script would see while it runs.
    fn policy_while(place: &Path, command: &str) -> (Option<i32>, String) {
        let script = WITHOUT_SERVICES.replace("/usr/sbin/policy-rc.d", &place.display().to_string());
        let output = Command::new("sh")
            .args(["-c", &script, "sh", "sh", "-c", command])
            .output();
        let output = output.expect("a shell");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    }

    #[test]
    fn services_are_refused_while_installing_and_not_afterwards() {
        let directory = std::env::temp_dir().join(format!("meridian-policy-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let place = directory.join("policy-rc.d");
        let ask = format!("{}; echo $?; exit 7", place.display());
        assert_eq!(policy_while(&place, &ask), (Some(7), "101\n".to_owned()));
        assert!(!place.exists(), "taken away after a failure");
        assert_eq!(policy_while(&place, "kill -TERM $PPID").0, Some(130));
        assert!(!place.exists(), "taken away when interrupted");
        std::fs::write(&place, "somebody's own").expect("written");
        assert_eq!(policy_while(&place, "exit 0").0, Some(0));
        assert_eq!(std::fs::read_to_string(&place).expect("still there"), "somebody's own");
        std::fs::remove_dir_all(&directory).expect("removed");
    }

    #[test]
    fn a_program_is_looked_for_in_each_directory() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let directories = || [PathBuf::from("no-such-directory"), source.clone()].into_iter();
        assert_eq!(find_in(directories(), "peers.rs"), Some(source.join("peers.rs")));
        assert_eq!(find_in(directories(), "no-such-program"), None);
    }
}
