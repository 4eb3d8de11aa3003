//! Other people's name servers as secondaries of ours, each in a folder of its own, on a free port of the
//! loopback address. They end when they are dropped, with all their processes.

use std::net::{SocketAddr, UdpSocket};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The name and the secret (base 64) of the key that both sides have.
pub(crate) const KEY: (&str, &str) = ("transfer.key", "bWVyaWRpYW4gdHJhbnNmZXJzIGFyZSBzaWduZWQgMTI=");

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    Bind,
    Knot,
    Nsd,
}

impl Program {
    pub(crate) const ALL: [Self; 3] = [Self::Bind, Self::Knot, Self::Nsd];

    fn name(self) -> &'static str {
        match self {
            Self::Bind => "named",
            Self::Knot => "knotd",
            Self::Nsd => "nsd",
        }
    }
}

/// A running secondary.
pub(crate) struct Secondary {
    pub(crate) program: Program,
    pub(crate) address: SocketAddr,
    pub(crate) folder: tempfile::TempDir,
    child: Child,
}

/// A port that is free for UDP now, and so most likely in a moment.
fn free_port() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.local_addr().expect("an address").port()
}

impl Secondary {
    /// A secondary of these zones, or of the members of that catalog; `None` where the program is missing.
    pub(crate) fn start(program: Program, primary: SocketAddr, zones: &[&str], catalog: Option<&str>) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let config = folder.path().join("server.conf");
        let text = match program {
            Program::Bind => bind(folder.path(), address.port(), primary.port(), zones, catalog),
            Program::Knot => knot(folder.path(), address.port(), primary.port(), zones, catalog),
            Program::Nsd => nsd(folder.path(), address.port(), primary.port(), zones),
        };
        std::fs::write(&config, text).expect("written");
        let flags: &[&str] = match program {
            Program::Bind => &["-g", "-n", "1"],
            Program::Knot => &[],
            Program::Nsd => &["-d"],
        };
        let log = std::fs::File::create(folder.path().join("log")).expect("a file");
        let mut path = std::env::var_os("PATH").unwrap_or_default();
        path.push(":/usr/sbin");
        let child = Command::new(program.name())
            .env("PATH", path)
            .args(flags)
            .arg("-c")
            .arg(&config)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .process_group(0)
            .spawn();
        match child {
            Ok(child) => Some(Self {
                program,
                address,
                folder,
                child,
            }),
            Err(error) if std::env::var_os("MERIDIAN_PEERS").is_some() => {
                panic!("MERIDIAN_PEERS is set, but {} does not run: {error}", program.name())
            }
            Err(_) => {
                println!("skipped: no `{}` on the PATH", program.name());
                None
            }
        }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Secondary {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.child.wait();
    }
}

fn bind(folder: &Path, port: u16, primary: u16, zones: &[&str], catalog: Option<&str>) -> String {
    let folder = folder.display();
    let (key, secret) = KEY;
    let from = format!("primaries {{ 127.0.0.1 port {primary} key {key}; }};");
    let zone = |zone: &&str| {
        format!("zone \"{zone}\" {{ type secondary; {from} file \"{zone}.db\"; allow-notify {{ key {key}; }}; }};\n")
    };
    let catalogs = catalog.map_or(String::new(), |catalog| {
        format!("catalog-zones {{ zone \"{catalog}\" default-primaries {{ 127.0.0.1 port {primary} key {key}; }}; }};")
    });
    let zones: String = zones.iter().chain(&catalog).map(zone).collect();
    format!(
        "key \"{key}\" {{ algorithm hmac-sha256; secret \"{secret}\"; }};\ncontrols {{ }};\n\
         options {{ directory \"{folder}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};\n\
         pid-file \"{folder}/pid\"; session-keyfile none; recursion no; allow-query {{ any; }}; notify no;\n\
         dnssec-validation no; minimal-responses yes; empty-zones-enable no; masterfile-format text; {catalogs} }};\n{zones}"
    )
}

fn knot(folder: &Path, port: u16, primary: u16, zones: &[&str], catalog: Option<&str>) -> String {
    let folder = folder.display();
    let (key, secret) = KEY;
    let zone = |zone: &&str| format!("  - domain: {zone}\n    master: primary\n    acl: notify\n");
    let zones: String = zones.iter().map(zone).collect();
    let catalog = catalog.map_or(String::new(), |catalog| {
        format!(
            "  - domain: {catalog}\n    master: primary\n    acl: notify\n    \
             catalog-role: interpret\n    catalog-template: member\n"
        )
    });
    format!(
        "server:\n    listen: 127.0.0.1@{port}\n    rundir: {folder}\n\
         log:\n  - target: stderr\n    any: info\n\
         database:\n    storage: {folder}\n\
         key:\n  - id: {key}\n    algorithm: hmac-sha256\n    secret: {secret}\n\
         remote:\n  - id: primary\n    address: 127.0.0.1@{primary}\n    key: {key}\n\
         acl:\n  - id: notify\n    key: {key}\n    action: notify\n\
         template:\n  - id: default\n    storage: {folder}\n  \
         - id: member\n    storage: {folder}\n    master: primary\n    acl: notify\n\
         zone:\n{zones}{catalog}"
    )
}

fn nsd(folder: &Path, port: u16, primary: u16, zones: &[&str]) -> String {
    let folder = folder.display();
    let (key, secret) = KEY;
    let zone = |zone: &&str| {
        format!(
            "zone:\n name: {zone}\n zonefile: {zone}.zone\n request-xfr: 127.0.0.1@{primary} {key}\n \
             allow-notify: 127.0.0.1 {key}\n"
        )
    };
    let zones: String = zones.iter().map(zone).collect();
    format!(
        "server:\n ip-address: 127.0.0.1@{port}\n username: \"\"\n chroot: \"\"\n zonesdir: \"{folder}\"\n \
         database: \"\"\n pidfile: \"{folder}/pid\"\n xfrdfile: \"{folder}/xfrd.state\"\n xfrdir: \"{folder}\"\n \
         zonelistfile: \"{folder}/zones.list\"\n minimal-responses: yes\n rrl-ratelimit: 0\n verbosity: 2\n \
         server-count: 1\n\
         remote-control:\n control-enable: no\n\
         key:\n name: {key}\n algorithm: hmac-sha256\n secret: \"{secret}\"\n{zones}"
    )
}
