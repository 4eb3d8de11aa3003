//! How each program is started, as plain functions of ports and a folder.
//!
//! What must stay true: every listener is on loopback; nothing outside the folder is written; one token
//! belongs to a user in `system:masters`, everybody else is subject to RBAC.
//!
//! `etcd` does not sync to disk, because the data is worth nothing after the test. Service account admission
//! is off where nothing makes service accounts, or no pod could be created.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The controllers that an API server is incomplete without.
const CONTROLLERS: &[&str] = &[
    "namespace-controller",
    "garbage-collector-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "root-ca-certificate-publisher-controller",
    "clusterrole-aggregation-controller",
    "ttl-after-finished-controller",
];

/// Where everything is.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) folder: PathBuf,
    pub(crate) etcd_client: u16,
    pub(crate) etcd_peer: u16,
    pub(crate) api: u16,
    pub(crate) has_controllers: bool,
}

impl Plan {
    pub(crate) fn service_account_key(&self) -> PathBuf {
        self.folder.join("service-account.key")
    }

    pub(crate) fn service_account_public_key(&self) -> PathBuf {
        self.folder.join("service-account.pub")
    }

    pub(crate) fn token_file(&self) -> PathBuf {
        self.folder.join("tokens.csv")
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    pub(crate) fn log(&self, program: &str) -> PathBuf {
        self.folder.join(format!("{program}.log"))
    }

    /// Certificate and key of the API server; it makes them itself where there are none.
    pub(crate) fn certificates(&self) -> PathBuf {
        self.folder.join("certificates")
    }

    /// Made by the API server for itself; the authority that signed it is in the same file.
    pub(crate) fn serving_certificate(&self) -> PathBuf {
        self.certificates().join("apiserver.crt")
    }

    pub(crate) fn etcd(&self) -> Vec<String> {
        let (client, peer) = (url(self.etcd_client), url(self.etcd_peer));
        vec![
            flag("data-dir", &shown(&self.folder.join("etcd"))),
            flag("listen-client-urls", &client),
            flag("advertise-client-urls", &client),
            flag("listen-peer-urls", &peer),
            flag("initial-advertise-peer-urls", &peer),
            flag("initial-cluster", &format!("default={peer}")),
            flag("unsafe-no-fsync", "true"),
        ]
    }

    pub(crate) fn api_server(&self) -> Vec<String> {
        let key = shown(&self.service_account_key());
        let public_key = shown(&self.service_account_public_key());
        let mut flags = vec![
            flag("etcd-servers", &url(self.etcd_client)),
            flag("bind-address", "127.0.0.1"),
            flag("advertise-address", "127.0.0.1"),
            flag("endpoint-reconciler-type", "none"),
            flag("secure-port", &self.api.to_string()),
            flag("cert-dir", &shown(&self.certificates())),
            flag("service-cluster-ip-range", "10.96.0.0/16"),
            flag("service-account-issuer", "https://kubernetes.default.svc.cluster.local"),
            flag("service-account-key-file", &public_key),
            flag("service-account-signing-key-file", &key),
            flag("authorization-mode", "RBAC"),
            flag("token-auth-file", &shown(&self.token_file())),
            flag("allow-privileged", "true"),
        ];
        if !self.has_controllers {
            flags.push(flag("disable-admission-plugins", "ServiceAccount"));
        }
        flags
    }

    pub(crate) fn controller_manager(&self) -> Vec<String> {
        vec![
            flag("kubeconfig", &shown(&self.kubeconfig())),
            flag("controllers", &CONTROLLERS.join(",")),
            flag("service-account-private-key-file", &shown(&self.service_account_key())),
            flag("root-ca-file", &shown(&self.serving_certificate())),
            flag("leader-elect", "false"),
            flag("secure-port", "0"),
        ]
    }
}

fn flag(name: &str, value: &str) -> String {
    format!("--{name}={value}")
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Token, user, uid and groups, as the API server reads them.
pub(crate) fn token_file(token: &str) -> String {
    format!("{token},admin,admin,\"system:masters\"\n")
}

pub(crate) fn kubeconfig(address: SocketAddr, authority: &[u8], token: &str) -> String {
    let authority = base64(authority);
    format!(
        "apiVersion: v1\n\
         kind: Config\n\
         clusters:\n\
         - name: envtest\n  cluster:\n    server: https://{address}\n    certificate-authority-data: {authority}\n\
         users:\n\
         - name: admin\n  user:\n    token: {token}\n\
         contexts:\n\
         - name: envtest\n  context:\n    cluster: envtest\n    user: admin\n    namespace: default\n\
         current-context: envtest\n"
    )
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let at = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let group = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4 {
            let letter = LETTERS[(group >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(has_controllers: bool) -> Plan {
        Plan {
            folder: "d".into(),
            etcd_client: 1,
            etcd_peer: 2,
            api: 3,
            has_controllers,
        }
    }

    #[test]
    fn everything_listens_on_loopback() {
        for flags in [plan(true).etcd(), plan(true).api_server()] {
            for flag in flags {
                let is_address = ["urls=", "address=", "servers="].iter().any(|part| flag.contains(part));
                assert!(!is_address || flag.contains("127.0.0.1"), "{flag}");
            }
        }
        assert!(plan(true).controller_manager().contains(&"--secure-port=0".to_owned()));
    }

    #[test]
    fn pods_can_be_created_where_nothing_makes_service_accounts() {
        let off = "--disable-admission-plugins=ServiceAccount".to_owned();
        assert!(plan(false).api_server().contains(&off));
        assert!(!plan(true).api_server().contains(&off));
    }

    #[test]
    fn base64_is_padded() {
        for (text, encoded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
        ] {
            assert_eq!(base64(text.as_bytes()), encoded);
        }
    }

    #[test]
    fn the_kubeconfig_is_one() {
        let text = kubeconfig(SocketAddr::from(([127, 0, 0, 1], 3)), b"ca", "secret");
        let config = kube::config::Kubeconfig::from_yaml(&text).unwrap();
        let cluster = config.clusters[0].cluster.as_ref().unwrap();
        assert_eq!(cluster.server.as_deref(), Some("https://127.0.0.1:3"));
        assert_eq!(cluster.certificate_authority_data.as_deref(), Some("Y2E="));
    }
}
