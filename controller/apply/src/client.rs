//! Clients for members: built from a kubeconfig in a Secret, and sure of who answers.
//!
//! Two rules:
//! - A kubeconfig is data. One that would run a program (`exec`, `auth-provider`) or read files of the
//!   controller (`tokenFile`, paths of certificates and keys) is refused, whoever wrote it.
//! - Before every list, every watch and every create the UID of the `kube-system` namespace is read over
//!   the same client and compared with the pinned one. So an empty cluster that was put under the address
//!   of another can neither withdraw what the other has nor receive objects meant for it. Updates and
//!   deletes need no check: they carry the object's own UID.
//!
//! Refused: checking on a timer only. Between two checks a re-list could be answered by the wrong one.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request};
use k8s_openapi::api::core::v1::Namespace;
use kube::client::Body;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig, NamedAuthInfo, NamedCluster};
use kube::{Api, Client, Config};

/// The longest a single request (not a watch) may take.
pub const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// Why there is no client for a member.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Not YAML, or not a kubeconfig.
    #[error("the kubeconfig cannot be read: {0}; store a complete kubeconfig in the Secret")]
    Unreadable(#[source] kube::config::KubeconfigError),
    /// It would run or read something on the controller's side.
    #[error(
        "the kubeconfig uses {0}, which would run a program or read a file of the controller; store a token or certificate data instead"
    )]
    Forbidden(&'static str),
    /// Its parts do not fit together.
    #[error("the kubeconfig cannot be used: {0}; check its current-context")]
    Unusable(#[source] kube::config::KubeconfigError),
    /// The HTTP client could not be made.
    #[error("no client for this kubeconfig: {0}")]
    Client(#[source] kube::Error),
}

/// Another cluster than the one joined answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("another cluster answers: its kube-system namespace has UID {found}, expected {expected:?}")]
pub struct WrongCluster {
    /// The pinned UID.
    pub expected: String,
    /// The UID found.
    pub found: String,
}

/// What the identity check reports after each time it could ask.
pub type IdentityReport = Arc<dyn Fn(Result<(), WrongCluster>) + Send + Sync>;

/// A member's client. Clones share the connection pool.
#[derive(Clone)]
pub struct MemberClient {
    plain: Client,
    guarded: Client,
    identity: Arc<IdentityCheck>,
}

struct IdentityCheck {
    expected: String,
    report: IdentityReport,
}

impl MemberClient {
    /// A client for the cluster with that UID. Nothing is sent yet.
    pub async fn new(kubeconfig: &str, expected_uid: &str, report: IdentityReport) -> Result<Self, ClientError> {
        let plain = client_of(kubeconfig).await?;
        let identity = Arc::new(IdentityCheck {
            expected: expected_uid.to_owned(),
            report,
        });
        let (inner, check) = (plain.clone(), identity.clone());
        let guard = tower::service_fn(move |request: Request<Body>| {
            let (inner, check) = (inner.clone(), check.clone());
            async move {
                if needs_check(&request) {
                    check.run(&inner).await?;
                }
                inner.send(request).await
            }
        });
        Ok(Self {
            guarded: Client::new(guard, "default"),
            plain,
            identity,
        })
    }

    /// The client to use for everything.
    pub fn client(&self) -> Client {
        self.guarded.clone()
    }

    /// Asks who is there; this is also the health request.
    pub async fn check(&self) -> Result<(), kube::Error> {
        self.identity.run(&self.plain).await
    }
}

impl IdentityCheck {
    async fn run(&self, client: &Client) -> Result<(), kube::Error> {
        let namespace = Api::<Namespace>::all(client.clone())
            .get_metadata("kube-system")
            .await?;
        let found = namespace.metadata.uid.unwrap_or_default();
        let verdict = if found == self.expected {
            Ok(())
        } else {
            Err(WrongCluster {
                expected: self.expected.clone(),
                found,
            })
        };
        (self.report)(verdict.clone());
        verdict.map_err(|wrong| kube::Error::Service(Box::new(wrong)))
    }
}

/// True for the error of a client that met the wrong cluster.
pub fn is_wrong_cluster(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| {
        error.is::<WrongCluster>()
            || matches!(error.downcast_ref(), Some(kube::Error::Service(inner)) if is_wrong_cluster(inner.as_ref()))
    })
}

/// Lists and watches are GETs of a collection; a create is a POST. A path to one object ends in its name,
/// so it has an even number of segments after the version: `namespaces/x` or `namespaces/x/services/y`.
fn needs_check(request: &Request<Body>) -> bool {
    match *request.method() {
        Method::POST => true,
        Method::GET => {
            let mut segments = request.uri().path().split('/').filter(|segment| !segment.is_empty());
            match segments.next() {
                Some("api") => segments.count().saturating_sub(1) % 2 == 1,
                Some("apis") => segments.count().saturating_sub(2) % 2 == 1,
                _ => false,
            }
        }
        _ => false,
    }
}

async fn client_of(kubeconfig: &str) -> Result<Client, ClientError> {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig).map_err(ClientError::Unreadable)?;
    refuse_side_effects(&kubeconfig)?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .map_err(ClientError::Unusable)?;
    // A failing member must fail fast: retries are the callers', each with its own back-off.
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(3));
    config.write_timeout = Some(REQUEST_LIMIT);
    Client::try_from(config).map_err(ClientError::Client)
}

