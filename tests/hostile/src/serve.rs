//! The server of the run, in a process of its own.

use std::io::Read as _;
use std::net::SocketAddr;
use std::process::Stdio;

use anyhow::Context as _;
use meridian_dns_server::{
    CertificateFiles, CookiePolicy, CookieSecret, Cookies, DnsServer, Listener, Protocol, ServerConfig, Table,
};
use meridian_hostile::world;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// A server that runs.
pub(crate) struct Server {
    /// UDP and TCP.
    pub(crate) plain: SocketAddr,
    pub(crate) tls: SocketAddr,
    process: u32,
    /// Ends with its standard input, which is in here.
    child: std::sync::Mutex<Child>,
}

/// Starts this program as a server.
pub(crate) async fn start() -> anyhow::Result<Server> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut child = Command::new(program)
        .arg("serve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("cannot start the server")?;
    let output = child.stdout.take().context("the server has no output")?;
    let line = BufReader::new(output).lines().next_line().await?;
    let line = line.context("the server ended before it was ready")?;
    let (plain, tls) = line.split_once(' ').context("the server did not tell its addresses")?;
    Ok(Server {
        plain: plain.parse()?,
        tls: tls.parse()?,
        process: child.id().context("the server has ended")?,
        child: std::sync::Mutex::new(child),
    })
}

impl Server {
    /// An error if it has ended.
    pub(crate) fn is_alive(&self) -> anyhow::Result<()> {
        let status = self.child.lock().map_or(Ok(None), |mut child| child.try_wait())?;
        match status {
            None => Ok(()),
            Some(status) => anyhow::bail!("the server ended: {status}"),
        }
    }

    /// From now on the highest memory is counted anew.
    pub(crate) fn forget_memory(&self) {
        // Not on every system; then the figure is that of the whole run so far.
        let _ = std::fs::write(format!("/proc/{}/clear_refs", self.process), "5");
    }

    /// The most memory that was resident, in MiB.
    pub(crate) fn memory(&self) -> anyhow::Result<u64> {
        let path = format!("/proc/{}/status", self.process);
        let status = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line
            .and_then(|line| line.trim().strip_suffix(" kB"))
            .context("no VmHWM")?;
        Ok(kilobytes.trim().parse::<u64>()?.div_ceil(1024))
    }
}

/// Serves until standard input ends.
#[tokio::main]
pub(crate) async fn serve() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let (chain, key) = (directory.path().join("chain.pem"), directory.path().join("key.pem"));
    std::fs::write(&key, made.signing_key.serialize_pem())?;
    std::fs::write(&chain, made.cert.pem())?;
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut config = ServerConfig::new([any]);
    config.listeners.push(Listener::new(any, Protocol::Tls));
    config.certificate = Some(CertificateFiles::new(chain, key));
    config.settings.cookies = CookieSecret::random().map(|current| Cookies {
        current,
        previous: None,
        policy: CookiePolicy::Offer,
    });
    let server = DnsServer::bind(config, Table::new(world::snapshot()?)).await?;
    let addresses: Vec<_> = server.addresses().iter().map(SocketAddr::to_string).collect();
    println!("{}", addresses.join(" "));
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    server.shutdown().await;
    Ok(())
}
