//! Which programs of a control plane are in a folder.
//!
//! What must stay true: a folder that was named and does not serve is an error with a sentence, never a
//! silent return to something else.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::bail;

/// Names the folder, as for every project that tests against a real API server.
pub const ASSETS_VARIABLE: &str = "KUBEBUILDER_ASSETS";

/// The programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assets {
    pub(crate) api_server: PathBuf,
    pub(crate) etcd: PathBuf,
    pub(crate) controller_manager: Option<PathBuf>,
}

impl Assets {
    /// The programs in the folder that the environment names; `None` if it names none.
    pub fn from_environment() -> anyhow::Result<Option<Assets>> {
        let folder = std::env::var_os(ASSETS_VARIABLE).filter(|folder: &OsString| !folder.is_empty());
        folder.map(|folder| Assets::in_folder(Path::new(&folder))).transpose()
    }

    /// Whether garbage collection, namespace termination and service accounts will work.
    pub fn has_controllers(&self) -> bool {
        self.controller_manager.is_some()
    }

    /// The programs in `folder`.
    pub fn in_folder(folder: &Path) -> anyhow::Result<Assets> {
        let program = |name: &str| Some(folder.join(name)).filter(|path| path.is_file());
        match (program("kube-apiserver"), program("etcd")) {
            (Some(api_server), Some(etcd)) => Ok(Assets {
                api_server,
                etcd,
                controller_manager: program("kube-controller-manager"),
            }),
            (api_server, _) => {
                let missing = if api_server.is_none() { "kube-apiserver" } else { "etcd" };
                bail!("{ASSETS_VARIABLE} names {}, which has no `{missing}`", folder.display())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_a_program_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let error = |missing: &str| {
            let error = Assets::in_folder(folder.path()).unwrap_err().to_string();
            assert!(error.ends_with(&format!("has no `{missing}`")), "{error}");
        };
        error("kube-apiserver");
        std::fs::write(folder.path().join("kube-apiserver"), "").unwrap();
        error("etcd");
        std::fs::write(folder.path().join("etcd"), "").unwrap();
        let assets = Assets::in_folder(folder.path()).unwrap();
        assert_eq!(assets.controller_manager, None);
        let manager = folder.path().join("kube-controller-manager");
        std::fs::write(&manager, "").unwrap();
        assert_eq!(
            Assets::in_folder(folder.path()).unwrap().controller_manager,
            Some(manager)
        );
    }
}