fn refuse_side_effects(kubeconfig: &Kubeconfig) -> Result<(), ClientError> {
    for NamedAuthInfo { auth_info, .. } in &kubeconfig.auth_infos {
        let Some(AuthInfo {
            token_file,
            client_certificate,
            client_key,
            auth_provider,
            exec,
            ..
        }) = auth_info
        else {
            continue;
        };
        for (present, what) in [
            (exec.is_some(), "exec"),
            (auth_provider.is_some(), "auth-provider"),
            (token_file.is_some(), "tokenFile"),
            (client_certificate.is_some(), "a client-certificate path"),
            (client_key.is_some(), "a client-key path"),
        ] {
            if present {
                return Err(ClientError::Forbidden(what));
            }
        }
    }
    for NamedCluster { cluster, .. } in &kubeconfig.clusters {
        if cluster
            .as_ref()
            .is_some_and(|cluster| cluster.certificate_authority.is_some())
        {
            return Err(ClientError::Forbidden("a certificate-authority path"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(method: Method, uri: &str) -> bool {
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .body(Body::empty())
            .expect("a request");
        needs_check(&request)
    }

    #[test]
    fn collections_and_creates_are_checked_single_objects_are_not() {
        for uri in [
            "/api/v1/services?watch=true",
            "/api/v1/namespaces",
            "/api/v1/namespaces/shop/services",
            "/apis/discovery.k8s.io/v1/endpointslices?labelSelector=x",
            "/apis/apps/v1/namespaces/shop/deployments",
        ] {
            assert!(checked(Method::GET, uri), "{uri}");
            assert!(checked(Method::POST, uri), "{uri}");
        }
        for uri in [
            "/api/v1/namespaces/kube-system",
            "/apis/apps/v1/namespaces/shop/deployments/web",
            "/version",
        ] {
            assert!(!checked(Method::GET, uri), "{uri}");
        }
        assert!(!checked(Method::PATCH, "/api/v1/namespaces/shop/services/web"));
    }

    fn kubeconfig(user: &str, cluster: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\nclusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:1', {cluster}}}}}]\nusers: [{{name: u, user: {{{user}}}}}]\n"
        )
    }

    #[tokio::test]
    async fn a_kubeconfig_that_runs_or_reads_is_refused() {
        for (user, cluster) in [
            ("exec: {apiVersion: client.authentication.k8s.io/v1, command: id}", ""),
            ("auth-provider: {name: gcp, config: {}}", ""),
            ("tokenFile: /etc/passwd", ""),
            ("client-certificate: /etc/passwd", ""),
            ("client-key: /etc/passwd", ""),
            ("token: x", "certificate-authority: /etc/passwd"),
        ] {
            let refused = client_of(&kubeconfig(user, cluster)).await;
            assert!(matches!(refused, Err(ClientError::Forbidden(_))), "{user} {cluster}");
        }
        assert!(client_of(&kubeconfig("token: x", "")).await.is_ok());
        assert!(matches!(client_of("[").await, Err(ClientError::Unreadable(_))));
    }
}
