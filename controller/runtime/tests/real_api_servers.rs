//! The story on real API servers: `meridian demo --story --api-servers FOLDER` must end with every step as expected.
//!
//! What the simulation gets wrong would otherwise be right in every test. The programs are those of
//! `KUBEBUILDER_ASSETS`; where it is not set, the test is reported as ignored and never as passed. Pods and load
//! balancers stay simulated: their side is an ordinary client, and no kubelet is needed.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, ensure};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use meridian_envtest::{Assets, ControlPlane};

/// The clusters of the demo; see `--api-servers`.
const CLUSTERS: [&str; 4] = ["host", "us-west", "ap-northeast", "os-taipei"];
/// The cluster whose place the impostor takes.
const REPLACED: &str = "us-west";

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trial = Trial::ignorable_test("every_step_of_the_story_is_as_expected_on_real_api_servers", || {
        let Some(assets) = Assets::from_environment().map_err(failed)? else {
            return Ok(Completion::ignored_with("KUBEBUILDER_ASSETS is not set"));
        };
        if !assets.has_controllers() {
            let reason = "KUBEBUILDER_ASSETS has no kube-controller-manager, and the story needs garbage collection";
            return Ok(Completion::ignored_with(reason));
        }
        let runtime = tokio::runtime::Runtime::new()?;
        runtime.block_on(story(&assets)).map_err(failed)?;
        Ok(Completion::Completed)
    });
    libtest_mimic::run(&arguments, vec![trial]).exit_code()
}

fn failed(error: anyhow::Error) -> Failed {
    format!("{error:#}").into()
}

async fn story(assets: &Assets) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut servers = Vec::new();
    for name in CLUSTERS {
        let server = ControlPlane::start(assets).await?;
        write_kubeconfig(folder.path(), name, &server)?;
        if name == REPLACED {
            let impostor = server.start_twin(assets).await?;
            write_kubeconfig(folder.path(), "impostor", &impostor)?;
            servers.push(impostor);
        }
        servers.push(server);
    }
    let mut demo = Command::new(env!("CARGO_BIN_EXE_meridian"));
    demo.args(["demo", "--story", "--output", "json", "--dns", "127.0.0.1:0"])
        .args(["--load-balancers", "127.81.0.0", "--api-servers"])
        .arg(folder.path())
        .stderr(Stdio::inherit());
    // The servers go on meanwhile: they are processes of their own.
    let output = tokio::task::spawn_blocking(move || demo.output()).await??;
    let steps = String::from_utf8(output.stdout)?;
    println!("{steps}");
    ensure!(output.status.success(), "the story ended with {}", output.status);
    ensure!(steps.lines().count() == 11, "not every step was told");
    drop(servers);
    Ok(())
}

fn write_kubeconfig(folder: &Path, name: &str, server: &ControlPlane) -> anyhow::Result<()> {
    std::fs::write(folder.join(format!("{name}.kubeconfig")), server.kubeconfig())
        .with_context(|| format!("the kubeconfig of {name} cannot be written"))
}
