//! A real Kubernetes control plane for tests: `kube-apiserver` on `etcd`, as child processes.
//!
//! What must stay true: the programs are the user's, from the folder that [`ASSETS_VARIABLE`] names, as
//! is the custom of Kubernetes projects; nothing is downloaded. Everything listens on loopback and writes into one
//! temporary folder. When the value is dropped the processes are ended, each by its own handle, and the
//! folder is removed.
//!
//! Of `kube-controller-manager`, if it is in the folder, only the controllers run that every API server is
//! expected to have: garbage collection, namespaces, service accounts. The workload controllers stay out,
//! because their pods would wait for kubelets for ever.
//!
//! Refused: a container runtime (not where tests run), and fixed ports (two runs at once).
//!
//! ```text
//! assets       which programs are there
//! flags        how each is started: plain functions
//! process      one child, its log, and its end
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod assets;
mod flags;
mod process;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

pub use self::assets::{ASSETS_VARIABLE, Assets};
use self::flags::Plan;
use self::process::Process;

/// How long the API server may take until it is ready.
const START_LIMIT: Duration = Duration::from_secs(90);

/// A running control plane.
#[derive(Debug)]
pub struct ControlPlane {
    address: SocketAddr,
    kubeconfig: String,
    token: String,
    certificates: PathBuf,
    has_controllers: bool,
    // Dropped in this order: clients before servers, the folder last.
    _processes: Vec<Process>,
    _folder: tempfile::TempDir,
}

impl ControlPlane {
    /// Starts the programs and waits until the API server is ready.
    ///
    /// Must be called inside a tokio runtime.
    pub async fn start(assets: &Assets) -> anyhow::Result<ControlPlane> {
        Self::start_as(assets, None).await
    }

    /// Starts an empty one that takes the same credentials and shows the same certificate, with an identity
    /// of its own: what is there after somebody restored the wrong one under a known address.
    pub async fn start_twin(&self, assets: &Assets) -> anyhow::Result<ControlPlane> {
        Self::start_as(assets, Some(self)).await
    }

    async fn start_as(assets: &Assets, original: Option<&ControlPlane>) -> anyhow::Result<ControlPlane> {
        let folder = tempfile::tempdir().context("cannot make a folder for the control plane")?;
        let plan = Plan {
            folder: folder.path().to_owned(),
            etcd_client: free_port()?,
            etcd_peer: free_port()?,
            api: free_port()?,
            has_controllers: assets.controller_manager.is_some(),
        };
        let token = match original {
            Some(original) => original.token.clone(),
            None => new_token()?,
        };
        if let Some(original) = original {
            copy_files(&original.certificates, &plan.certificates())?;
        }
        let key = rcgen::KeyPair::generate().context("cannot make the key of service accounts")?;
        std::fs::write(plan.service_account_key(), key.serialize_pem())?;
        std::fs::write(plan.service_account_public_key(), key.public_key_pem())?;
        std::fs::write(plan.token_file(), flags::token_file(&token))?;

        let etcd = Process::start(&assets.etcd, &plan.etcd(), &plan.log("etcd"))?;
        let api = Process::start(&assets.api_server, &plan.api_server(), &plan.log("kube-apiserver"))?;
        let mut processes = vec![api, etcd];
        // Made by the API server at its start; there is nothing to trust before.
        let authority = plan.serving_certificate();
        until_exists(&authority, &mut processes).await?;
        let authority = std::fs::read(&authority)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, plan.api));
        let kubeconfig = flags::kubeconfig(address, &authority, &token);
        until_ready(&kubeconfig, &mut processes).await?;
        if let Some(program) = &assets.controller_manager {
            std::fs::write(plan.kubeconfig(), &kubeconfig)?;
            let arguments = plan.controller_manager();
            let manager = Process::start(program, &arguments, &plan.log("kube-controller-manager"))?;
            processes.insert(0, manager);
        }
        Ok(ControlPlane {
            address,
            kubeconfig,
            token,
            certificates: plan.certificates(),
            has_controllers: assets.controller_manager.is_some(),
            _processes: processes,
            _folder: folder,
        })
    }

    /// Where the API server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A kubeconfig of a user who may do everything.
    pub fn kubeconfig(&self) -> &str {
        &self.kubeconfig
    }

    /// Whether garbage collection, namespace termination and service accounts work.
    pub fn has_controllers(&self) -> bool {
        self.has_controllers
    }
}

fn new_token() -> anyhow::Result<String> {
    let key = rcgen::KeyPair::generate().context("cannot make a token")?;
    let bytes = key.serialize_der();
    Ok(bytes.iter().rev().take(20).map(|byte| format!("{byte:02x}")).collect())
}

fn copy_files(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

/// A port that was free a moment ago; the programs cannot be handed a socket.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

async fn until_exists(path: &Path, processes: &mut [Process]) -> anyhow::Result<()> {
    let start = Instant::now();
    while !path.exists() {
        wait(start, processes).await?;
    }
    Ok(())
}

async fn until_ready(kubeconfig: &str, processes: &mut [Process]) -> anyhow::Result<()> {
    let start = Instant::now();
    let kubeconfig = kube::config::Kubeconfig::from_yaml(kubeconfig)?;
    loop {
        // The certificate may have been read half-written, so every attempt begins anew.
        if is_ready(kubeconfig.clone()).await {
            return Ok(());
        }
        wait(start, processes).await?;
    }
}

async fn is_ready(kubeconfig: kube::config::Kubeconfig) -> bool {
    let answer = async {
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await?;
        let client = kube::Client::try_from(config)?;
        let request = http::Request::get("/readyz").body(Vec::new())?;
        anyhow::Ok(client.request_text(request).await?)
    };
    answer.await.is_ok_and(|text| text == "ok")
}

/// A moment, unless a process is gone or the time is up. There is nothing to watch before the API server is there.
async fn wait(start: Instant, processes: &mut [Process]) -> anyhow::Result<()> {
    for process in processes.iter_mut() {
        if let Some(end) = process.ended() {
            bail!("{end}");
        }
    }
    if start.elapsed() > START_LIMIT {
        let logs: Vec<String> = processes.iter().map(Process::last_words).collect();
        bail!("the API server is not ready after {START_LIMIT:?}: {}", logs.join("; "));
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    Ok(())
}
