//! What a case is given: a namespace of its own, names of its own, and ways to ask.
//!
//! What must stay true: two cases, two runs and two machines on one cluster never share a name. What a case
//! made is taken away after it, whether it passed or not; the namespace takes its content with it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::kubectl::{Kubectl, Said};
use crate::requests::Requests;
use crate::target::Target;

/// What a case is given.
pub struct Context {
    /// Requests of a user who may do everything.
    pub api: Requests,
    /// The case's own namespace.
    pub namespace: String,
    target: Arc<Target>,
    next: AtomicU32,
    leftovers: Mutex<Vec<String>>,
}

impl Context {
    pub(crate) async fn new(target: Arc<Target>, number: usize) -> Context {
        let namespace = format!("conformance-{}-{number}", target.run);
        let api = target.requests.clone();
        api.post("/api/v1/namespaces", json!({"metadata": {"name": namespace}}))
            .await
            .created();
        Context {
            api,
            namespace,
            target,
            next: AtomicU32::new(0),
            leftovers: Mutex::default(),
        }
    }

    /// Takes away what the case made. What fails here is no fault of the rule.
    pub(crate) async fn clean_up(&self) {
        let leftovers = self.leftovers.lock().map(|mut list| std::mem::take(&mut *list));
        for path in leftovers.unwrap_or_default() {
            self.api.delete(&path, Value::Null).await;
        }
        let path = format!("/api/v1/namespaces/{}", self.namespace);
        self.api.delete(&path, Value::Null).await;
    }

    /// A name that nothing else has, for what has no namespace.
    pub fn unique(&self, word: &str) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        format!("{word}{number}-{}", self.namespace)
    }

    /// Has something outside the namespace deleted after the case.
    pub fn leaves(&self, path: &str) {
        if let Ok(mut list) = self.leftovers.lock() {
            list.push(path.to_owned());
        }
    }

    /// The path of something of the core group in the case's namespace.
    pub fn core(&self, rest: &str) -> String {
        format!("/api/v1/namespaces/{}/{rest}", self.namespace)
    }

    /// The path of something of another group in the case's namespace.
    pub fn group(&self, group_version: &str, rest: &str) -> String {
        format!("/apis/{group_version}/namespaces/{}/{rest}", self.namespace)
    }

    /// The path of something of `apps/v1` in the case's namespace.
    pub fn apps(&self, rest: &str) -> String {
        self.group("apps/v1", rest)
    }

    /// The same server for the bearer of another token.
    pub fn with_token(&self, token: &str) -> Requests {
        self.with_credentials(Some(token))
    }

    /// The same server for somebody without credentials.
    pub fn anonymous(&self) -> Requests {
        self.with_credentials(None)
    }

    fn with_credentials(&self, token: Option<&str>) -> Requests {
        let client = self.target.client_of(token).context("another user's client");
        Requests::new(client.unwrap_or_else(|error| panic!("{error:#}")))
    }

    /// An image of a container that can run `sleep` and `true`.
    pub fn image(&self) -> &str {
        &self.target.image
    }

    /// Waits until pods may be created in the namespace: until its service account is there, where there
    /// is somebody who makes it.
    pub async fn until_pods_are_welcome(&self) {
        if self.target.makes_service_accounts {
            let accounts = self.core("serviceaccounts");
            self.api
                .until(&accounts, "default", "there", |account| !account.is_null())
                .await;
        }
    }

    /// Runs kubectl in the case's namespace.
    pub async fn kubectl(&self, arguments: &[&str]) -> Said {
        self.kubectl_with(arguments, "").await
    }

    /// Runs kubectl in the case's namespace with something to read.
    pub async fn kubectl_with(&self, arguments: &[&str], input: &str) -> Said {
        self.kubectl_program().run(&self.namespace, arguments, input).await
    }

    /// Starts kubectl in the case's namespace, to be read line by line.
    pub fn start_kubectl(&self, arguments: &[&str]) -> crate::kubectl::Running {
        self.kubectl_program().start(&self.namespace, arguments)
    }

    fn kubectl_program(&self) -> &Kubectl {
        let kubectl = self.target.kubectl.as_ref();
        kubectl.unwrap_or_else(|| panic!("a case that uses kubectl must say that it needs it"))
    }
}
